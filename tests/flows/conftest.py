"""Apps that do not wait for long, beside a sandbox whose calls are counted."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from aggregator.sandbox import Sandbox
from tests.builders import make_product
from tests.flows.passes import STANDSTILL, hasty


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose market moves when it is told to, and not because a minute is over."""
    with Sandbox(tick=STANDSTILL) as sandbox:
        yield sandbox


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return hasty(make_app())


@pytest.fixture
def products(app: Flask, sandbox: Sandbox) -> list[str]:
    """Thirty new products, which are still to be registered."""
    return [str(make_product(app, {"status": "pending", "registered_at": None, "attempts": 0})) for _ in range(30)]
