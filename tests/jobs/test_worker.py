"""worker.py as a process: whether one is alive, and how it ends when it is told to."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy.engine import URL

from aggregator.clock import utcnow
from aggregator.database import transaction
from aggregator.jobs.worker import main
from aggregator.models import Feed, JobRun, Worker
from aggregator.sandbox import Sandbox
from aggregator.services import jobs
from tests.builders import edit, make_product, stored
from tests.flows.passes import assert_unclaimed, calls
from tests.scenarios.processes import ROOT, WORKER, Process, environment, eventually, process, worker

# A job that hears nothing, in a worker that is otherwise the real one.
DEAF = """
import sys, time
from aggregator.app import start
from aggregator.jobs import runner, timetable, worker
runner.STOP_SECONDS = 1.0
timetable.JOBS["sync-offers"] = timetable.Job("deaf", 1, lambda run: time.sleep(60) or {})
sys.exit(worker.main(start(), []))
"""


@pytest.fixture
def env(database_url: URL, sandbox: Sandbox) -> dict[str, str]:
    return environment(database_url, sandbox.url)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "worker.log"


@pytest.fixture
def started(app: Flask, env: dict[str, str], log: Path) -> Iterator[Process]:
    """A worker that is at work."""
    with worker(env, log) as started:
        eventually(lambda: stored(app, Worker))
        yield started


class TestCheck:
    @pytest.mark.parametrize(
        ("name", "age", "code"),
        [
            (f"{socket.gethostname()[:40]}:1", 0, 0),
            (f"{socket.gethostname()[:40]}:1", 110, 0),
            (f"{socket.gethostname()[:40]}:1", 130, 1),
            ("another-host:1", 0, 1),
        ],
    )
    def test_is_about_a_worker_of_this_host_that_was_heard_of_lately(self, app, name, age, code):
        with app.app_context(), transaction():
            jobs.beat(name, "1", utcnow())
        edit(app, Worker, steady_beat=time.monotonic() - age)

        assert main(app, ["--check"]) == code

    @pytest.mark.parametrize("hours", [-2, 2])
    def test_is_right_when_the_clock_was_set(self, app, hours):
        with app.app_context(), transaction():
            jobs.beat(f"{socket.gethostname()[:40]}:1", "1", utcnow())
        edit(app, Worker, beat_at=utcnow() + timedelta(hours=hours))
        alive = main(app, ["--check"])
        edit(app, Worker, steady_beat=time.monotonic() - 130)

        assert (alive, main(app, ["--check"])) == (0, 1)

    def test_says_in_words_what_it_found(self, app, capsys):
        main(app, ["--check"])
        with app.app_context(), transaction():
            jobs.beat(f"{socket.gethostname()[:40]}:1", "1", utcnow())
        main(app, ["--check"])
        edit(app, Worker, steady_beat=time.monotonic() - 130)
        main(app, ["--check"])

        assert capsys.readouterr().err.splitlines() == [
            "No worker of this host is running.",
            "The worker of this host was last heard of 130 s ago: it stands still, or has died.",
        ]

    @pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
    def test_tells_it_by_the_exit_code(self, started, env):
        done = subprocess.run([*WORKER, "--check"], cwd=ROOT, env=env, capture_output=True, timeout=30)

        assert done.returncode == 0


class TestTheEnd:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_is_quick_and_clean_when_there_is_nothing_to_do(self, app, started, number):
        at = time.monotonic()
        started.signal(number)

        assert started.end() == 0
        assert time.monotonic() - at < 5
        assert stored(app, Worker) == []
        assert "Traceback" not in started.said

    @pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
    def test_comes_in_time_while_the_service_hangs_and_gives_back_what_was_claimed(self, app, sandbox, env, log):
        for _ in range(50):
            make_product(app)
        sandbox.faults = ["timeout@offers", "timeout@register"]
        with worker(env, log) as started:
            eventually(lambda: calls(sandbox, "offers"))
            at = time.monotonic()

            assert started.stop() == 0
            assert time.monotonic() - at < 10
        assert_unclaimed(app)
        assert {feed.failures for feed in stored(app, Feed)} == {0}
        assert stored(app, Worker) == []

    @pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
    def test_is_not_hurried_nor_hindered_by_a_hail_of_signals(self, started):
        at = time.monotonic()
        while started.popen.poll() is None and time.monotonic() < at + 1.0:
            for _ in range(50):
                started.signal(signal.SIGTERM)
                started.signal(signal.SIGINT)

        assert started.end(9) == 0
        assert "Traceback" not in started.said

    @pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
    def test_comes_in_time_even_if_a_job_does_not_hear(self, app, env, log):
        with process([sys.executable, "-c", DEAF], env, log) as started:
            eventually(lambda: stored(app, JobRun))
            at = time.monotonic()

            assert started.stop(15) == 0
            assert time.monotonic() - at < 6
        assert stored(app, Worker) == []


class TestTheBeginning:
    @pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
    def test_is_refused_on_a_database_without_our_tables(self, empty_database_url, sandbox, log):
        with worker(environment(empty_database_url, sandbox.url), log) as started:
            assert started.end(15) == 78

            assert "Try `flask --app wsgi db upgrade`." in started.said

    @pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
    def test_is_refused_on_settings_that_cannot_work(self, database_url, log):
        with worker(environment(database_url, "not a URL"), log) as started:
            assert started.end(15) == 78

            assert "OFFERS_BASE_URL" in started.said
