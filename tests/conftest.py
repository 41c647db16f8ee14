"""A running app on each database, with an offers service of its own; every commit is a real one."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest
import structlog
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from sqlalchemy.engine import URL, make_url

from aggregator.clients.offers import OffersService, normalized_base_url
from aggregator.config import Settings
from aggregator.models import Role
from aggregator.sandbox import Sandbox
from aggregator.services import passwords
from tests.apps import CHANGEABLE, SECRET_KEY, KeptApps, apps
from tests.builders import make_user, sign_in
from tests.databases import BACKENDS, Cluster, Pristine, memory, migrate, remove_sqlite, sqlite_url
from tests.pgbouncer import OPTIONS_IGNORED, PoolerUnavailable, pgbouncer
from tests.postgres import postgres
from tests.valkey import valkey

NEVER = 10**9  # seconds between two ticks of the market: it moves when a test says so
WATCHES_OUTPUT = {"capsys", "capfd"}  # where an app writes its log to is settled when it is made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out, where apps go through a pooler, what needs a session of its own."""
    if os.environ.get("TEST_POOLER"):
        for item in items:
            if item.get_closest_marker("own_session"):
                item.add_marker(pytest.mark.skip(reason="a pooler gives each transaction another session"))


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


@pytest.fixture(scope="session")
def _kept_apps() -> KeptApps:
    return KeptApps()


@pytest.fixture
def make_app(
    request: pytest.FixtureRequest, database_url: URL, service: OffersService, _kept_apps: KeptApps
) -> Iterator[Callable[..., Flask]]:
    """Makes apps on one database, as so many processes would be; takes what Settings has."""
    watched = WATCHES_OUTPUT.intersection(request.fixturenames)
    with apps() as make, _kept_apps.lend() as hand_out:

        def make_app(**settings: Any) -> Flask:
            one = hand_out if settings.keys() <= CHANGEABLE and not watched else make
            return one(
                Settings(**{"database_url": database_url, "offers": service, "secret_key": SECRET_KEY} | settings)
            )

        yield make_app


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


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A server of the Redis protocol. What one test leaves there the next one finds."""
    with valkey() as url:
        yield url


# SQLite: a migrated file is made once, and each test gets a copy, always in the same place.


@pytest.fixture(scope="session")
def _files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if place := memory():
        with TemporaryDirectory(prefix="aggregator-sqlite-", dir=place) as directory:
            yield Path(directory)
    else:
        yield tmp_path_factory.mktemp("sqlite")


@pytest.fixture(scope="session")
def _migrated_file(_files: Path) -> Path:
    path = _files / "migrated.db"
    migrate(sqlite_url(path))
    return path


@pytest.fixture
def migrated_sqlite(_migrated_file: Path) -> Iterator[URL]:
    path = _migrated_file.with_name("aggregator.db")
    shutil.copyfile(_migrated_file, path)
    yield sqlite_url(path)
    remove_sqlite(path)


@pytest.fixture
def empty_sqlite(_files: Path) -> Iterator[URL]:
    path = _files / "empty.db"
    yield sqlite_url(path)
    remove_sqlite(path)


# PostgreSQL: each process of the run has a server and one migrated database, emptied after each test.


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
    # Statistics that come when they like would make one plan today and another one tomorrow.
    with postgres(autovacuum="off") as server:
        yield Cluster(server.url)


@pytest.fixture(scope="session")
def _way(cluster: Cluster) -> Iterator[Callable[[URL], URL]]:
    """How apps get to a database of PostgreSQL: directly, or through a pooler where TEST_POOLER says so."""
    if not os.environ.get("TEST_POOLER"):
        yield lambda url: url
        return
    try:
        with pgbouncer(make_url(cluster.url("postgres")), OPTIONS_IGNORED, pool_size=20) as pooler:
            yield lambda url: pooler(str(url.database))
    except PoolerUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def _pristine(cluster: Cluster) -> Iterator[Pristine]:
    with closing(Pristine(cluster.create("migrated"))) as pristine:
        yield pristine


@pytest.fixture
def migrated_postgresql(_pristine: Pristine, _way: Callable[[URL], URL]) -> Iterator[URL]:
    yield _way(_pristine.url)
    _pristine.wipe()


@pytest.fixture
def empty_postgresql(cluster: Cluster, _way: Callable[[URL], URL]) -> Iterator[URL]:
    yield _way(cluster.create("empty"))
    cluster.drop(f"{cluster.prefix}empty")
