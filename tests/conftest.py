"""A running app on each database, with an offers service of its own; every commit is a real one."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import flask_migrate
import pytest
import sqlalchemy as sa
import structlog
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy.engine import URL, make_url

from aggregator.app import MIGRATIONS, create_app
from aggregator.clients.offers import OffersService, normalized_base_url
from aggregator.config import Settings, normalized_database_url
from aggregator.database import db
from aggregator.models import Base, Role
from aggregator.sandbox import Sandbox
from aggregator.services import passwords
from tests.builders import make_user, sign_in
from tests.postgres import postgres
from tests.valkey import valkey

BACKENDS = ("sqlite", "postgresql")
REVISION = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32)))
LARGE = 1_000  # rows
NEVER = 10**9  # seconds between two ticks of the market: it moves when a test says so
NO_SERVICE = OffersService("http://127.0.0.1:9/api/v1", "unused")  # port 9 refuses connections


@pytest.fixture
def now() -> datetime:
    """A moment that no test confuses with the real one."""
    return datetime(2026, 5, 4, 12, 30, 15, 250_000, UTC)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A running offers service of the second generation."""
    with Sandbox(tick=NEVER) as sandbox:
        yield sandbox


@pytest.fixture
def service(sandbox: Sandbox) -> OffersService:
    """The sandbox, as the app is told of it."""
    return OffersService(normalized_base_url(sandbox.url), sandbox.refresh_token)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """The database to run on: sqlite or postgresql. Who uses it runs on both."""
    return str(request.param)


@pytest.fixture
def database_url(backend: str, request: pytest.FixtureRequest) -> URL:
    """A database as the migrations leave it."""
    url: URL = request.getfixturevalue(f"migrated_{backend}")
    return url


@pytest.fixture
def empty_database_url(backend: str, request: pytest.FixtureRequest) -> URL:
    """A database with nothing in it."""
    url: URL = request.getfixturevalue(f"empty_{backend}")
    return url


@pytest.fixture
def make_app(database_url: URL, service: OffersService) -> Iterator[Callable[..., Flask]]:
    """Makes apps on one database, as so many processes would be; takes what Settings has."""
    with apps() as start:
        yield lambda **settings: start(Settings(**{"database_url": database_url, "offers": service} | settings))


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The app on a migrated database, with the sandbox as its offers service. No context is pushed."""
    return make_app()


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    """A pushed app context, for tests that call services."""
    with app.app_context():
        yield


@pytest.fixture
def visitor(app: Flask) -> FlaskClient:
    """A client that has not signed in."""
    return app.test_client()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client that is signed in as an admin, and so may do everything."""
    return signed_in(app, make_user(app, Role.ADMIN))


def signed_in(app: Flask, user_id: UUID) -> FlaskClient:
    """A client that sends an access token of a user with each request."""
    client = app.test_client()
    client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {sign_in(app, user_id)['access_token']}"
    return client


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    return app.test_cli_runner()


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """To hash a password takes its time on purpose; tests/services/test_passwords.py does without this."""
    monkeypatch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))


@pytest.fixture(autouse=True)
def _logs_stay_with_their_test() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()


@contextmanager
def apps() -> Iterator[Callable[[Settings], Flask]]:
    """Starts apps, and closes all their connections in the end."""
    started: list[Flask] = []

    def start(settings: Settings) -> Flask:
        started.append(create_app(settings))
        return started[-1]

    try:
        yield start
    finally:
        for app in started:
            with app.app_context():
                db.session.remove()
                db.engine.dispose()
            app.extensions["reader"].dispose()


def migrate(url: URL) -> None:
    """Bring the database at url to the head of the migrations, as `flask db upgrade` does."""
    with apps() as start, start(Settings(url, NO_SERVICE)).app_context():
        flask_migrate.upgrade(str(MIGRATIONS))


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A server of the Redis protocol. What one test leaves there the next one finds."""
    with valkey() as url:
        yield url


# SQLite: a migrated file is made once, and each test gets a copy.


@pytest.fixture(scope="session")
def _migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "migrated.db"
    migrate(sqlite_url(path))
    return path


@pytest.fixture
def migrated_sqlite(_migrated_file: Path, tmp_path: Path) -> Iterator[URL]:
    path = tmp_path / "aggregator.db"
    shutil.copyfile(_migrated_file, path)
    yield sqlite_url(path)
    _remove(path)


@pytest.fixture
def empty_sqlite(tmp_path: Path) -> Iterator[URL]:
    path = tmp_path / "empty.db"
    yield sqlite_url(path)
    _remove(path)


def sqlite_url(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


def _remove(path: Path) -> None:
    # pytest keeps the directories of three runs, and these are thousands of files.
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


# PostgreSQL: each process of the run has a server and one migrated database, emptied after each test.


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


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server: one of our own, or the one that TEST_DATABASE_URL leads to."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        where = make_url(given)
        worker = os.environ.get("PYTEST_XDIST_WORKER", "alone")
        cluster = Cluster(
            lambda name: where.set(database=name).render_as_string(hide_password=False),
            prefix=f"aggregator_test_{worker}_",
        )
        yield cluster
        for name in cluster.made:
            cluster.drop(name)
        return
    with postgres() as server:
        yield Cluster(server.url)


@dataclass
class Pristine:
    """A migrated database, and the rows that the migrations put there."""

    url: URL
    rows: dict[sa.Table, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def _pristine(cluster: Cluster) -> Pristine:
    url = cluster.create("migrated")
    migrate(url)
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        rows = {
            table: [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for table in [*Base.metadata.sorted_tables, REVISION]
        }
    engine.dispose()
    return Pristine(url, {table: seeds for table, seeds in rows.items() if seeds})


@pytest.fixture
def migrated_postgresql(_pristine: Pristine) -> Iterator[URL]:
    yield _pristine.url
    _wipe(_pristine)


def _wipe(pristine: Pristine) -> None:
    # To truncate a table takes milliseconds, and most of them are empty: those that are not, row by row.
    tables = [*reversed(Base.metadata.sorted_tables), REVISION]
    filled = " UNION ALL ".join(
        f"SELECT {number} WHERE EXISTS (SELECT FROM {table.name})" for number, table in enumerate(tables)
    )
    engine = sa.create_engine(pristine.url)
    with engine.begin() as connection:
        # Whoever still holds a lock belongs to the test that is over.
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for number in sorted(connection.exec_driver_sql(filled).scalars()):
            gone = connection.execute(sa.delete(tables[number])).rowcount
            if gone > LARGE:  # what is left of so many rows would slow down the tests to come
                connection.exec_driver_sql(f"TRUNCATE {tables[number].name} CASCADE")
        for table, rows in pristine.rows.items():
            connection.execute(sa.insert(table), rows)
    engine.dispose()


@pytest.fixture
def empty_postgresql(cluster: Cluster) -> Iterator[URL]:
    yield cluster.create("empty")
    cluster.drop(f"{cluster.prefix}empty")
