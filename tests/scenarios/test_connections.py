"""The smallest database of Heroku has 20 connections: web, worker and a restart of both get by with them."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg2
import pytest
import requests

from aggregator.config import normalized_database_url
from tests.databases import migrate
from tests.postgres import PostgresServer, postgres
from tests.scenarios.processes import answers, environment, eventually, make_admin, sign_in, web, worker

CLIENTS = 24
PAUSE_SECONDS = 0.5  # of a client between two requests: it is connections that are short here
PATIENCE = 120.0


@pytest.fixture
def small() -> Iterator[PostgresServer]:
    with postgres(max_connections=20, superuser_reserved_connections=3) as server:
        server.create_database("shop")
        with psycopg2.connect(host=str(server.directory), user="postgres", dbname="shop") as connection:
            connection.cursor().execute("CREATE ROLE app LOGIN; ALTER DATABASE shop OWNER TO app")
            connection.cursor().execute("GRANT ALL ON SCHEMA public TO app")
        connection.close()
        yield server


class Clients:
    """Clients that read and write without a pause, at whatever web is the current one."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url, self.headers = url, headers
        self.seen: Counter[int] = Counter()
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self._work, args=(number,)) for number in range(CLIENTS)]

    def __enter__(self) -> "Clients":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()

    def _work(self, number: int) -> None:
        turn = 0
        while not self.over.wait(PAUSE_SECONDS):
            turn += 1
            product = {"name": f"Product {number} {turn}", "description": ""}
            url = f"{self.url}/api/v1/products"
            try:
                if turn % 4:
                    answer = requests.get(url, timeout=30)
                else:
                    answer = requests.post(url, json=product, headers=self.headers, timeout=30)
            except requests.ConnectionError:
                continue  # the web that it had begun to talk to has ended
            self.seen[answer.status_code] += 1


def test_a_restart_under_load_answers_no_503(small, sandbox, tmp_path):
    url = normalized_database_url(small.url("shop").replace("postgres@", "app@"))
    migrate(url)
    env = environment(url, sandbox.url, SYNC_INTERVAL_SECONDS="1")
    make_admin(env)
    with ExitStack() as stack:
        first = stack.enter_context(web(env, tmp_path / "first.log"))
        first_worker = stack.enter_context(worker(env, tmp_path / "first-worker.log"))
        eventually(lambda: answers(first.url), PATIENCE)
        clients = stack.enter_context(Clients(first.url, sign_in(first.url)))
        eventually(lambda: sum(clients.seen.values()) > 200, PATIENCE)

        second = stack.enter_context(web(env, tmp_path / "second.log"))
        second_worker = stack.enter_context(worker(env, tmp_path / "second-worker.log"))
        eventually(lambda: answers(second.url), PATIENCE)
        clients.url = second.url
        overlapping = sum(clients.seen.values())
        eventually(lambda: sum(clients.seen.values()) > overlapping + 50, PATIENCE)
        assert first_worker.stop(60) == 0
        assert first.stop(60) == 0
        alone = sum(clients.seen.values())
        eventually(lambda: sum(clients.seen.values()) > alone + 100, PATIENCE)
        clients.over.set()

    assert set(clients.seen) == {200, 201}, clients.seen
    assert "Traceback" not in second.said + second_worker.said + first.said + first_worker.said


def test_connections_that_are_nearly_all_taken_are_named_in_status(small, sandbox, tmp_path):
    url = normalized_database_url(small.url("shop").replace("postgres@", "app@"))
    migrate(url)
    holding = []
    with web(environment(url, sandbox.url), tmp_path / "web.log", workers=1) as site:
        eventually(lambda: answers(site.url), PATIENCE)
        try:
            for _ in range(15):
                holding.append(psycopg2.connect(host=str(small.directory), user="app", dbname="shop"))
            problems = requests.get(f"{site.url}/status", timeout=30).json()["problems"]
        finally:
            for connection in holding:
                connection.close()

    (named,) = [problem for problem in problems if problem.startswith("database: ")]
    assert "too many connections (1" in named
    assert named.endswith("Lower DB_POOL_SIZE or the number of processes, or raise the server's limit.")
