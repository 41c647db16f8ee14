"""PostgreSQL behind a pooler in transaction mode: web, worker and commands, all of them on three connections."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests
import sqlalchemy as sa
from sqlalchemy.engine import URL

from tests.databases import Cluster
from tests.pgbouncer import OPTIONS_IGNORED, PoolerUnavailable, pgbouncer
from tests.scenarios.processes import (
    ROOT,
    Process,
    answers,
    environment,
    eventually,
    make_admin,
    sign_in,
    web,
    worker,
)

MODES = {"options are refused": [], "options are ignored": [OPTIONS_IGNORED]}


@pytest.fixture(params=MODES)
def pooled_url(request, cluster: Cluster) -> Iterator[tuple[URL, URL]]:
    """An empty database: the way there through a pooler, and the direct one."""
    direct = cluster.create("pooled")
    try:
        with pgbouncer(direct, *MODES[request.param]) as pooler:
            yield pooler(str(direct.database)), direct
    except PoolerUnavailable as error:
        pytest.skip(str(error))
    finally:
        cluster.drop(str(direct.database))


def run(env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)


class Client:
    """Somebody signed in at a running web, and the status of each answer."""

    def __init__(self, site: Process) -> None:
        self.api, self.headers, self.seen = f"{site.url}/api/v1", sign_in(site.url), Counter()

    def __call__(self, method: str, path: str, **options) -> requests.Response:
        answer = requests.request(method, f"{self.api}{path}", headers=self.headers, timeout=30, **options)
        self.seen[answer.status_code] += 1
        return answer


def one_round(client: Client, number: int) -> tuple[str, list[object]]:
    """A product's life: each step is a read or a write of another kind, and what each showed."""
    name = f"Kettle {number}"
    made = client("POST", "/products", json={"name": name, "description": "", "rating": number / 7, "stock": 5})
    at = f"/products/{made.json()['id']}"
    shown = [client("GET", at).json()["name"] for _ in range(3)]
    client("PATCH", at, json={"price": 100 + number})
    client("POST", "/orders", json={"items": [{"product_id": made.json()["id"], "quantity": 2}]})
    found = client("GET", f"/products?q={number} kettle&sort=name").json()
    listed = client("GET", "/products?page_size=5").json()
    again = client("GET", at).json()
    seen = [shown, again["price"], again["stock"], again["rating"], [p["name"] for p in found], len(listed) > 0]
    return made.json()["id"], seen


def test_web_worker_and_commands_share_three_connections(pooled_url, sandbox, tmp_path):
    url, direct = pooled_url
    env = environment(url, sandbox.url, SYNC_INTERVAL_SECONDS="1")
    migrated = run(env, "db", "upgrade")
    assert migrated.returncode == 0, migrated.stderr
    make_admin(env)
    with ExitStack() as stack:
        site = stack.enter_context(web(env, tmp_path / "web.log"))
        working = stack.enter_context(worker(env, tmp_path / "worker.log"))
        eventually(lambda: answers(site.url), 30)
        client = Client(site)
        with ThreadPoolExecutor(8) as threads:
            rounds = list(threads.map(lambda number: one_round(client, number), range(24)))
        ids = [product_id for product_id, _ in rounds]
        eventually(lambda: all(client("GET", f"/products/{i}").json()["offer_count"] for i in ids), 30)
        exported, audited = run(env, "products", "export"), run(env, "audit")
        status = requests.get(f"{site.url}/status", timeout=10).json()
        assert working.stop() == 0

    assert [shown for _, shown in rounds] == [
        [[f"Kettle {number}"] * 3, 100 + number, 3, number / 7, [f"Kettle {number}"], True] for number in range(24)
    ]
    assert set(client.seen) == {200, 201}, client.seen
    assert exported.returncode == 0, exported.stderr
    assert len(exported.stdout.splitlines()) == 24
    assert audited.returncode == 0, audited.stdout + audited.stderr
    assert status["status"] == "ok", status
    for said in (site.said, working.said):
        assert "Traceback" not in said
        assert "prepared statement" not in said
    assert sessions(direct) <= 3


def test_who_waits_for_a_lock_is_answered_within_seconds_and_leaves_no_setting_behind(pooled_url, sandbox, tmp_path):
    url, direct = pooled_url
    env = environment(url, sandbox.url)
    assert run(env, "db", "upgrade").returncode == 0
    make_admin(env)
    engine = sa.create_engine(direct)
    with web(env, tmp_path / "web.log") as site, engine.connect() as other:
        eventually(lambda: answers(site.url), 30)
        client = Client(site)
        at = f"/products/{client('POST', '/products', json={'name': 'Lamp', 'description': ''}).json()['id']}"
        other.exec_driver_sql("SELECT id FROM products FOR UPDATE")
        began = time.monotonic()
        refused = client("PATCH", at, json={"price": 5})
        took = time.monotonic() - began
        other.rollback()
        changed = client("PATCH", at, json={"price": 6})
    engine.dispose()

    assert (refused.status_code, changed.status_code) == (503, 200), refused.text
    assert "Retry-After" in refused.headers
    assert 2 < took < 8
    assert left_behind(url) == {("0", "0", "0")}, "what a transaction sets ends with it"


def sessions(url: URL) -> int:
    """How many connections a database has, but for the one that asks."""
    (count,) = _asked(url, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    return count[0] - 1


def left_behind(url: URL) -> set[tuple[str, ...]]:
    """What the timeouts are in sessions that a pooler hands out, to who sets none."""
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    query = "SELECT " + ", ".join(f"current_setting('{name}')" for name in names)
    return {row for _ in range(6) for row in _asked(url, query)}


def _asked(url: URL, query: str) -> list[tuple]:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        rows = [tuple(row) for row in connection.exec_driver_sql(query)]
    engine.dispose()
    return rows
