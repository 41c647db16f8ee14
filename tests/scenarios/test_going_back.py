"""A version on a schema that a newer one has left behind, as processes, and the newer one again."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import requests
import sqlalchemy as sa
from sqlalchemy.engine import URL

from aggregator.models import Worker
from tests.builders import stored
from tests.scenarios.processes import ROOT, answers, environment, eventually, make_admin, sign_in, web, worker

TOMORROW = "0a1b2c3d4e5f"
NEWER = "the schema is newer than this version"


@pytest.fixture
def head(database_url: URL) -> Iterator[str]:
    """Takes the database to a schema of tomorrow: one more table, one more column. What its revision was before."""
    engine = sa.create_engine(database_url)
    with engine.begin() as connection:
        before: str = connection.scalar(sa.text("SELECT version_num FROM alembic_version"))
        connection.exec_driver_sql("CREATE TABLE wishes (id integer PRIMARY KEY)")
        connection.exec_driver_sql("ALTER TABLE products ADD COLUMN wishes integer")
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{TOMORROW}'")
    yield before
    with engine.begin() as connection:  # another test may get this database
        connection.exec_driver_sql("DROP TABLE wishes")
        connection.exec_driver_sql("ALTER TABLE products DROP COLUMN wishes")
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{before}'")
    engine.dispose()


def flask(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)


def set_revision(url: URL, revision: str) -> None:
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
    engine.dispose()


def test_it_is_released_serves_and_works_and_the_newer_one_finds_its_schema_again(
    app, sandbox, database_url, head, tmp_path
):
    env = environment(database_url, sandbox.url)
    release = flask(env, "db", "upgrade")
    down = flask(env, "db", "downgrade")
    make_admin(env)
    with ExitStack() as stack:
        site = stack.enter_context(web(env, tmp_path / "web.log", workers=1))
        at_work = stack.enter_context(worker(env, tmp_path / "worker.log"))
        eventually(lambda: answers(site.url) and stored(app, Worker), 40)
        admin = sign_in(site.url)
        product = {"name": "Lamp", "description": ""}
        made = requests.post(f"{site.url}/api/v1/products", json=product, headers=admin, timeout=10)
        where = f"{site.url}/api/v1/products/{made.json()['id']}"
        shown = eventually(lambda: requests.get(where, timeout=10).json()["offer_count"], 40)
        ready, status = (requests.get(f"{site.url}/{name}", timeout=10) for name in ("readyz", "status"))
        ended = at_work.stop(20)
    set_revision(database_url, head)
    forward = flask(env, "db", "upgrade")

    assert (release.returncode, release.stdout) == (
        0,
        f"The schema is newer than this version ({TOMORROW}): nothing to upgrade, this version runs on it.\n",
    )
    assert down.returncode == 78
    assert "run this command with the version that brought it" in down.stderr
    assert made.status_code == 201
    assert shown
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "reason": NEWER})
    assert NEWER in status.json()["problems"]
    assert "schema is newer than this version" in at_work.said
    assert ended == 0
    assert (forward.returncode, "newer" in forward.stdout) == (0, False)
