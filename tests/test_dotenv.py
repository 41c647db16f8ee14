"""`.env`, as an operator fills it in: every process reads it, and all of them alike."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.scenarios.processes import ROOT, eventually, free_port

FLASK = ("-m", "flask", "--app", "wsgi")
PROCESSES = [(*FLASK, "jobs", "list"), ("-m", "gunicorn", "wsgi:app"), ("web.py",), ("worker.py",)]


@pytest.fixture
def installed(tmp_path) -> Path:
    """An installation of its own, whose .env is nobody else's."""
    for name in ("aggregator", "migrations"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("wsgi.py", "web.py", "worker.py", "gunicorn.conf.py"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def environment(**env: str) -> dict[str, str]:
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ} | env


def run(installed: Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=installed,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def running(installed: Path, *command: str, **env: str):
    log = installed / f"{Path(command[-1]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=installed, env=environment(**env), stdout=output, stderr=output
        )
    try:
        yield log
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_the_example_copied_as_it_is_works_with_make_run(installed):
    shutil.copy(ROOT / ".env.example", installed / ".env")
    ports = {"PORT": str(free_port()), "SANDBOX_PORT": str(free_port())}
    with running(installed, "-m", "aggregator.cli.demo", **ports) as log:
        eventually(lambda: "Ctrl-C stops everything" in log.read_text(), 240)


def test_the_example_copied_as_it_is_says_nothing(installed):
    shutil.copy(ROOT / ".env.example", installed / ".env")

    done = run(installed, *FLASK, "jobs", "list")

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [("-m", "gunicorn", "wsgi:app"), ("web.py",)], ids=" ".join)
def test_every_process_works_with_what_it_says(installed, command):
    port = free_port()
    lines = [
        "HOST=127.0.0.1 # this machine only",
        f"export PORT='{port}'",
        'WEB_CONCURRENCY="1"',
        "DATABASE_URL=sqlite:///shop.db",
        "LOG_FORMAT=json",
        "TIMEZONE=",
    ]
    (installed / ".env").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    migrated = run(installed, *FLASK, "db", "upgrade")
    assert migrated.returncode == 0, migrated.stderr
    assert f"Database: sqlite:///{installed}/shop.db\n" in migrated.stderr

    def answer() -> int:
        try:
            return requests.get(f"http://127.0.0.1:{port}/readyz", timeout=20).status_code
        except requests.RequestException:
            return 0

    with running(installed, *command) as web, running(installed, "worker.py") as worker:
        eventually(lambda: answer() == 200, 120)
        eventually(lambda: '"event":"worker started"' in worker.read_text(), 120)
        eventually(lambda: run(installed, *FLASK, "jobs", "status").stdout.startswith("worker "), 120)

    assert f"Listening at: http://127.0.0.1:{port}" in web.read_text()
    assert web.read_text().count("Booting worker") == 1


@pytest.mark.parametrize("environ", [{}, {"APP_ENV": "production"}], ids=["in .env", "in the environment"])
def test_production_means_the_same_to_all(installed, environ):
    (installed / ".env").write_text("CURRENCY=euro\n" if environ else "CURRENCY=euro\nAPP_ENV=production\n")

    done = [run(installed, *command, **environ) for command in PROCESSES]

    assert [one.returncode for one in done] == [78] * 4
    assert {one.stderr for one in done} == {
        "The settings are not right:\n"
        "  CURRENCY: It must be three capital letters of ISO 4217, such as EUR.\n"
        "  SECRET_KEY: production needs 32 random characters or more.\n"
        "  JWT_SECRET_KEY: production needs 32 random characters or more.\n"
        "  OFFERS_BASE_URL: production needs to know the offers service.\n"
    }


@pytest.mark.parametrize("content", [b'PORT="8000\nHOST=127.0.0.1\n', b"CURRENCY=\xff\n"], ids=["a quote", "no UTF-8"])
def test_one_that_cannot_be_read_is_said_in_words(installed, content):
    (installed / ".env").write_bytes(content)

    for command in PROCESSES[1:]:
        done = run(installed, *command)
        assert (done.returncode, "Traceback" in done.stderr) == (78, False), done.stderr
        assert done.stderr.startswith(f"{installed}/.env ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("WEB_CONCURRENCY", "two"), ("WEB_THREADS", "4.0"), ("PORT", "eighty"), ("HOST", "here:80")],
        *[("HOST", "nowhere.invalid"), ("HOST", "203.0.113.9")],
    ],
)
def test_web_names_what_is_wrong_with_how_it_serves(installed, name, value):
    done = run(installed, "web.py", **{name: value})

    assert (done.returncode, done.stderr.splitlines()[1].partition(":")[0]) == (78, f"  {name}")
