"""What a module is called, how long it is, and who may end a transaction."""

import ast

from tests.house.modules import MODULES, layer_of, named, nodes_of

SAYS_NOTHING = {"utils", "helpers", "common", "manager", "misc"}
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 45  # most have less than 25; a longer one is a list of declarations
ENDS_TRANSACTIONS = {"commit", "rollback", "transaction", "in_transaction"}


def test_a_module_says_what_it_holds():
    found = {named(module): {part.removesuffix(".py") for part in module.parts} & SAYS_NOTHING for module in MODULES}

    assert {name: parts for name, parts in found.items() if parts} == {}


def test_a_module_has_a_docstring_and_fits_a_readers_head():
    texts = {named(module): module.read_text() for module in MODULES}
    lengths = {name: len(text.splitlines()) for name, text in texts.items()}

    assert [n for n, t in texts.items() if not n.endswith("__init__.py") and not ast.get_docstring(ast.parse(t))] == []
    assert {name: length for name, length in lengths.items() if length > MAX_MODULE_LINES} == {}


def test_functions_are_short():
    lengths = {
        (named(module), function.name): (function.end_lineno or 0) - function.lineno + 1
        for module in MODULES
        for function in nodes_of(module, ast.FunctionDef)
    }

    assert {name: length for name, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}


def test_services_leave_the_end_of_a_transaction_to_their_caller():
    found = {
        named(module): {getattr(call.func, "attr", getattr(call.func, "id", "")) for call in nodes_of(module, ast.Call)}
        for module in MODULES
        if layer_of(module) in ("services", "models", "schemas")
    }

    assert {name: ended for name, called in found.items() if (ended := called & ENDS_TRANSACTIONS)} == {}
