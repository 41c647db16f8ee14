"""The layers of the design: a module imports only from the rows that it may."""

import ast
from pathlib import Path

from tests.house.modules import MODULES, PACKAGE, layer_of, named, nodes_of

FOUNDATION = {"clock", "errors", "folding", "literals", "models"}
FOUNDATION |= {"database", "outages", "probing", "reading", "troubles"}
WEB = FOUNDATION | {"auth", "clients", "extensions", "flows", "operations", "problem_types", "schemas", "services"}
MAY_IMPORT = {
    "clock": set(),
    "text": set(),
    "errors": set(),
    "literals": set(),
    "problem_types": {"errors"},
    "plain_text": set(),
    "logs": {"plain_text"},
    "folding": set(),
    "models": {"folding"},
    "secret_box": set(),
    "serving": set(),
    "sandbox": set(),  # it stands for somebody else's program
    "sql": {"models"},
    "connecting": {"sql"},
    "troubles": {"logs"},
    "outages": {"troubles"},
    "crowd": set(),
    "pools": {"crowd", "troubles"},
    "endings": {"errors", "troubles"},
    "probing": {"crowd", "database", "troubles"},
    "reading": {"connecting", "outages", "sql"},
    "database": {"clock", "connecting", "crowd", "models", "outages", "pools", "reading", "sql"},
    "clients": {"clock", "errors", "plain_text"},
    "config": {"clients", "errors"},
    "services": FOUNDATION | {"clients", "plain_text", "secret_box", "sql", "text"},
    "flows": FOUNDATION | {"clients", "plain_text", "secret_box", "services"},
    "extensions": {"clients", "config", "flows", "secret_box", "services"},
    "schemas": {"clock", "literals", "models", "text"},
    "operations": {"models"},
    "auth": FOUNDATION | {"extensions", "operations", "services"},
    "api": WEB,
    "pages": WEB,
    "jobs": FOUNDATION | {"clients", "extensions", "flows", "logs", "services"},
    "cli": FOUNDATION | {"clients", "plain_text", "config", "extensions", "flows", "jobs", "sandbox", "services"},
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


def test_a_module_imports_only_from_its_layer_and_below():
    others = {
        named(module): {name.partition(".")[0] for name in imports_of(module)}
        - MAY_IMPORT[layer_of(module)]
        - {layer_of(module)}
        for module in MODULES
        if layer_of(module) not in ROOTS
    }

    assert {name: layers for name, layers in others.items() if layers} == {}


def test_services_know_the_types_of_clients_but_call_none():
    from_clients = {
        (named(module), name)
        for module in MODULES
        for name in imports_of(module)
        if layer_of(module) == "services" and name.startswith("clients.")
    }

    assert from_clients
    assert {(m, name) for m, name in from_clients if not name.rpartition(".")[2][0].isupper()} == set()
    assert {(m, name) for m, name in from_clients if name.startswith(("clients.single", "clients.many"))} == set()


def test_sql_knows_the_column_types_and_no_model():
    known = {name.rpartition(".")[0] for module in (PACKAGE / "sql").glob("*.py") for name in imports_of(module)}

    assert {name for name in known if name.startswith("models")} == {"models.types"}


def test_models_and_clients_and_the_sandbox_know_no_flask():
    modules = [module for module in MODULES if layer_of(module) in ("models", "clients", "sandbox")]
    names = [(m, alias.name) for m in modules for node in nodes_of(m, ast.Import) for alias in node.names]
    names += [(m, node.module or "") for m in modules for node in nodes_of(m, ast.ImportFrom)]

    assert [(named(module), name) for module, name in names if "flask" in name.lower()] == []


def test_nobody_imports_the_composition_root():
    assert [named(module) for module in MODULES if any(n.startswith("app.") for n in imports_of(module))] == []
