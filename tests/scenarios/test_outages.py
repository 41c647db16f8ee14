"""An outage of the database, and a database that can only be read, under the real web and worker."""

import json
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg2
import pytest
import requests

from aggregator.config import normalized_database_url
from tests.databases import migrate
from tests.postgres import postgres
from tests.scenarios.processes import answers, environment, eventually, make_admin, sign_in, web, worker


def lines(log: Path, event: str) -> list[dict]:
    """The lines of a log that tell of an event."""
    found = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in found if line.get("event") == event]


def execute(server, statement: str) -> None:
    connection = psycopg2.connect(host=str(server.directory), user="postgres", dbname="postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'shop'")
    connection.close()


@pytest.fixture
def server():
    with postgres() as server:
        server.create_database("shop")
        yield server


@pytest.fixture
def env(server, sandbox):
    url = normalized_database_url(server.url("shop"))
    migrate(url)
    return environment(url, sandbox.url, SYNC_INTERVAL_SECONDS="1")


def test_an_outage_of_the_database_is_one_line_when_it_begins_and_one_when_it_ends(server, env, tmp_path):
    web_log, worker_log = tmp_path / "web.log", tmp_path / "worker.log"
    with ExitStack() as stack:
        site = stack.enter_context(web(env, web_log, workers=1))
        at_work = stack.enter_context(worker(env, worker_log))
        eventually(lambda: answers(site.url), 40)
        eventually(lambda: "worker started" in at_work.said, 40)
        server.stop()
        seen = set()
        until = time.monotonic() + 12
        while time.monotonic() < until:
            answer = requests.get(f"{site.url}/api/v1/products", timeout=30)
            seen.add((answer.status_code, "Retry-After" in answer.headers))
            time.sleep(0.2)
        unready = requests.get(f"{site.url}/readyz", timeout=30)
        strict = requests.get(f"{site.url}/status?strict=true", timeout=30)
        server.start()
        eventually(lambda: requests.get(f"{site.url}/api/v1/products", timeout=30).status_code == 200, 40)
        eventually(lambda: lines(worker_log, "outage ends"), 40)

    words = "connection refused. Check that the server runs, and DATABASE_URL."
    assert seen == {(503, True)}
    assert (unready.status_code, unready.json()["reason"].endswith(words)) == (503, True)
    assert (strict.status_code, strict.json()["problems"]) == (503, [unready.json()["reason"]])
    for log in (web_log, worker_log):
        begun, ended = lines(log, "outage begins"), lines(log, "outage ends")
        assert [(line["level"], line["thing"]) for line in begun] == [("error", "database")], begun
        assert [(line["level"], line["thing"]) for line in ended] == [("info", "database")], ended
        assert begun[0]["trouble"].startswith("database: postgres at ")
        assert "Traceback" not in log.read_text()


@pytest.mark.parametrize(
    ("broken", "mended", "words"),
    [
        (
            "ALTER DATABASE shop SET default_transaction_read_only = on",
            "ALTER DATABASE shop RESET default_transaction_read_only",
            "it is read-only.",
        ),
        (
            "ALTER ROLE app SET default_transaction_read_only = on",
            "ALTER ROLE app RESET default_transaction_read_only",
            "it is read-only.",
        ),
    ],
    ids=["the database", "the role"],
)
def test_a_database_that_can_only_be_read_answers_reads_and_heals(server, env, tmp_path, broken, mended, words):
    execute(server, "CREATE ROLE app SUPERUSER LOGIN")
    env["DATABASE_URL"] = env["DATABASE_URL"].replace("postgres@", "app@")
    web_log, worker_log = tmp_path / "web.log", tmp_path / "worker.log"
    make_admin(env)
    with ExitStack() as stack:
        site = stack.enter_context(web(env, web_log, workers=1))
        at_work = stack.enter_context(worker(env, worker_log))
        eventually(lambda: answers(site.url), 40)
        eventually(lambda: "worker started" in at_work.said, 40)
        headers = sign_in(site.url)
        execute(server, broken)
        eventually(lambda: requests.get(f"{site.url}/api/v1/products", timeout=30).status_code == 200, 20)
        product = {"name": "Lamp", "description": ""}
        posts = [
            requests.post(f"{site.url}/api/v1/products", json=product, headers=headers, timeout=30) for _ in range(3)
        ]
        reads = [requests.get(f"{site.url}/{path}", timeout=30) for path in ("api/v1/products", "readyz", "status")]
        eventually(lambda: lines(worker_log, "outage begins"), 40)
        execute(server, mended)
        eventually(lambda: lines(worker_log, "outage ends"), 40)
        eventually(
            lambda: (
                requests.post(f"{site.url}/api/v1/products", json=product, headers=headers, timeout=30).status_code
                == 201
            ),
            20,
        )

    assert [(post.status_code, "Retry-After" in post.headers) for post in posts] == [(503, True)] * 3
    assert [read.status_code for read in reads] == [200] * 3
    assert words in reads[1].json()["reason"]
    assert any(words in problem for problem in reads[2].json()["problems"])
    for log in (web_log, worker_log):
        assert "Traceback" not in log.read_text()
        things = [line["thing"] for line in lines(log, "outage begins")]
        assert things.count("writing to the database") == 1, things
