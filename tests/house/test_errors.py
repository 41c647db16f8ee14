"""Errors: each states its code and what to do, and none is raised that has no code."""

import ast
import re
from collections import Counter

from aggregator import errors
from aggregator.errors import ProblemError
from tests.house.modules import MODULES, named, nodes_of

KINDS = {"Conflict", "Invalid"}  # without a code: their subclasses have them
NO_PROBLEM = {"UsageError"}  # for people at a terminal


def subclasses(of: type[ProblemError]) -> set[type[ProblemError]]:
    return {of}.union(*(subclasses(each) for each in of.__subclasses__()))


def ours() -> set[type[ProblemError]]:
    return {each for each in subclasses(ProblemError) if each.__module__.startswith("aggregator.")}


def test_each_error_states_a_code_of_its_own():
    without = {error.__name__ for error in ours() if not vars(error).get("code")}
    codes = Counter(error.code for error in errors.every_error())

    assert without == KINDS | NO_PROBLEM
    assert {code for code, times in codes.items() if times > 1} == set()
    assert [code for code in codes if not re.fullmatch("[a-z]+(_[a-z]+)*", code)] == []


def test_each_error_has_a_message_and_says_what_to_do():
    texts = {error.__name__: errors.paragraphs(error) for error in errors.every_error()}

    assert {name for name, parts in texts.items() if len(parts) < 2} == set()
    assert {name: part for name, parts in texts.items() for part in parts if not part.endswith(".")} == {}


def test_errors_stand_in_their_package():
    assert {error.__name__ for error in ours() if not error.__module__.startswith("aggregator.errors.")} == set()


def test_no_kind_of_errors_is_raised_in_place_of_one_of_them():
    used = [
        (named(module), node.lineno)
        for module in MODULES
        for node in (*nodes_of(module, ast.Call), *nodes_of(module, ast.Raise))
        if called(node) in KINDS
    ]

    assert used == []


def called(node: ast.Call | ast.Raise) -> str | None:
    """The name of what is called, or raised without a call."""
    function = node.func if isinstance(node, ast.Call) else node.exc
    return getattr(function, "attr", getattr(function, "id", None))
