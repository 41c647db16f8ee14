"""What a check is, and how one is run."""

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.evidence.stack import Stack

BOTH = ("sqlite", "postgresql")


@dataclass(frozen=True)
class Fact:
    """Something that was seen, and what is right: a value, or a function that says whether it is."""

    what: str
    seen: Any
    right: Any = True

    @property
    def holds(self) -> bool:
        return bool(self.right(self.seen)) if callable(self.right) else bool(self.seen == self.right)

    def __str__(self) -> str:
        right = (self.right.__doc__ or self.right.__name__) if callable(self.right) else repr(self.right)
        return f"{'ok   ' if self.holds else 'WRONG'}  {self.what}: seen {self.seen!r}, right {right}"


Facts = Iterator[Fact]


@dataclass(frozen=True)
class Check:
    """A promise with a number, and what shows that it is kept."""

    number: str
    promise: str
    run: Callable[[Stack], Facts]
    backends: tuple[str, ...]

    def __call__(self, stack: Stack) -> list[Fact]:
        """Its facts; a check that breaks off is a fact that is wrong."""
        facts: list[Fact] = []
        try:
            facts.extend(self.run(stack))
        except Exception:
            facts.append(Fact("the check ran to its end", traceback.format_exc(limit=-3)))
        return facts or [Fact("the check showed anything", False)]


CHECKS: list[Check] = []


def check(
    number: str, promise: str, backends: tuple[str, ...] = BOTH
) -> Callable[[Callable[[Stack], Facts]], Callable[[Stack], Facts]]:
    """Make a function a check, run on a fresh stack for each of the backends."""

    def register(run: Callable[[Stack], Facts]) -> Callable[[Stack], Facts]:
        CHECKS.append(Check(number, promise, run, backends))
        return run

    return register


def within(seconds: float, condition: Callable[[], Any], pause: float = 0.1) -> Any:
    """What condition gives as soon as it is true, or what it gives last."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(pause)
    return found
