"""A sandbox in this process, whose calls can be counted, for processes of their own."""

from collections.abc import Iterator

import pytest

from aggregator.sandbox import Sandbox
from tests.flows.passes import STANDSTILL


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose market moves when it is told to, and not because a minute is over."""
    with Sandbox(tick=STANDSTILL) as sandbox:
        yield sandbox
