"""A long attack, for `make fuzz`: python -m tests.security.fuzz [--examples N] [--seed N]."""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path

from sqlalchemy.engine import URL

from aggregator.clients.offers import OffersService, normalized_base_url
from aggregator.config import Settings, normalized_database_url
from aggregator.sandbox import Sandbox
from tests.apps import apps
from tests.conftest import NEVER
from tests.databases import BACKENDS, migrate, sqlite_url
from tests.flows.passes import assert_sound
from tests.postgres import postgres
from tests.scenarios.processes import answers, environment, eventually, web
from tests.security.attack import CALLERS, ENVIRONMENT, SETTINGS, Findings, attack, furnish

PRODUCTS = 300


def main() -> int:
    """The exit code: 1 where something was found."""
    parser = argparse.ArgumentParser(description="Attack the API with schemathesis, as everybody, on every database.")
    parser.add_argument("--examples", type=int, default=200, help="how many random requests to each operation")
    parser.add_argument("--seed", type=int, default=random.randrange(10**9), help="the same one asks the same")
    parser.add_argument("--caller", choices=CALLERS, action="append", help="only as this one")
    parser.add_argument("--database", choices=BACKENDS, action="append", help="only on this one")
    options = parser.parse_args()
    print(f"{options.examples} examples of each operation, seed {options.seed}", flush=True)
    found = 0
    # Processes, because schemathesis in several threads trips over those of Python 3.11.
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as processes:
        attacks = {
            processes.submit(_attack, backend, caller, options.examples, options.seed): (backend, caller)
            for backend in options.database or BACKENDS
            for caller in options.caller or CALLERS
        }
        for finished in as_completed(attacks):
            found += _report(*attacks[finished], *finished.result())
    return 1 if found else 0


def _attack(backend: str, caller: str, examples: int, seed: int) -> tuple[Findings, float]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(_database(backend, directory))
        sandbox = stack.enter_context(Sandbox(tick=NEVER))
        service = OffersService(normalized_base_url(sandbox.url), sandbox.refresh_token)
        app = stack.enter_context(apps())(Settings(url, service, log_format="json", **SETTINGS))
        furnish(app, PRODUCTS)
        env = environment(url, sandbox.url, **ENVIRONMENT)
        site = stack.enter_context(web(env, directory / "web.log"))
        eventually(lambda: answers(site.url))
        began = time.monotonic()
        findings = attack(app, site.url, caller, examples, seed)
        took = time.monotonic() - began
        findings.errors += [line for line in site.said.splitlines() if '"level": "error"' in line]
        assert_sound(app)
    return findings, took


@contextmanager
def _database(backend: str, directory: Path) -> Iterator[URL]:
    with ExitStack() as stack:
        if backend == "sqlite":
            url = sqlite_url(directory / "aggregator.db")
        else:
            server = stack.enter_context(postgres())
            server.create_database("fuzz")
            url = normalized_database_url(server.url("fuzz"))
        migrate(url)
        yield url


def _report(backend: str, caller: str, findings: Findings, seconds: float) -> int:
    """How many things were found, after saying which."""
    requests = sum(findings.answers.values())
    failed = sum(count for (_, status), count in findings.answers.items() if status >= 500)
    print(f"\n{caller} on {backend}: {requests} requests in {seconds:.0f} s, {failed} server errors,", end=" ")
    print(f"{len(findings.failures)} failures, {len(findings.errors)} errors", flush=True)
    for reason, count in findings.excused.most_common():
        print(f"  {count:6} excused: {reason}")
    for (check, operation, title, status), text in findings.failures.items():
        print(f"  {check}: {operation}: {title} ({status})\n{text}")
    for error in findings.errors:
        print(f"  {error}")
    astray = findings.served ^ findings.served_to(caller)
    if astray:
        print(f"  served, or not, against the table of who may call what: {', '.join(sorted(astray))}")
    return failed + len(findings.failures) + len(findings.errors) + len(astray)


if __name__ == "__main__":
    sys.exit(main())
