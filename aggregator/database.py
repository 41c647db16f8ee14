"""The database: the session that writes, the engine for reading.py, and where a transaction begins."""

import random
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

import sqlalchemy as sa
from flask import Flask, current_app
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from aggregator import connecting
from aggregator.clock import CLOCK
from aggregator.crowd import Crowd
from aggregator.models import Base
from aggregator.outages import DatabaseOutages
from aggregator.pools import WAIT_SECONDS, PatientPool
from aggregator.reading import KeptReads
from aggregator.sql import Select, now_plus

# Nothing is expired on commit: what a service returned may be read after its transaction.
db = SQLAlchemy(metadata=Base.metadata, session_options={"expire_on_commit": False})

BUSY_TIMEOUT_MS = 5_000
# What is prepared are queries whose best plan is always the same; PostgreSQL would make it anew each time.
KEEP_PLANS = {"plan_cache_mode": "force_generic_plan"}
QUIET = {"hide_parameters": True}  # an error shall not tell the token that could not be stored
TURN_OFF = (
    "SELECT set_config(name, 'off', true) FROM unnest(ARRAY['enable_seqscan', 'enable_hashjoin',"
    " 'enable_mergejoin', 'enable_bitmapscan', 'synchronous_commit']) AS name"
)
# For session.get(): a row that is about to be referred to. It can be changed meanwhile, but not deleted.
STAYS = {"read": True, "key_share": True}
TRIES = 3
DEADLOCKED = {"40001", "40P01"}  # serialization_failure, deadlock_detected

T = TypeVar("T")


def init_app(app: Flask, url: URL, pool_size: int) -> None:
    """Give app the database at url: db.session for writing, read() for reading."""
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = _engine_options(url, pool_size) | {"pool_pre_ping": True}
    db.init_app(app)
    with app.app_context():
        writer = db.engine
    options = _engine_options(url, pool_size, KEEP_PLANS)
    reader = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_reset_on_return=None, **options)
    kept = KeptReads()
    sa.event.listen(reader, "connect", kept.begin_epoch)
    app.extensions["reader"], app.extensions["kept_reads"] = reader, kept
    app.extensions["outages"] = watched(writer, reader, DatabaseOutages(url))
    if url.get_backend_name() == "sqlite":
        if url.database and url.database != ":memory:":
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        for engine in (writer, reader):
            sa.event.listen(engine, "connect", _prepare)
        # A transaction that reads first and writes later cannot wait its turn in SQLite; this one can.
        sa.event.listen(writer, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    else:
        for engine in (writer, reader):
            connecting.prepare(engine)
        sa.event.listen(writer, "begin", connecting.begin)


def close(app: Flask) -> None:
    """Give back the connections of a process that is about to end; the last one folds SQLite's log away."""
    with app.app_context():
        db.engine.dispose()
    app.extensions["reader"].dispose()


def watched(writer: Engine, reader: Engine, outages: DatabaseOutages) -> DatabaseOutages:
    """The outages, which get to know of each commit, whether it wrote anything, and of refused connections."""

    def after_statement(connection: Connection, *others: Any) -> None:
        context = others[-2]
        if context is not None and (context.isinsert or context.isupdate or context.isdelete):
            connection.info["wrote"] = True

    def after_rollback(connection: Connection) -> None:
        if not connection.invalidated:
            connection.info.pop("wrote", None)

    crowd = Crowd()
    for pool in (writer.pool, reader.pool):
        if isinstance(pool, PatientPool):
            pool.note, pool.crowd = outages.note, crowd
    sa.event.listen(writer, "after_cursor_execute", after_statement)
    sa.event.listen(writer, "commit", lambda connection: outages.works(connection.info.pop("wrote", False)))
    sa.event.listen(writer, "rollback", after_rollback)
    return outages


def outages() -> DatabaseOutages:
    """What the running app has found to be wrong with its database."""
    found: DatabaseOutages = current_app.extensions["outages"]
    return found


def _engine_options(url: URL, pool_size: int, settings: Mapping[str, str] | None = None) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        # Python must not begin transactions of its own: the "begin" event above does.
        return {**QUIET, "connect_args": {"isolation_level": None, "check_same_thread": False}}
    return {
        **QUIET,
        "connect_args": connecting.arguments(settings),
        "pool_size": pool_size,
        "max_overflow": 0,
        "poolclass": PatientPool,
        "pool_timeout": WAIT_SECONDS,
    }


def _prepare(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.create_aggregate("sum_of_products", 2, SumOfProducts)  # type: ignore[arg-type] # for one argument
    connection.create_function("float_text", 1, float_text, deterministic=True)


def float_text(number: float | None) -> str | None:
    """For SQLite: the shortest text that means the same number, as PostgreSQL writes it."""
    return None if number is None else repr(float(number)).removesuffix(".0")


class SumOfProducts:
    """For SQLite, whose own integers end at 64 bits."""

    def __init__(self) -> None:
        self.sum: int | None = None

    def step(self, a: int | str | None, b: int | None) -> None:
        """Add a row; a number that is too large for SQLite comes as text."""
        if a is not None and b is not None:
            self.sum = (self.sum or 0) + int(a) * b

    def finalize(self) -> str | None:
        """The sum as text."""
        return None if self.sum is None else str(self.sum)


@contextmanager
def transaction() -> Iterator[None]:
    """Commit what is done inside, or nothing of it."""
    session = db.session()
    if session.in_transaction():
        raise RuntimeError("a transaction is open already")
    try:
        if not CLOCK.follows:
            database_now()
        yield
        session.commit()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.expunge_all()


def in_transaction(work: Callable[[], T]) -> T:
    """What work returns, done in a transaction of its own; begun again when it fell to a deadlock."""
    for attempt in range(1, TRIES + 1):
        try:
            with transaction():
                return work()
        except DBAPIError as error:
            if attempt == TRIES or getattr(error.orig, "pgcode", None) not in DEADLOCKED:
                raise
            time.sleep(random.uniform(0, 0.05) * attempt)  # noqa: S311 - jitter
    raise AssertionError("unreachable")


def one_at_a_time(name: str) -> None:
    """Wait until no other transaction has asked for the same name; then it is this one's until it ends.

    SQLite has one writer anyway.
    """
    if dialect() == "postgresql":
        db.session.connection().execute(sa.select(sa.func.pg_advisory_xact_lock(crc32(name.encode()))))


def database_now() -> datetime:
    """The database's clock, in the session's transaction: the hosts' may disagree, and utcnow() follows it."""
    now: datetime = db.session.connection().scalar(sa.select(now_plus(0)))
    CLOCK.follow(now)
    return now


def dialect() -> str:
    """The name of the session's database: sqlite or postgresql."""
    return str(db.session.get_bind().dialect.name)


def tune_for_batches() -> None:
    """Prepare PostgreSQL, for the rest of the transaction, for finding some thousand rows by key.

    It cannot know how many rows an array parameter brings, expects to read whole tables, and then the cost of a
    batch grows with the catalogue. Nor does a batch wait for the disk: what a crash of the server takes, it takes
    as a whole, and the next sync brings it again. There is nothing to tell SQLite.
    """
    if dialect() == "postgresql":
        db.session.connection().exec_driver_sql(TURN_OFF)


def wait_for_the_disk() -> None:
    """Have the commit of this transaction wait until it is on disk after all."""
    if dialect() == "postgresql":
        db.session.connection().exec_driver_sql("SET LOCAL synchronous_commit = on")


def once(rows: Select) -> Select:
    """A query of one column that is run once, wherever it stands.

    PostgreSQL may run what stands in an IN anew for each row that it compares; with a LIMIT that skips locked rows
    each run finds others, and all of them together more than the limit.
    """
    found = rows.cte("found")
    return sa.select(*found.c)
