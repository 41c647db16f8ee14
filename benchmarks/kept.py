"""Databases that take long to fill: made once, and kept for the next run."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from typing import Any

import psycopg2
from sqlalchemy.engine import make_url

from aggregator.clock import utcnow
from aggregator.config import normalized_database_url
from tests.conftest import Cluster, migrate
from tests.postgres import PostgresServer

FOR_EVER = timedelta(days=36_500)


def prepared(
    server: PostgresServer, name: str, fill: Callable[[Any, datetime], None], age: timedelta = FOR_EVER
) -> datetime:
    """Fill a database of that name, unless there is one that is not too old: the moment at which it was filled."""
    if (made_at := _made_at(server, name)) and utcnow() - made_at < age:
        migrate(normalized_database_url(server.url(name)))  # there may be more of them by now
        return made_at
    print(f"Making {name}, once ...", flush=True)
    began, now = time.monotonic(), utcnow()
    migrate(Cluster(server.url).create(name))
    with closing(connect(server, name)) as connection, connection.cursor() as cursor:
        fill(cursor, now)
        cursor.execute("CREATE TABLE made AS SELECT %s AS at", (now,))
        cursor.execute("VACUUM (ANALYZE)")
    print(f"  in {time.monotonic() - began:.0f} s, kept in {server.directory}", flush=True)
    return now


def _made_at(server: PostgresServer, name: str) -> datetime | None:
    """When a database was made, if it was made to the end."""
    with closing(connect(server, "postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if cursor.fetchone() is None:
            return None
    with closing(connect(server, name)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('made') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return None
        cursor.execute("SELECT at FROM made")
        return cursor.fetchone()[0]


def connect(server: PostgresServer, name: str) -> Any:
    """A connection to a database, in which each statement is a transaction."""
    url = make_url(server.url(name))
    connection = psycopg2.connect(dbname=name, user=url.username, host=url.query["host"], options="-c timezone=UTC")
    connection.autocommit = True
    return connection


@contextmanager
def copy_of(server: PostgresServer, name: str) -> Iterator[str]:
    """A copy of a database, for as long as the context lasts."""
    server.drop_database("work")
    server.create_database("work", template=name)
    try:
        yield "work"
    finally:
        server.drop_database("work")
