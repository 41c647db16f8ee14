"""`python -m aggregator.sandbox`: the sandbox without the rest of the product."""

import signal
import socket
import subprocess
import sys

import pytest
import requests

COMMAND = [sys.executable, "-m", "aggregator.sandbox"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=10)


def test_help_names_every_option_and_kind_of_fault():
    result = run("--help")

    assert result.returncode == 0
    for word in ("--port", "--generation", "--tick", "--fault", "drip-headers", "wrong-types"):
        assert word in result.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_a_signal_and_ends_without_a_word(number):
    with subprocess.Popen([*COMMAND, "--port", "0"], stdout=-1, stderr=-1, text=True) as process:
        line = process.stdout.readline()
        url = line.partition("OFFERS_BASE_URL=")[2].split()[0]
        status = requests.post(f"{url}/api/v1/auth", headers={"Bearer": "sandbox-refresh-token"}, timeout=5).status_code
        process.send_signal(number)
        rest, errors = process.communicate(timeout=5)

    assert line == (
        f"The offers sandbox (v2) is at {url}; use OFFERS_BASE_URL={url} OFFERS_REFRESH_TOKEN=sandbox-refresh-token\n"
    )
    assert (status, process.returncode, rest, errors) == (201, 0, "", "")


def test_a_port_in_use_is_one_clear_sentence():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = run("--port", str(port))

    assert result.returncode == 1
    assert result.stderr == (
        f"http://127.0.0.1:{port} is already in use; choose another port with --port, or 0 for any that is free.\n"
    )


def test_a_bad_fault_is_a_usage_error():
    result = run("--fault", "boom")

    assert result.returncode == 2
    assert "There is no fault 'boom': the known kinds are" in result.stderr
