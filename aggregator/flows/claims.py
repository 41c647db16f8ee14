"""Claims the products that are due, a few hundred at a time and ahead of need."""

import socket
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from os import getpid
from time import monotonic
from uuid import UUID

from aggregator.database import in_transaction
from aggregator.models import Endpoint, Registration
from aggregator.services import access, feeds
from aggregator.services.feeds import Claimed

CLAIM = 1_000  # products
PROBE = 5  # products, where the last thing known is that the service does not answer
AHEAD = 2

_numbers = count(1)


@dataclass
class Claim:
    """Some products that are ours until CLAIM_SECONDS after the moment they were claimed."""

    products: list[Claimed] = field(default_factory=list)
    failing: set[Endpoint] = field(default_factory=set)
    claimed_at: float = field(default_factory=monotonic)


def process_name() -> str:
    """The name of this process among all that share the database."""
    return f"{socket.gethostname()[:40]}:{getpid()}"


class Claims:
    """Claims that are made by submit, which runs them elsewhere, while the last ones are worked off."""

    def __init__(
        self,
        submit: Callable[[Callable[[], Claim]], Future[Claim]],
        fingerprint: str,
        only: UUID | None = None,
    ) -> None:
        self._submit = submit
        self._fingerprint = fingerprint
        self._only = only
        self._stopped = only is not None
        self._ahead: deque[Future[Claim]] = deque(submit(self._claim) for _ in range(AHEAD if only is None else 1))

    def next(self, wait: bool) -> Claim | None:
        """The next claim; None where it is not there yet, or where no more is to come (see exhausted)."""
        while self._ahead and (wait or self._ahead[0].done()):
            claim = self._ahead.popleft().result()
            if claim.products:
                if not self._stopped:
                    self._ahead.append(self._submit(self._claim))
                return claim
            self._stopped = True
        return None

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing more to come."""
        return not self._ahead

    def stop(self) -> None:
        """Claim no more; what is claimed already is still to come."""
        self._stopped = True

    def _claim(self) -> Claim:
        return in_transaction(self._claim_due if self._only is None else self._claim_one)

    def _claim_due(self) -> Claim:
        if self._stopped:
            return Claim()
        paused, failing = access.pauses(), access.failing()
        statuses = [
            status
            for status, endpoint in (
                (Registration.REGISTERED, Endpoint.OFFERS),
                (Registration.PENDING, Endpoint.REGISTER),
            )
            if endpoint not in paused
        ]
        if Endpoint.AUTH in paused or not statuses:
            return Claim()
        limit = PROBE if failing else CLAIM
        return self._described(feeds.claim_due(claim_name(), limit, statuses), failing)

    def _claim_one(self) -> Claim:
        assert self._only is not None
        claimed = feeds.claim_product(claim_name(), self._only)
        return self._described([claimed] if claimed else [], set())

    def _described(self, products: list[Claimed], failing: set[Endpoint]) -> Claim:
        feeds.describe([product for product in products if needs_registration(product, self._fingerprint)])
        return Claim(products, failing)


def needs_registration(product: Claimed, fingerprint: str) -> bool:
    """Whether the account of fingerprint has still to make the product known to the service."""
    return product.status is not Registration.REGISTERED or product.registered_with != fingerprint


def claim_name() -> str:
    """A name that no other claim has, so that an answer which comes late cannot pass for another's."""
    return f"{process_name()}:{next(_numbers)}"
