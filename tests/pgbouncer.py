"""A real pgbouncer in transaction mode for tests, where this machine has one: `apt-get install pgbouncer`."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

from tests.postgres import account_to_run_as, hand_over, spawn

PATIENCE = 10.0  # seconds for a start
PORT = 6432  # of its socket's name only: it listens in a directory of its own
OPTIONS_IGNORED = "ignore_startup_parameters = options,extra_float_digits"


class PoolerUnavailable(Exception):
    """This machine has no pgbouncer."""


def _binary() -> str:
    if found := shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin"):
        return found
    raise PoolerUnavailable("pgbouncer is missing: `apt-get install pgbouncer` brings it.")


@contextmanager
def pgbouncer(server: URL, *settings: str, pool_size: int = 3) -> Iterator[Callable[[str], URL]]:
    """The way to a database of a server through a pooler, by its name, for as long as the context lasts.

    It hands out its connections in turn, so that all who use it get another session with nearly each transaction.
    """
    binary, account = _binary(), account_to_run_as()
    directory = Path(tempfile.mkdtemp(prefix="aggregator-bouncer-", dir="/tmp"))
    hand_over(directory, account)
    file, log = directory / "pgbouncer.ini", directory / "log"
    file.write_text("\n".join([*_configuration(server, directory, pool_size), *settings, ""]))
    try:
        with open(log, "wb") as output:
            process = spawn([binary, file], account, stdout=output, stderr=subprocess.STDOUT)
        try:
            _wait_until_ready(directory / f".s.PGSQL.{PORT}", process, log)
            where = server.set(host=None, port=None, query={"host": str(directory), "port": str(PORT)})
            yield lambda name: where.set(database=name)
        finally:
            process.kill()
            process.wait()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _configuration(server: URL, directory: Path, pool_size: int) -> list[str]:
    host, port = server.query.get("host") or server.host, server.query.get("port") or server.port or 5432
    password = f" password={server.password}" if server.password else ""
    return [
        *("[databases]", f"* = host={host} port={port} user={server.username}{password}"),
        *("[pgbouncer]", "listen_addr =", f"unix_socket_dir = {directory}", f"listen_port = {PORT}"),
        *("auth_type = any", "pool_mode = transaction", f"default_pool_size = {pool_size}", "max_client_conn = 500"),
        "server_round_robin = 1",
    ]


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
                raise RuntimeError(f"pgbouncer did not start: {last_words}") from None
            time.sleep(0.01)
