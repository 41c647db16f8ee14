"""flask sandbox run: the same sandbox from the product's command line."""

import signal
import socket
import subprocess
import sys

import pytest
import requests
from click.testing import CliRunner
from flask import Flask

from aggregator.cli import sandbox as command
from aggregator.sandbox import Sandbox

PROGRAM = """
from flask import Flask
from aggregator.cli import sandbox
app = Flask("bare")
app.cli.add_command(sandbox.group)
app.cli(["sandbox", "run", "--port", "0", "--generation", "v1", "--fault", "503=9@auth"])
"""


@pytest.fixture
def runner():
    app = Flask(__name__)
    app.cli.add_command(command.group)
    return app.test_cli_runner()


def test_serves_until_sigterm_and_exits_0():
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=-1, stderr=-1, text=True) as process:
        line = process.stdout.readline()
        url = line.partition("OFFERS_BASE_URL=")[2].strip()
        response = requests.post(f"{url}/api/v1/auth", timeout=5)
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=5)

    assert line == f"The offers sandbox (v1) is at {url}; use OFFERS_BASE_URL={url}\n"
    assert (response.status_code, response.headers["Retry-After"]) == (503, "9")
    assert (process.returncode, rest, errors) == (0, "", "")


def test_passes_every_option_on(runner, monkeypatch):
    seen = {}
    monkeypatch.setattr(command, "Sandbox", lambda **options: seen.update(options) or Sandbox(**options))
    monkeypatch.setattr(command, "serve", lambda sandbox, say: 0)

    options = (
        "--host 0.0.0.0 --port 9000 --generation v1 --seed 3 --tick 5 --latency-ms 7 --token-ttl 9 "
        "--refresh-token mine --fault 500:0.5 --fault drip@offers --lively --verbose"
    )
    result = runner.invoke(args=["sandbox", "run", *options.split()])

    assert result.exit_code == 0
    assert seen == {
        "host": "0.0.0.0",
        "port": 9000,
        "generation": "v1",
        "seed": 3,
        "tick": 5,
        "latency_ms": 7,
        "token_ttl": 9,
        "refresh_token": "mine",
        "faults": ("500:0.5", "drip@offers"),
        "lively": True,
        "verbose": True,
        "record": False,
    }


def test_a_port_in_use_is_one_clear_sentence_and_exit_code_1():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        program = PROGRAM.replace('"--port", "0"', f'"--port", "{port}"')
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=10)

    assert result.returncode == 1
    assert result.stderr == (
        f"http://127.0.0.1:{port} is already in use; choose another port with --port, or 0 for any that is free.\n"
    )


@pytest.mark.parametrize("arguments", [["--fault", "boom"], ["--tick", "0"], ["--port", "70000"]])
def test_a_bad_option_is_a_usage_error(runner, arguments):
    result = runner.invoke(args=["sandbox", "run", *arguments])

    assert result.exit_code == 2
    assert "Error: " in result.output


def test_help_lists_the_kinds_of_faults():
    result = CliRunner().invoke(command.group, ["run", "--help"])

    assert "  drip-headers  the headers byte by byte" in result.output
