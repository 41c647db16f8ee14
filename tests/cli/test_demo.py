"""`make run`: it starts everything, tells where it is, and leaves nothing behind."""

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
import requests

from aggregator.cli import demo
from aggregator.cli.children import Child, Children, Stopped
from aggregator.errors import UsageError

COMMAND = [sys.executable, "-m", "aggregator.cli.demo"]
PATIENCE = 60.0
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")


class NoSignals:
    seen = False


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def descendants(pid: int) -> set[int]:
    """The processes that pid has started, and those that they have started."""
    listing = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [tuple(map(int, line.split())) for line in listing.splitlines()]
    found, new = set(), {pid}
    while new := {child for child, parent in pairs if parent in new} - found:
        found |= new
    return found


def alive(pid: int) -> bool:
    """Whether there is such a process, and not only its last trace."""
    state = told_by_ps(pid, "stat")
    return bool(state) and not state.startswith("Z")


def told_by_ps(pid: int, what: str) -> str:
    return subprocess.run(["ps", "-o", f"{what}=", "-p", str(pid)], capture_output=True, text=True).stdout.strip()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Demo:
    """A running demo with ports and a directory of its own."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self.port = free_port()
        environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "MAKELEVEL")}
        environment |= {"PORT": str(self.port), "SANDBOX_PORT": str(free_port())} | settings
        self.output = directory / "output"
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [*COMMAND, str(directory)], env=environment, stdout=output, stderr=subprocess.STDOUT, cwd=demo.ROOT
            )

    def wait_until_it_says(self, words: str) -> str:
        wait_until(lambda: words in self.output.read_text() or self.process.poll() is not None)
        text = self.output.read_text()
        assert words in text
        return text

    def products(self) -> list[dict[str, object]]:
        answer = requests.get(f"http://127.0.0.1:{self.port}/api/v1/products?page_size=100", timeout=5)
        return list(answer.json())


@contextmanager
def running(directory: Path, **settings: str) -> Iterator[Demo]:
    demo = Demo(directory, **settings)
    try:
        yield demo
    finally:
        demo.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            demo.process.wait(20)
        demo.process.kill()
        demo.process.wait()


def users(database: Path) -> list[tuple[str, str, int]]:
    """The names of the users, their roles, and whether they may sign in."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT username, role, active FROM users").fetchall()


def test_runs_twice_with_the_same_products_and_leaves_no_process(tmp_path):
    for _ in ("first", "second"):
        with running(tmp_path) as demonstration:
            text = demonstration.wait_until_it_says("Ctrl-C stops everything")
            processes = descendants(demonstration.process.pid)
            products = demonstration.products()
            offers = requests.get(re.search(r"curl (\S+)", text)[1], timeout=5).json()
            wait_until(lambda: {len(product["images"]) for product in demonstration.products()} == {1})
            started_to_stop = time.monotonic()
            demonstration.process.send_signal(signal.SIGINT)
            demonstration.process.send_signal(signal.SIGINT)

            assert demonstration.process.wait(PATIENCE) == 0
            assert time.monotonic() - started_to_stop < 10
        assert f"http://127.0.0.1:{demonstration.port}/docs" in text
        assert len(products) == demo.PRODUCTS
        assert all(product["offers_synced_at"] for product in products)
        assert len(offers) > 0
        assert len(processes) >= 4
        assert [process for process in processes if alive(process)] == []
        assert demonstration.output.read_text().endswith("Everything is stopped.\n")
        assert users(tmp_path / "demo.db") == [("demo-admin", "admin", 1)]
        # What somebody has tried out does not keep the next one from starting.
        with closing(sqlite3.connect(tmp_path / "demo.db", isolation_level=None)) as connection:
            connection.execute("UPDATE users SET role = 'customer', active = 0")


def test_makes_no_admin_in_a_database_of_somebody_elses_and_says_which_process_has_ended(tmp_path):
    with running(tmp_path, DATABASE_URL=f"sqlite:///{tmp_path}/mine.db") as demonstration:
        text = demonstration.wait_until_it_says("Ctrl-C stops everything")
        products = demonstration.products()
        processes = descendants(demonstration.process.pid)
        (worker,) = [process for process in processes if "worker.py" in told_by_ps(process, "args")]
        os.kill(worker, signal.SIGKILL)

        assert demonstration.process.wait(PATIENCE) == 1
    assert len(products) == demo.PRODUCTS
    assert "so this run has made no admin in it" in text
    assert demo.ADMIN not in text
    assert users(tmp_path / "mine.db") == []
    text = demonstration.output.read_text()
    assert f"The worker process has ended by itself (SIGKILL). The end of {tmp_path}/logs/worker.log:" in text
    assert "worker started" in text.partition("has ended by itself")[2]
    assert [process for process in processes if alive(process)] == []


@on_linux
def test_leaves_no_process_when_killed(tmp_path):
    with running(tmp_path) as demonstration:
        demonstration.wait_until_it_says("Ctrl-C stops everything")
        processes = descendants(demonstration.process.pid)
        demonstration.process.kill()

        wait_until(lambda: not any(alive(process) for process in processes))


@pytest.mark.parametrize("name", ["PORT", "SANDBOX_PORT"])
def test_a_port_that_is_taken_is_one_clear_sentence(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "StopSignals", NoSignals)
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("SANDBOX_PORT", str(free_port()))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv(name, str(port))

        assert demo.main([str(tmp_path)]) == 1
    captured = capsys.readouterr()
    assert captured.err == (
        f"Port {port} cannot be used (Address already in use), perhaps because of another `make run`: stop what "
        f"uses it, or choose another one with `make run {name}={demo.PORTS[name] + 100}`.\n"
    )
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["eight", "0", "65536", "-1", "8000.0", "²"])
def test_a_port_has_to_be_one(text, monkeypatch):
    monkeypatch.setenv("PORT", text)

    with pytest.raises(UsageError, match=f"^PORT must be a number from 1 to 65535, not '{re.escape(text)}'.$"):
        demo.free_port("PORT")


def test_web_and_sandbox_need_two_ports(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(demo, "StopSignals", NoSignals)
    monkeypatch.delenv("MAKELEVEL", raising=False)
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("SANDBOX_PORT", os.environ["PORT"])

    assert demo.main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == "PORT and SANDBOX_PORT must differ.\n"


def test_a_directory_is_for_one_at_a_time(tmp_path):
    with (
        demo.alone_in(tmp_path),
        pytest.raises(UsageError, match=r"^Another `make run` is using .*; stop it first.$"),
        demo.alone_in(tmp_path),
    ):
        pass
    with demo.alone_in(tmp_path):
        pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(UsageError, match="file/instance cannot be used: Not a directory"),
        demo.alone_in(tmp_path / "file" / "instance"),
    ):
        pass


class TestEnvironment:
    PORTS = {"PORT": 9000, "SANDBOX_PORT": 9001}

    def test_keeps_to_this_machine_and_the_sandbox(self, tmp_path, monkeypatch):
        monkeypatch.delenv("DATABASE_URL", raising=False)
        for name, value in {"OFFERS_BASE_URL": "https://real.example", "OFFERS_ACCESS_TOKEN": "real"}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("APP_ENV", "production")
        monkeypatch.setenv("NO_PROXY", "intra.example")
        monkeypatch.setenv("GUNICORN_CMD_ARGS", "--bind=0.0.0.0:80")

        environment = demo.environment(tmp_path, self.PORTS)

        assert environment["DATABASE_URL"] == f"sqlite:///{tmp_path}/demo.db"
        assert environment["OFFERS_BASE_URL"] == "http://127.0.0.1:9001"
        assert environment["OFFERS_ACCESS_TOKEN"] == ""
        assert (environment["HOST"], environment["PORT"]) == ("127.0.0.1", "9000")
        assert environment["APP_ENV"] == "development"
        assert environment["NO_PROXY"] == environment["no_proxy"] == "intra.example,127.0.0.1"
        assert "GUNICORN_CMD_ARGS" not in environment

    def test_takes_the_database_and_the_pace_that_it_is_given(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "postgresql:///mine")
        monkeypatch.setenv("SYNC_INTERVAL_SECONDS", "60")

        environment = demo.environment(tmp_path, self.PORTS)

        assert (environment["DATABASE_URL"], environment["SYNC_INTERVAL_SECONDS"]) == ("postgresql:///mine", "60")

    def test_takes_an_empty_setting_for_none(self, tmp_path, monkeypatch):
        monkeypatch.setenv("DATABASE_URL", "")

        assert demo.environment(tmp_path, self.PORTS)["DATABASE_URL"].startswith("sqlite:")


class TestChildren:
    @pytest.fixture
    def children(self, tmp_path) -> Iterator[Children]:
        with Children(tmp_path, dict(os.environ), tmp_path, NoSignals()) as children:
            yield children

    def test_a_step_that_fails_is_told_with_its_last_lines(self, children):
        with pytest.raises(UsageError) as told:
            children.run("migrate", "-c", "print('line', *range(3), sep='\\n'); raise SystemExit(3)")

        assert told.value.detail.splitlines() == [
            f"The step `migrate` failed (exit code 3). The end of {children.logs / 'migrate.log'}:",
            *["  line", "  0", "  1", "  2"],
        ]

    def test_a_step_that_succeeds_is_not_watched(self, children):
        children.run("migrate", "-c", "")

        children.watch(0)

    def test_one_that_does_not_end_is_killed_with_all_of_its_session(self, children):
        program = (
            "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid, flush=True);"
            "time.sleep(60)"
        )
        child: Child = children.start("stubborn", "-c", program, patience=0.2)
        wait_until(lambda: child.log.read_text().endswith("\n"))

        child.end()

        assert child.process.returncode == -signal.SIGKILL
        wait_until(lambda: not alive(int(child.log.read_text())))

    def test_they_end_in_the_opposite_order_of_their_start(self, tmp_path):
        program = (
            "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(time.monotonic())));"
            "print('ready', flush=True); time.sleep(60)"
        )
        with Children(tmp_path, dict(os.environ), tmp_path, NoSignals()) as children:
            logs = [children.start(name, "-c", program, patience=5.0).log for name in ("sandbox", "web", "worker")]
            wait_until(lambda: all(log.read_text() for log in logs))

        sandbox, web, worker = (float(log.read_text().split()[1]) for log in logs)
        assert worker < web < sandbox

    def test_a_signal_ends_the_wait(self, children):
        children.signals.seen = True

        with pytest.raises(Stopped):
            children.wait_for(lambda: False, 60)
