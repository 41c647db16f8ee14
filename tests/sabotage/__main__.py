"""Spoils the product, line by line, in copies of this tree, and runs the tests that are nearest to each line.

Prints how many were caught. Exits with 1 where tests pass without a line, or where the line is no longer there.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

from tests.postgres import postgres
from tests.sabotage.table import SABOTAGES, Sabotage

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = (".git", ".venv", "instance", "__pycache__", ".*_cache", ".hypothesis", ".benchmarks", "benchmarks")
SECONDS = 240  # a test that hangs has noticed something
CAUGHT, SURVIVED, GONE = "caught", "SURVIVED", "NO LONGER APPLIES"
NO_TESTS = 5  # pytest's exit code


@dataclass(frozen=True)
class Workshop:
    """A copy of the tree, and a PostgreSQL server of its own."""

    tree: Path
    database_url: str

    def attempt(self, sabotage: Sabotage) -> str:
        """Spoil the copy, run the nearest tests, and mend it again."""
        file = self.tree / sabotage.file
        sound = file.read_text()
        if sound.count(sabotage.line) != sabotage.times:
            return GONE
        file.write_text(sound.replace(sabotage.line, sabotage.becomes))
        try:
            return self._judged(sabotage)
        finally:
            file.write_text(sound)

    def _judged(self, sabotage: Sabotage) -> str:
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "--no-header",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
        ]
        command += [*sabotage.tests, *(("-k", sabotage.only) if sabotage.only else ())]
        environment = os.environ | {"TEST_DATABASE_URL": self.database_url, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(command, cwd=self.tree, env=environment, capture_output=True, timeout=SECONDS)
        except subprocess.TimeoutExpired:
            return CAUGHT
        if done.returncode == NO_TESTS or b"not found: " in done.stderr:
            return GONE
        return SURVIVED if done.returncode == 0 else CAUGHT


@contextmanager
def workshops(count: int) -> Iterator[Queue[Workshop]]:
    """So many copies of the tree, to be taken and given back."""
    free: Queue[Workshop] = Queue()
    with ExitStack() as stack:
        for _ in range(count):
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aggregator-sabotage-")))
            shutil.copytree(ROOT, place / "tree", ignore=shutil.ignore_patterns(*LEFT_OUT))
            server = stack.enter_context(postgres(autovacuum="off"))
            free.put(Workshop(place / "tree", server.url("postgres")))
        yield free


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sabotage", description=__doc__)
    parser.add_argument("names", nargs="*", help="only these, by the beginning of their files or names")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    chosen = [each for each in SABOTAGES if not options.names or each.matches(options.names)]
    with workshops(options.processes) as free, ThreadPoolExecutor(options.processes) as threads:

        def attempt(sabotage: Sabotage) -> str:
            workshop = free.get()
            try:
                outcome = workshop.attempt(sabotage)
            finally:
                free.put(workshop)
            print(f"{outcome:18} {sabotage.file}: {sabotage.why}", flush=True)
            return outcome

        outcomes = list(threads.map(attempt, chosen))
    print(f"{outcomes.count(CAUGHT)} of {len(chosen)} caught")
    return 0 if outcomes.count(CAUGHT) == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
