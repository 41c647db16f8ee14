"""The real processes: worker.py, gunicorn and the sandbox, started as an operator would and always stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from sqlalchemy.engine import URL

from aggregator.sandbox import DEFAULT_REFRESH_TOKEN
from tests.builders import bearer

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "a-Lantern-at-Sea"
WORKER = [sys.executable, "worker.py"]
GUNICORN = [sys.executable, "-m", "gunicorn", "wsgi:app"]
# Runs worker.py with values set in modules of ours first: so a test need not wait for a claim of 90 seconds.
LAUNCHER = """
import importlib, sys
for setting in sys.argv[2:]:
    path, _, value = setting.partition("=")
    module, _, name = path.rpartition(".")
    assert hasattr(importlib.import_module(module), name), path
    setattr(importlib.import_module(module), name, float(value))
from aggregator.app import start
from aggregator.jobs.worker import main
sys.exit(main(start(), sys.argv[1].split()))
"""


def patched_worker(options: str = "", **settings: float) -> list[str]:
    """The command of a worker in which some constants are others: aggregator__services__feeds__CLAIM_SECONDS=3."""
    named = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
    return [sys.executable, "-c", LAUNCHER, options, *named]


def environment(database_url: URL, offers_url: str, **others: str) -> dict[str, str]:
    """What such a process is told, and nothing of what the tests were told."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "DATABASE_URL": database_url.render_as_string(hide_password=False),
        "OFFERS_BASE_URL": offers_url,
        "OFFERS_REFRESH_TOKEN": DEFAULT_REFRESH_TOKEN,
        "LOG_FORMAT": "json",
        "APP_ENV": "development",
        "FLASK_SKIP_DOTENV": "1",
        **others,
    }


@dataclass
class Process:
    """A process of ours, and what it wrote to stderr."""

    popen: subprocess.Popen[bytes]
    log: Path
    url: str = ""
    signalled: list[int] = field(default_factory=list)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def end(self, seconds: float = 10.0) -> int:
        """The exit code, which must be there within so many seconds."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it is still there after {seconds} s: {self.said[-2000:]}") from None

    def stop(self, seconds: float = 10.0) -> int:
        self.signal(signal.SIGTERM)
        return self.end(seconds)


@contextmanager
def process(command: list[str], env: dict[str, str], log: Path) -> Iterator[Process]:
    """A process for as long as the context lasts; killed in the end if it is still there."""
    with open(log, "ab") as stderr:
        popen = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
    try:
        yield Process(popen, log)
    finally:
        if popen.poll() is None:
            popen.terminate()
            try:
                popen.wait(12)
            except subprocess.TimeoutExpired:
                popen.kill()
        popen.wait()


@contextmanager
def worker(env: dict[str, str], log: Path, command: list[str] | None = None) -> Iterator[Process]:
    """A worker that may still be starting."""
    with process(command or WORKER, env, log) as started:
        yield started


@contextmanager
def web(env: dict[str, str], log: Path, workers: int = 2) -> Iterator[Process]:
    """Gunicorn with so many workers, which may still be starting."""
    port = free_port()
    env = {**env, "PORT": str(port), "HOST": "127.0.0.1", "WEB_CONCURRENCY": str(workers)}
    with process(GUNICORN, env, log) as started:
        started.url = f"http://127.0.0.1:{port}"
        yield started


@contextmanager
def sandbox_process(log: Path, *options: str) -> Iterator[Process]:
    """The sandbox on its own, listening; each request is a line of its log."""
    command = [sys.executable, "-m", "aggregator.sandbox", "--verbose", *options]
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    with process([*command], env, log) as started:
        eventually(lambda: "OFFERS_BASE_URL=" in started.said, 10)
        started.url = started.said.partition("OFFERS_BASE_URL=")[2].split()[0]
        yield started


def make_admin(env: dict[str, str]) -> None:
    """An admin named boss, made at the command line."""
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "users", "create-admin", "--password-stdin"]
    who = ["--username", "boss", "--email", "boss@example.com"]
    made = subprocess.run([*command, *who], cwd=ROOT, env=env, input=f"{PASSWORD}\n", capture_output=True, text=True)
    assert (made.returncode, made.stdout) == (0, "boss is an admin now.\n"), made.stderr


def sign_in(url: str) -> dict[str, str]:
    """The header with which boss may do everything at url."""
    credentials = {"username": "boss", "password": PASSWORD}
    answer = requests.post(f"{url}/api/v1/auth/login", json=credentials, timeout=10)
    assert answer.status_code == 200, answer.text
    return bearer(answer.json()["access_token"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(condition: Callable[[], Any], seconds: float = 15.0, pause: float = 0.05) -> Any:
    """What condition gives as soon as it is true; a failure where that takes too long."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(pause)
    return found


def answers(url: str) -> bool:
    """Whether there is somebody at url to talk to."""
    try:
        return requests.get(f"{url}/readyz", timeout=2).status_code == 200
    except requests.RequestException:
        return False
