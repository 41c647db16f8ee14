"""The modules of the package, as the rules of the house look at them."""

from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "aggregator"
MODULES = sorted(PACKAGE.rglob("*.py"))


def layer_of(module: Path) -> str:
    """The first part of a module's path: the layer it belongs to."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def named(module: Path) -> str:
    """A module's path, for messages."""
    return str(module.relative_to(PACKAGE))
