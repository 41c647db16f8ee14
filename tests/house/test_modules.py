"""What a module is called, how long it is, and who may end a transaction."""

import ast

import pytest

from tests.house.modules import MODULES, layer_of, named

SAYS_NOTHING = {"utils", "helpers", "common", "manager", "misc"}
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 45  # most have less than 25; a longer one is a list of declarations
ENDS_TRANSACTIONS = {"commit", "rollback", "transaction", "in_transaction"}


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_a_module_says_what_it_holds(module):
    parts = {part.removesuffix(".py") for part in module.parts}

    assert parts & SAYS_NOTHING == set()


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_a_module_has_a_docstring_and_fits_a_readers_head(module):
    text = module.read_text()

    assert ast.get_docstring(ast.parse(text)) or module.name == "__init__.py"
    assert len(text.splitlines()) <= MAX_MODULE_LINES


@pytest.mark.parametrize("module", MODULES, ids=named)
def test_functions_are_short(module):
    functions = [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.FunctionDef)]
    lengths = {function.name: (function.end_lineno or 0) - function.lineno + 1 for function in functions}

    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("module", [m for m in MODULES if layer_of(m) in ("services", "models", "schemas")], ids=named)
def test_services_leave_the_end_of_a_transaction_to_their_caller(module):
    calls = [node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call)]
    called = {call.attr if isinstance(call, ast.Attribute) else getattr(call, "id", "") for call in calls}

    assert called & ENDS_TRANSACTIONS == set()
