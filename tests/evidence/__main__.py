"""Runs the checks: `python -m tests.evidence [NUMBER ...] [--backend NAME]`; exit code 1 if one is wrong."""

import argparse
import importlib
import pkgutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import URL

import tests.evidence
from aggregator.config import normalized_database_url
from aggregator.sandbox import Sandbox
from tests.databases import sqlite_url
from tests.evidence.checks import BOTH, CHECKS, Check, Fact
from tests.evidence.stack import Stack
from tests.postgres import PostgresServer, postgres

STANDSTILL = 10**9  # seconds between two prices of the sandbox: it moves when a check says so


def main() -> int:
    """Print each number with what was seen and what is right; 1 where one of them is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.evidence", description=__doc__)
    parser.add_argument("numbers", nargs="*", help="only these, such as A1; a letter for all that begin with it")
    parser.add_argument("--backend", choices=BOTH, action="append", help="only this database")
    options = parser.parse_args()
    for module in pkgutil.iter_modules(tests.evidence.__path__):
        if module.name != "__main__":
            importlib.import_module(f"tests.evidence.{module.name}")
    wanted = [one for one in CHECKS if not options.numbers or one.number.startswith(tuple(options.numbers))]
    wanted.sort(key=lambda one: (one.number[0], int(one.number[1:])))
    runs = [(one, backend) for one in wanted for backend in options.backend or BOTH if backend in one.backends]
    with postgres() as server:
        wrong = [one.number for one, backend in runs if not all(fact.holds for fact in _run(one, backend, server))]
    print(f"\n{len(runs) - len(wrong)} of {len(runs)} right{': wrong ' + ', '.join(wrong) if wrong else ''}")
    return 1 if wrong or not runs else 0


def _run(one: Check, backend: str, server: PostgresServer) -> list[Fact]:
    print(f"\n{one.number} on {backend}: {one.promise}", flush=True)
    with _stack(backend, server, f"evidence_{one.number.lower()}") as stack:
        facts = one(stack)
    for fact in facts:
        print(f"  {fact}", flush=True)
    return facts


@contextmanager
def _stack(backend: str, server: PostgresServer, name: str) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="evidence-") as folder, Sandbox(tick=STANDSTILL) as sandbox:
        directory = Path(folder)
        yield Stack.at(_database(backend, directory, server, name), directory, sandbox)


def _database(backend: str, directory: Path, server: PostgresServer, name: str) -> URL:
    if backend == "sqlite":
        return sqlite_url(directory / "shop.db")
    server.drop_database(name)
    server.create_database(name)
    return normalized_database_url(server.url(name))


if __name__ == "__main__":
    sys.exit(main())
