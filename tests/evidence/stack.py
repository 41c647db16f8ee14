"""A fresh installation: a database of its own, the sandbox, and the processes that an operator starts."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from sqlalchemy.engine import URL

from aggregator.sandbox import Sandbox
from tests.scenarios import processes
from tests.scenarios.processes import Process, answers, eventually

START_SECONDS = 40.0


@dataclass
class Shop:
    """A running web, and the header of an admin; paths are below /api/v1 unless they begin with two slashes."""

    process: Process
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return self.process.url

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """An answer, whatever it is; headers=None for a visitor, headers={...} beside the admin's."""
        headers = options.pop("headers", {})
        headers = {} if headers is None else {**self.headers, **headers}
        where = self.url + (path[1:] if path.startswith("//") else f"/api/v1{path}")
        return requests.request(method, where, headers=headers, timeout=30, allow_redirects=False, **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.request("GET", path, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.request("POST", path, **options)

    def patch(self, path: str, **options: Any) -> requests.Response:
        return self.request("PATCH", path, **options)

    def delete(self, path: str, **options: Any) -> requests.Response:
        return self.request("DELETE", path, **options)

    def add_product(self, name: str, **fields: Any) -> str:
        """A new product's id."""
        answer = self.post("/products", json={"name": name, "description": "", **fields})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def status(self) -> dict[str, Any]:
        """What /status says."""
        found: dict[str, Any] = self.get("//status").json()
        return found


@dataclass
class Stack:
    """An empty, migrated database, an offers service, and a folder for logs; nothing runs yet."""

    backend: str
    directory: Path
    sandbox: Sandbox
    env: dict[str, str]

    @classmethod
    def at(cls, url: URL, directory: Path, sandbox: Sandbox) -> "Stack":
        """A stack on the empty database at url, which is migrated as a release does it."""
        env = processes.environment(url, sandbox.url, SYNC_INTERVAL_SECONDS="1")
        stack = cls(url.get_backend_name(), directory, sandbox, env)
        migrated = stack.flask("db", "upgrade")
        assert migrated.returncode == 0, migrated.stderr
        return stack

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """A Python command run to its end, with further environment."""
        return subprocess.run(
            [sys.executable, *command],
            cwd=processes.ROOT,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def flask(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """A flask command run to its end."""
        return self.run("-m", "flask", "--app", "wsgi", *arguments, **env)

    @contextmanager
    def web(self, workers: int = 1, ready: bool = True, **env: str) -> Iterator[Shop]:
        """A running web with an admin who is signed in; with ready=False one that may be unable to serve."""
        with processes.web({**self.env, **env}, self.log("web"), workers) as process:
            if not ready:
                yield Shop(process)
                return
            eventually(lambda: answers(process.url), START_SECONDS)
            if not self.flask("users", "list").stdout.startswith("boss\t"):
                processes.make_admin(self.env)
            yield Shop(process, processes.sign_in(process.url))

    @contextmanager
    def worker(self, *prefix: str, **env: str) -> Iterator[Process]:
        """A running worker; prefix comes before its command, such as faketime and its options."""
        command = [*prefix, *processes.WORKER]
        with processes.worker({**self.env, **env}, self.log("worker"), command) as process:
            yield process

    def log(self, name: str) -> Path:
        """The file that all processes of a name write their log to."""
        return self.directory / f"{name}.log"

    def logged(self, name: str) -> str:
        """All that processes of that name have logged."""
        return self.log(name).read_text(errors="replace") if self.log(name).exists() else ""

    def write(self, name: str, content: bytes | str) -> str:
        """The path of a file with that content."""
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    def audit(self) -> subprocess.CompletedProcess[str]:
        """What `flask audit` finds; its exit code is 0 where that is nothing."""
        return self.flask("audit")


def is_root() -> bool:
    """Whether this process may do what ordinary users may not."""
    return os.geteuid() == 0
