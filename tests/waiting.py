"""Two transactions at once: the first stays open until the second waits for it, or has had the time to."""

import time
from collections.abc import Callable
from threading import Thread
from typing import Any

import sqlalchemy as sa
from flask import Flask

from aggregator.database import db, in_transaction, transaction

PATIENCE = 1.0  # seconds; whoever does not wait by then does not wait at all


def while_open(app: Flask, first: Callable[[], Any], second: Callable[[], Any]) -> Any:
    """What a second transaction returns or raises that begins while the first is open, which is then committed."""
    came: list[Any] = []

    def run() -> None:
        with app.app_context():
            try:
                came.append(in_transaction(second))
            except Exception as error:
                came.append(error)

    thread = Thread(target=run)
    with app.app_context(), transaction():
        first()
        db.session.flush()
        thread.start()
        _until_it_waits(app, thread)
    thread.join(20)
    return came[0]


def _until_it_waits(app: Flask, thread: Thread) -> None:
    """On SQLite a second writer waits before it has done anything, so a moment is enough."""
    if db.engine.dialect.name == "sqlite":
        time.sleep(0.05)
        return
    until = time.monotonic() + PATIENCE
    waits = sa.text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    while thread.is_alive() and time.monotonic() < until:
        with app.extensions["reader"].connect() as connection:
            if connection.scalar(waits):
                return
        time.sleep(0.01)
