"""Web, worker and offers service as real processes, on each database: starts, outages, kills and deploys."""

import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
import requests
from flask import Flask
from sqlalchemy.engine import URL

from aggregator.models import Feed, JobRun, Registration, Worker
from aggregator.sandbox import Registration as Known
from aggregator.sandbox import Sandbox
from aggregator.sandbox.v2 import ACCOUNT
from tests.builders import make_product, stored
from tests.flows.passes import assert_in_step, assert_sound, assert_unclaimed, calls, statuses
from tests.scenarios.processes import (
    Process,
    answers,
    environment,
    eventually,
    make_admin,
    patched_worker,
    sandbox_process,
    sign_in,
    web,
    worker,
)

CLAIM_SECONDS = 3.0


@pytest.fixture
def env(database_url: URL, sandbox: Sandbox) -> dict[str, str]:
    return environment(database_url, sandbox.url)


def post(site: Process, name: str, headers: dict[str, str]) -> requests.Response:
    product = {"name": name, "description": ""}
    return requests.post(f"{site.url}/api/v1/products", json=product, headers=headers, timeout=10)


def get(site: Process, product_id: str) -> dict:
    return requests.get(f"{site.url}/api/v1/products/{product_id}", timeout=10).json()


def every_product_has_offers(app: Flask) -> bool:
    found = stored(app, Feed)
    return all(feed.status == Registration.REGISTERED and feed.offer_count for feed in found)


class TestAColdStart:
    def test_of_a_worker_and_two_web_workers_takes_one_token(self, app, sandbox, env, tmp_path):
        make_admin(env)
        with ExitStack() as stack:
            site = stack.enter_context(web(env, tmp_path / "web.log"))
            stack.enter_context(worker(env, tmp_path / "worker.log"))
            eventually(lambda: answers(site.url))
            admin = sign_in(site.url)
            with ThreadPoolExecutor(6) as threads:
                created = list(threads.map(lambda n: post(site, f"Product {n}", admin), range(12)))
            eventually(lambda: every_product_has_offers(app))

        assert [answer.status_code for answer in created] == [201] * 12
        assert statuses(sandbox, "auth") == [201]
        assert set(statuses(sandbox, "register")) <= {201, 409}
        ids = [answer.json()["id"] for answer in created]
        assert set(sandbox.registered) == set(ids)
        assert_in_step(app, sandbox, ids)
        assert_sound(app)


class TestAnOutage:
    def test_ends_without_a_restart_of_ours(self, app, database_url, tmp_path):
        with ExitStack() as stack:
            with sandbox_process(tmp_path / "sandbox.log", "--port", "0") as first:
                offers_url = first.url
            env = environment(database_url, offers_url)
            make_admin(env)
            site = stack.enter_context(web(env, tmp_path / "web.log"))
            stack.enter_context(worker(env, tmp_path / "worker.log"))
            eventually(lambda: answers(site.url))
            admin = sign_in(site.url)
            created = [post(site, f"Product {n}", admin) for n in range(3)]
            assert [answer.status_code for answer in created] == [201] * 3
            assert {answer.json()["registration"]["status"] for answer in created} == {"pending"}
            assert {answer.json()["registration"]["reason"] for answer in created} == {"unreachable"}

            port = offers_url.rpartition(":")[2]
            stack.enter_context(sandbox_process(tmp_path / "sandbox.log", "--port", port))
            ids = [answer.json()["id"] for answer in created]
            shown = eventually(lambda: [p for p in (get(site, i) for i in ids) if p["offer_count"]][2:], seconds=25)

        assert shown
        assert {feed.status for feed in stored(app, Feed)} == {Registration.REGISTERED}
        assert_sound(app)


class TestAKilledWorker:
    def test_loses_and_doubles_nothing(self, app, sandbox, env, tmp_path):
        ids = [str(make_product(app)) for _ in range(60)]
        for product_id in ids:
            sandbox._service.products[ACCOUNT, product_id] = Known(product_id, "", "")
        sandbox.latency_ms = 40
        command = patched_worker(
            aggregator__services__feeds__CLAIM_SECONDS=CLAIM_SECONDS, aggregator__flows__sync__FETCH_SECONDS=2
        )
        env = env | {"SYNC_CONCURRENCY": "2", "SYNC_INTERVAL_SECONDS": "2"}
        with ExitStack() as stack:
            victim = stack.enter_context(worker(env, tmp_path / "victim.log", command))
            eventually(lambda: len(calls(sandbox, "offers")) > 5)
            victim.signal(signal.SIGKILL)
            killed_at = time.time()
            assert victim.end() == -signal.SIGKILL
            assert any(feed.claimed_by for feed in stored(app, Feed)), "it died in the middle of a batch"
            survivor = stack.enter_context(worker(env, tmp_path / "survivor.log", command))
            eventually(lambda: len(stored(app, Worker)) == 2, seconds=20)
            started_at = time.time()
            for _ in range(3):
                sandbox.advance()
                time.sleep(1.0)
            eventually(lambda: all(f.synced_at and f.synced_at.timestamp() > killed_at for f in stored(app, Feed)))
            took = time.time() - started_at
            assert survivor.stop() == 0

        assert took < CLAIM_SECONDS + 12
        assert len(stored(app, Feed)) == 60
        assert_sound(app)
        assert_unclaimed(app)
        assert statuses(sandbox, "auth") in ([201], [201, 400]), "the survivor goes on with the stored token"


class TestRollingDeploys:
    def test_of_the_worker_under_load_end_well_each_time(self, app, sandbox, env, tmp_path):
        for _ in range(40):
            make_product(app, {"status": "pending"})
        env = env | {"SYNC_INTERVAL_SECONDS": "0.5", "SYNC_CONCURRENCY": "4"}
        sandbox.latency_ms = 10
        codes = []
        with ExitStack() as stack:
            current = stack.enter_context(worker(env, tmp_path / "0.log"))
            eventually(lambda: len(calls(sandbox, "offers")) > 20, seconds=20)
            for number in range(1, 4):
                successor = stack.enter_context(worker(env, tmp_path / f"{number}.log"))
                eventually(lambda: len(stored(app, Worker)) == 2, seconds=20)
                sandbox.advance()
                codes.append(current.stop())
                current = successor
            seen = len(calls(sandbox, "offers"))
            eventually(lambda: len(calls(sandbox, "offers")) > seen + 40)
            codes.append(current.stop())

        assert codes == [0] * 4
        assert stored(app, Worker) == []
        assert_unclaimed(app)
        assert_sound(app)
        assert statuses(sandbox, "auth") == [201]
        assert Counter(statuses(sandbox, "register")) == {201: 40}
        assert {feed.failures for feed in stored(app, Feed)} == {0}
        logs = "".join((tmp_path / f"{number}.log").read_text() for number in range(4))
        assert "Traceback" not in logs
        assert "error" not in {row.status for row in stored(app, JobRun)}
