"""Products that the service has forgotten, as a pass finds out: their names are read, and they are registered again."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future

from aggregator.database import in_transaction
from aggregator.flows.waves import MANY, Work
from aggregator.services import feeds


class Forgotten:
    """Collects products, and has submit read their names elsewhere, of all that have come together meanwhile."""

    def __init__(self, submit: Callable[[Callable[[], list[Work]]], Future[list[Work]]]) -> None:
        self._submit = submit
        self._unnamed: list[Work] = []
        self._naming: list[Work] = []
        self._named: Future[list[Work]] | None = None

    @property
    def any(self) -> bool:
        """Whether there is any left."""
        return bool(self._unnamed or self._named)

    @property
    def are_many(self) -> bool:
        """Whether there are so many that it may be the service."""
        return len(self._unnamed) + len(self._naming) >= MANY

    def add(self, work: Work) -> None:
        """Have one more registered again."""
        self._unnamed.append(work)

    def named(self, wait: bool) -> list[Work]:
        """Those whose names are known by now; of those that come next, they are being read."""
        ready: list[Work] = []
        if self._named and (wait or self._named.done()):
            ready = self._named.result()
            self._named, self._naming = None, []
        if self._unnamed and self._named is None:
            works, self._unnamed = self._unnamed, []
            self._naming, self._named = works, self._submit(lambda: _named(works))
        return ready

    def take(self) -> list[Work]:
        """All that are left, as they are: nobody registers them any more."""
        left = self._naming + self._unnamed
        self._unnamed, self._naming, self._named = [], [], None
        return left


def _named(works: Sequence[Work]) -> list[Work]:
    """Those of works whose products are still there, with their names."""
    products = [work.product for work in works]
    in_transaction(lambda: feeds.describe(products))
    return [work for work in works if work.product.name]
