"""The worker process: signals, and the question whether it is alive."""

import argparse
import gc
import os
import signal
import socket
import sys

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from aggregator import extensions
from aggregator.database import outages, transaction
from aggregator.jobs.runner import Runner
from aggregator.services import health, jobs
from aggregator.troubles import EX_CONFIG

log = structlog.get_logger(__name__)


def main(app: Flask, arguments: list[str]) -> int:
    """Work until SIGTERM or SIGINT; with --check, only tell whether a worker of this host is alive."""
    parser = argparse.ArgumentParser(prog="worker.py", description="Syncs offers and does what else is due.")
    parser.add_argument("--check", action="store_true", help="exit with 0 if a worker of this host is alive")
    if parser.parse_args(arguments).check:
        silent = _why_not_alive(app)
        if silent:
            print(silent, file=sys.stderr)
        return 1 if silent else 0
    if problem := _schema_problem(app):
        print(problem[0], file=sys.stderr)
        return problem[1]
    settle_garbage_collector()
    runner = Runner(app)
    for number in (signal.SIGTERM, signal.SIGINT):
        # The first one stops the worker; more of them do not make it stop in a hurry.
        signal.signal(number, lambda *_: runner.ask_to_stop())
    runner.run()
    # Nothing is left to be done, and Python's own way out would wait for the thread of a job that does not stop,
    # and take our handlers away before the process is gone: a late signal would kill it after all.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _schema_problem(app: Flask) -> tuple[str, int] | None:
    """Why this worker should leave the database alone, if it should, and its exit code."""
    with app.app_context():
        try:
            revision = health.schema_revision()
        except SQLAlchemyError as error:
            trouble = outages().note(error)
            if trouble is None:
                raise
            return str(trouble), trouble.exit_code
        if not extensions.schema_will_do(revision):
            return "The schema is older than this version. Run `flask --app wsgi db upgrade`.", EX_CONFIG
        if not extensions.schema_is_current(revision):
            log.warning("schema is newer than this version", revision=revision)
        return None


def settle_garbage_collector() -> None:
    """Look for reference cycles less often: the sync makes and drops millions of objects, and none in a cycle.

    With Python's own thresholds the search takes a third of the worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


def _why_not_alive(app: Flask) -> str | None:
    """Why no worker of this host gets on, if none does."""
    with app.app_context(), transaction():
        silences = jobs.silences(socket.gethostname())
    if not silences:
        return "No worker of this host is running."
    if silences[0] >= jobs.WORKER_LOST_SECONDS:
        return f"The worker of this host was last heard of {silences[0]:.0f} s ago: it stands still, or has died."
    return None
