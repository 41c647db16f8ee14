"""Reading: queries outside of any transaction, run by the driver itself, and kept while nothing is committed."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import Any

import sqlalchemy as sa
from cachetools import LRUCache
from flask import current_app
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from aggregator.connecting import SETTINGS, local
from aggregator.outages import DatabaseOutages
from aggregator.sql import Query, Row, Select
from aggregator.sql.query import EACH_TIME, SNAPSHOT, Often

PATIENCE_MS = 100_000
KEPT_CHARACTERS = 32_000_000  # of text, in each process


@dataclass(frozen=True, slots=True)
class Found:
    """Rows that are kept, and the snapshot in which they were there."""

    snapshot: str  # empty where the server has none that is like no other
    rows: Sequence[tuple[Any, ...]]
    epoch: int  # that of KeptReads before they were asked for

    @property
    def characters(self) -> int:
        """How much room they take, more or less."""
        return 1_000 + sum(len(part) for row in self.rows for part in row if isinstance(part, str))


class KeptReads:
    """What has been read, as long as it is asked for now and then and there is room.

    Each new connection begins an epoch, in which nothing counts that was found before: when the server has crashed, all
    connections are new, and it may give out the numbers of commits that it has lost once more.
    """

    def __init__(self, characters: int = KEPT_CHARACTERS) -> None:
        self.epoch, self._snapshot, self._is_off = 0, "", False
        self._found: LRUCache[Hashable, Found] = LRUCache(characters, lambda found: found.characters)
        self._lock = Lock()

    def begin_epoch(self, _: object = None, connection: ConnectionPoolEntry | None = None) -> None:
        """Forget what has been found; keep nothing any more once a connection leads through a pooler.

        Behind one, a server that takes another's place, or comes back after a crash, is no new connection.
        """
        with self._lock:
            self.epoch += 1
            self._is_off |= connection is not None and bool(connection.info.get(EACH_TIME))

    def get(self, key: Hashable) -> Found | None:
        """What was found when the same was read the last time, unless more has been committed since, as others saw."""
        with self._lock:
            found = self._found.get(key)
        return found if found and (found.epoch, found.snapshot) == (self.epoch, self._snapshot) else None

    def put(self, key: Hashable, found: Found) -> None:
        """Keep what was found, unless it is more than there is room for, or nothing would say when it is outdated."""
        if self._is_off or not found.snapshot:
            return
        self._snapshot = found.snapshot
        if found.characters <= self._found.maxsize:
            with self._lock:
                self._found[key] = found

    def is_current(self, found: Found, snapshot: str) -> bool:
        """Whether what was found is what there is, in the snapshot that was the database's a moment ago."""
        self._snapshot = snapshot
        return (found.epoch, found.snapshot) == (self.epoch, snapshot)


def read(build: Callable[..., Select], *shape: Hashable, **values: Any) -> Sequence[Row]:
    """The rows of the query build(*shape) with values for its parameters.

    It runs outside of any transaction, which saves the round trips to begin and end one, and it is compiled
    once for each shape. A dead connection is noticed by the query itself: it may be repeated, and that costs
    less than a ping before each.
    """
    engine = _reader()
    return _read(engine, _query(engine, build, shape, Often.NO), values)


def read_often(build: Callable[..., Select], *shape: Hashable, **values: Any) -> Sequence[Row]:
    """As read(), for a query that is asked all the time, and whose best plan is the same whatever the values."""
    engine = _reader()
    return _read(engine, _query(engine, build, shape, Often.PREPARED), values)


def read_kept(build: Callable[..., Select], *shape: Hashable, **values: Any) -> Sequence[Row]:
    """As read_often(), as plain tuples, but nothing is read a second time before something has been committed.

    The query may depend on nothing but the data and its values, so not on the time. On SQLite, where to read is a call
    and no journey, it is read_often().
    """
    extensions = current_app.extensions
    engine: Engine = extensions["reader"]
    query = _query(engine, build, shape, Often.KEPT)
    if not query.is_kept:
        return _read(engine, query, values)
    kept: KeptReads = extensions["kept_reads"]
    key, epoch = (query, *sorted(values.items())), kept.epoch
    known = kept.get(key)
    if known and kept.is_current(known, _read(engine, _query(engine, _snapshot, (), Often.PREPARED), {})[0][0]):
        return known.rows
    rows = _read(engine, query, values)
    if not rows:
        return rows
    found = Found(rows[0][-1], [row[:-1] for row in rows], epoch)
    kept.put(key, found)
    return found.rows


def _snapshot() -> Select:
    return sa.select(SNAPSHOT)


def read_at_length(statement: sa.Executable) -> Sequence[sa.RowMapping]:
    """The rows of a query over all there is, by the names of their columns: it may take a minute or two."""
    engine = _reader()
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="READ COMMITTED")  # so that there is a transaction
            connection.exec_driver_sql(local(SETTINGS | {"statement_timeout": str(PATIENCE_MS)}))
        return connection.execute(statement).mappings().all()


def reader_dialect() -> str:
    """The name of the database that is read: sqlite or postgresql."""
    return str(_reader().dialect.name)


def _reader() -> Engine:
    engine: Engine = current_app.extensions["reader"]
    return engine


@lru_cache(maxsize=1024)
def _query(engine: Engine, build: Callable[..., Select], shape: tuple[Hashable, ...], often: Often) -> Query:
    return Query(engine, build(*shape), often)


def _read(engine: Engine, query: Query, values: dict[str, Any]) -> Sequence[Row]:
    try:
        rows = _run(engine, query, values)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        rows = _run(engine, query, values)
    outages: DatabaseOutages = current_app.extensions["outages"]
    outages.works()
    return rows


def _run(engine: Engine, query: Query, values: dict[str, Any]) -> Sequence[Row]:
    connection = None
    try:
        connection = engine.raw_connection()
        return query.run(connection, connection.info, values)
    except engine.dialect.loaded_dbapi.Error as error:
        is_lost = connection is not None and engine.dialect.is_disconnect(error, connection.dbapi_connection, None)
        if connection is not None and is_lost:
            connection.invalidate(error)
            engine.dispose(close=False)  # those that wait in the pool will be as dead
        raise _as_sqlalchemys(error, query.text, engine, is_lost) from error
    finally:
        if connection is not None:
            connection.close()


def _as_sqlalchemys(error: Exception, statement: str, engine: Engine, is_lost: bool) -> BaseException:
    """What SQLAlchemy raises for an error of the driver."""
    base, options = engine.dialect.loaded_dbapi.Error, {"connection_invalidated": is_lost, "hide_parameters": True}
    return DBAPIError.instance(statement, None, error, base, dialect=engine.dialect, **options)
