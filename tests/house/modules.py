"""The modules of the package, as the rules of the house look at them."""

import ast
from pathlib import Path
from typing import TypeVar

PACKAGE = Path(__file__).parents[2] / "aggregator"
MODULES = sorted(PACKAGE.rglob("*.py"))

Node = TypeVar("Node", bound=ast.AST)


def layer_of(module: Path) -> str:
    """The first part of a module's path: the layer it belongs to."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def named(module: Path) -> str:
    """A module's path, for messages."""
    return str(module.relative_to(PACKAGE))


def nodes_of(module: Path, kind: type[Node]) -> list[Node]:
    """All nodes of a kind in the code of a module."""
    return [node for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, kind)]
