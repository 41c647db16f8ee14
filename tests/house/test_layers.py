"""The layers of the design: a module imports only from the rows that it may."""

import ast
from pathlib import Path

import pytest

from tests.house.modules import MODULES, PACKAGE, layer_of, named

FOUNDATION = {"clock", "errors", "models", "database", "reading"}
MAY_IMPORT = {
    "clock": set(),
    "errors": set(),
    "logs": set(),
    "models": set(),
    "sandbox": set(),  # it stands for somebody else's program
    "sql": {"models"},
    "reading": {"sql"},
    "database": {"models", "reading", "sql"},
    "clients": {"errors"},
    "config": {"clients", "errors"},
    "services": FOUNDATION | {"clients", "sql"},
    "flows": FOUNDATION | {"clients", "services"},
    "extensions": {"clients", "config", "flows"},
    "schemas": {"clock", "models"},
    "auth": FOUNDATION | {"extensions", "services"},
    "api": FOUNDATION | {"auth", "clients", "extensions", "flows", "schemas", "services"},
    "pages": FOUNDATION | {"auth", "clients", "extensions", "flows", "schemas", "services"},
    "jobs": FOUNDATION | {"clients", "extensions", "flows", "logs", "services"},
    "cli": FOUNDATION | {"clients", "extensions", "flows", "jobs", "sandbox", "services"},
}
ROOTS = {"__init__", "app"}  # the composition root knows everyone


def imports_of(module: Path) -> set[str]:
    """The modules and names of ours that a module imports, such as "services.feeds.Claimed"."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "imports are absolute"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.removeprefix("aggregator.") for name in found if name.startswith("aggregator.")} - {"__version__"}


def test_every_layer_stands_in_the_table():
    assert {layer_of(module) for module in MODULES} - ROOTS <= MAY_IMPORT.keys()


@pytest.mark.parametrize("module", [m for m in MODULES if layer_of(m) not in ROOTS], ids=named)
def test_a_module_imports_only_from_its_layer_and_below(module):
    layers = {name.partition(".")[0] for name in imports_of(module)}

    assert layers <= MAY_IMPORT[layer_of(module)] | {layer_of(module)}


@pytest.mark.parametrize("module", [m for m in MODULES if layer_of(m) == "services"], ids=named)
def test_services_know_the_types_of_clients_but_call_none(module):
    from_clients = {name for name in imports_of(module) if name.startswith("clients.")}

    assert {name for name in from_clients if not name.rpartition(".")[2][0].isupper()} == set()
    assert {name for name in from_clients if name.startswith(("clients.single", "clients.many"))} == set()


def test_sql_knows_the_column_types_and_no_model():
    known = {name.rpartition(".")[0] for module in (PACKAGE / "sql").glob("*.py") for name in imports_of(module)}

    assert {name for name in known if name.startswith("models")} == {"models.types"}


@pytest.mark.parametrize("module", [m for m in MODULES if layer_of(m) in ("models", "clients", "sandbox")], ids=named)
def test_models_and_clients_and_the_sandbox_know_no_flask(module):
    nodes = list(ast.walk(ast.parse(module.read_text())))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]

    assert [name for name in names if "flask" in name.lower()] == []


def test_nobody_imports_the_composition_root():
    assert [named(module) for module in MODULES if any(n.startswith("app.") for n in imports_of(module))] == []
