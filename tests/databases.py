"""Databases for tests, as the migrations leave them: a copy of a file, and rows that are put back in place."""

import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import flask_migrate
import sqlalchemy as sa
from sqlalchemy.engine import URL

from aggregator.app import MIGRATIONS
from aggregator.config import Settings, normalized_database_url
from aggregator.models import Base
from tests.apps import NO_SERVICE, apps

BACKENDS = ("sqlite", "postgresql")
REVISION = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32)))
LARGE = 1_000  # rows
MEMORY = Path("/dev/shm")  # where Linux has files that are on no disk
ROOM = 2**30  # bytes


def migrate(url: URL) -> None:
    """Bring the database at url to the head of the migrations, as `flask db upgrade` does."""
    with apps() as make, make(Settings(url, NO_SERVICE)).app_context():
        flask_migrate.upgrade(str(MIGRATIONS))


def sqlite_url(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


def memory() -> Path | None:
    """A place for files that nobody has to wait for, if this machine has one."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None


def remove_sqlite(path: Path) -> None:
    """Remove a file of SQLite's, and what lies beside it."""
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


@dataclass
class Cluster:
    """A server, and its databases by name; how to get there is the business of whoever made it."""

    url: Callable[[str], str]
    prefix: str = ""
    made: list[str] = field(default_factory=list)

    def create(self, name: str) -> URL:
        """A new, empty database."""
        name = f"{self.prefix}{name}"
        self.drop(name)
        self._execute(f'CREATE DATABASE "{name}"')
        self.made.append(name)
        return normalized_database_url(self.url(name))

    def drop(self, name: str) -> None:
        self._execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def _execute(self, statement: str) -> None:
        engine = sa.create_engine(normalized_database_url(self.url("postgres")), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()


class Pristine:
    """A migrated database of PostgreSQL, and the rows that the migrations put there."""

    def __init__(self, url: URL) -> None:
        migrate(url)
        self.url = url
        self._engine = sa.create_engine(url, pool_size=1, pool_pre_ping=True)
        self._tables = [*reversed(Base.metadata.sorted_tables), REVISION]
        self._filled = " UNION ALL ".join(
            f"SELECT {number} WHERE EXISTS (SELECT FROM {table.name})" for number, table in enumerate(self._tables)
        )
        with self._engine.connect() as connection:
            rows = {table: connection.execute(sa.select(table)).mappings().all() for table in reversed(self._tables)}
        self._gone: Counter[sa.Table] = Counter()  # since the table was truncated
        self._rows = {table: [dict(row) for row in seeds] for table, seeds in rows.items() if seeds}

    def wipe(self) -> None:
        """Leave those rows and no others."""
        # To truncate a table takes milliseconds, and most of them are empty: those that are not, row by row, until
        # what is left of rows that are gone would slow down the tests to come.
        with self._engine.begin() as connection:
            # Whoever still does something belongs to the test that is over, and may hold a lock.
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS DISTINCT FROM 'idle'"
            )
            for number in sorted(connection.exec_driver_sql(self._filled).scalars()):
                table = self._tables[number]
                self._gone[table] += connection.execute(sa.delete(table)).rowcount
                if self._gone[table] > LARGE:
                    connection.exec_driver_sql(f"TRUNCATE {table.name} CASCADE")
                    self._gone[table] = 0
            for table, rows in self._rows.items():
                connection.execute(sa.insert(table), rows)

    def close(self) -> None:
        """Give the connection back."""
        self._engine.dispose()
