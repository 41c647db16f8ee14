"""`flask products import` as the process that an operator starts, on each database: long files with bad rows."""

import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.engine import URL

from aggregator.database import db
from aggregator.models import Feed, Product, StockMovement
from aggregator.services import audit
from tests.flows.passes import assert_audited
from tests.scenarios.processes import ROOT, environment

COLUMNS = ("name", "description", "brand", "price", "stock", "rating", "category")
# Starts Python and notes the most memory that it had. Of a process that is started by a large one, such as that of the
# tests, the system takes the other's for its own.
MEASURED = """
import os, sys
child = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[2:]], os.environ)
_, status, used = os.wait4(child, 0)
with open(sys.argv[1], "w") as file:
    file.write(str(used.ru_maxrss))
sys.exit(os.waitstatus_to_exitcode(status))
"""
EVERY = 100  # rows, of which one is bad
# What is wrong with the bad ones, in turn, and what is said of it.
WRONG: list[tuple[dict[str, str], str]] = [
    ({"price": "-1"}, "price: Must be a whole number from 0 to 1000000000000."),
    ({"price": "12.50"}, "price: Must be a whole number from 0 to 1000000000000."),
    ({"stock": "many"}, "stock: Must be a whole number from 0 to 1000000000."),
    ({"rating": "5.1"}, "rating: Must be a number from 0 to 5."),
    ({"name": ""}, "name: Must be a text of 1 to 255 characters."),
    ({"name": "x" * 256}, "name: Must be a text of 1 to 255 characters."),
    ({"category": "nowhere"}, "category: There is no category 'nowhere'."),
    (
        {"price": "x", "rating": "nan"},
        "price: Must be a whole number from 0 to 1000000000000. rating: Must be a number from 0 to 5.",
    ),
]


def write(file: Path, count: int, name: str = "Product") -> list[str]:
    """Write a file of so many rows; what is to be said of the bad ones."""
    said = []
    with file.open("w", newline="") as opened:
        rows = csv.DictWriter(opened, COLUMNS)
        rows.writeheader()
        for number in range(count):
            row = {"name": f"{name} {number}", "description": "As good as the one before, and a little newer."}
            row |= {"brand": "Granato", "price": str(number), "stock": str(number % 7), "rating": "4.5"}
            if number % EVERY == EVERY - 1:
                wrong, reason = WRONG[number // EVERY % len(WRONG)]
                row |= wrong
                said.append(f"line {number + 2}: {reason}")
            rows.writerow(row)
    return said


@dataclass(frozen=True)
class Ended:
    """How a command has ended: what it said, of what it complained, and the most memory that it had, in KiB."""

    code: int
    said: str
    complaints: list[str]
    peak: int


def flask(env: dict[str, str], logs: Path, *arguments: str) -> Ended:
    """A command of ours as a process of its own, when it has ended."""
    peak, command = logs / "peak", ["-m", "flask", "--app", "wsgi", *arguments]
    measured = [sys.executable, "-c", MEASURED, str(peak), *command]
    ended = subprocess.run(measured, cwd=ROOT, env=env, capture_output=True, text=True)
    return Ended(ended.returncode, ended.stdout, ended.stderr.splitlines(), int(peak.read_text()))


def counts(app: Flask) -> dict[str, int]:
    """How many products there are, how many the worker is to register, and how many are explained in the ledger."""
    asked = {"products": Product.id, "feeds": Feed.product_id, "with stock": StockMovement.product_id}
    with app.app_context():
        return {name: db.session.scalar(sa.select(sa.func.count(column))) or 0 for name, column in asked.items()}


@pytest.fixture
def env(database_url: URL) -> dict[str, str]:
    return environment(database_url, "http://127.0.0.1:9")


def test_the_good_rows_of_a_file_are_in_and_the_bad_ones_are_told_by_line_and_reason(app, env, tmp_path):
    reasons = write(tmp_path / "products.csv", 3_000)

    ended = flask(env, tmp_path, "products", "import", str(tmp_path / "products.csv"))

    assert (ended.code, ended.said) == (1, "2970 added, 0 updated, 0 unchanged, 30 rejected.\n")
    assert ended.complaints[0].startswith("Database: ")
    assert ended.complaints[1:] == ["Importing", *reasons]
    assert counts(app) == {"products": 2_970, "feeds": 2_970, "with stock": 2_545}
    assert_audited(app)


@pytest.mark.evidence
def test_of_100000_rows_99000_are_in_and_1000_told_in_no_more_memory_than_a_tenth_of_them_takes(app, env, tmp_path):
    write(tmp_path / "some.csv", 10_000)
    some = flask(env, tmp_path, "products", "import", str(tmp_path / "some.csv"))
    assert counts(app)["products"] == 9_900
    reasons = write(tmp_path / "many.csv", 100_000, "Thing")

    many = flask(env, tmp_path, "products", "import", str(tmp_path / "many.csv"))

    assert (many.code, many.said) == (1, "99000 added, 0 updated, 0 unchanged, 1000 rejected.\n")
    assert many.complaints[1:] == ["Importing", *reasons]
    assert len(reasons) == 1_000
    assert counts(app) == {"products": 108_900, "feeds": 108_900, "with stock": 93_342}
    print(f"most memory: {some.peak} KiB for 10 000 rows, {many.peak} KiB for 100 000")
    assert many.peak < 1.1 * some.peak
    audited = flask(env, tmp_path, "audit")
    assert (audited.code, audited.said) == (0, f"All {len(audit.RULES)} rules hold.\n")
