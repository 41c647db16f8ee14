"""Sabotage itself: a line is caught, survives, or is no longer there, and the tree is sound afterwards."""

from pathlib import Path

import pytest

from tests.sabotage.__main__ import CAUGHT, GONE, SURVIVED, Workshop
from tests.sabotage.table import SABOTAGES, Sabotage

CODE = "def half(number):\n    assert number >= 0\n    return number // 2\n"
TEST = "from code_of_ours import half\n\n\ndef test_half():\n    assert half(5) == 2\n"


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    (tmp_path / "code_of_ours.py").write_text(CODE)
    (tmp_path / "test_half.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    return Workshop(tmp_path, "")


@pytest.mark.parametrize(
    ("line", "becomes", "test", "outcome"),
    [
        ("number // 2", "number", "test_half.py", CAUGHT),
        ("    assert number >= 0\n", "", "test_half.py", SURVIVED),
        ("number // 3", "number", "test_half.py", GONE),
        ("number", "other", "test_half.py", GONE),  # it is there more than once
        ("number // 2", "number", "test_other.py", GONE),
    ],
)
def test_says_what_became_of_a_line_and_mends_it(workshop, line, becomes, test, outcome):
    assert workshop.attempt(Sabotage("code_of_ours.py", line, becomes, "", (test,))) == outcome

    assert (workshop.tree / "code_of_ours.py").read_text() == CODE


def test_each_line_of_the_table_is_another():
    lines = {(each.file, each.line, each.becomes) for each in SABOTAGES}

    assert len(lines) == len(SABOTAGES) >= 60
