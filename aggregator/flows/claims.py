"""Claims the products that are due, a few hundred at a time and ahead of need."""

import socket
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from os import getpid
from secrets import token_hex
from time import monotonic
from uuid import UUID

from aggregator.database import in_transaction
from aggregator.models import Endpoint, Registration
from aggregator.services import access, feeds
from aggregator.services.access import Blame
from aggregator.services.feeds import Claimed

FIRST = 200  # products in a claim, to begin with
LARGEST = 1_000
SMALLEST = 20
PROBE = 5  # where the last thing known is that the service does not answer
AHEAD = 2
# A claim that is worked off faster is followed by a larger one, and one that takes longer by a smaller one, so
# that what is claimed ahead is asked about long before its claim runs out.
QUICK_SECONDS = 2.0
SLOW_SECONDS = 10.0
PAUSE_SECONDS = 1.0  # after there was nothing due

_RANDOM = token_hex(4)
_numbers = count(1)


@dataclass
class Claim:
    """Some products that are ours, until their claim runs out."""

    products: list[Claimed] = field(default_factory=list)
    blamed: dict[Endpoint, Blame] = field(default_factory=dict)
    failing: set[Endpoint] = field(default_factory=set)
    paused: set[Endpoint] = field(default_factory=set)
    claimed_at: float = field(default_factory=monotonic)


def process_name() -> str:
    """The name of this process among all that share the database; containers may share host name and number."""
    return f"{socket.gethostname()[:40]}:{getpid()}:{_RANDOM}"


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
        self._size = FIRST
        self._last_at = monotonic()
        self._again_at = 0.0
        self._ahead: deque[Future[Claim]] = deque(submit(self._claim) for _ in range(AHEAD if only is None else 1))

    def next(self, busy: bool) -> Claim | None:
        """The next claim; None where there is none, or, while the caller is busy, where it is not there yet."""
        if not self._ahead and busy and not self._stopped and monotonic() > self._again_at:
            self._ahead.append(self._submit(self._claim))
        while self._ahead and (not busy or self._ahead[0].done()):
            claim = self._ahead.popleft().result()
            if claim.products:
                self._adapt()
                if not self._stopped:
                    self._ahead.append(self._submit(self._claim))
                return claim
            self._again_at = monotonic() + PAUSE_SECONDS
        return None

    @property
    def exhausted(self) -> bool:
        """Whether there is nothing more to come, unless something becomes due."""
        return not self._ahead

    def stop(self) -> None:
        """Claim no more; what is claimed already is still to come."""
        self._stopped = True

    def _adapt(self) -> None:
        now = monotonic()
        if now - self._last_at < QUICK_SECONDS:
            self._size = min(self._size * 2, LARGEST)
        elif now - self._last_at > SLOW_SECONDS:
            self._size = max(self._size // 2, SMALLEST)
        self._last_at = now

    def _claim(self) -> Claim:
        return in_transaction(self._claim_due if self._only is None else self._claim_one)

    def _claim_due(self) -> Claim:
        paused, failing = access.pauses(), access.failing()
        if self._stopped or Endpoint.AUTH in paused:
            return Claim()
        calls = {Endpoint.REGISTER, Endpoint.OFFERS} - paused.keys()
        well = calls - failing
        products = feeds.claim_due(claim_name(), self._size, well, self._fingerprint) if well else []
        for endpoint in calls & failing:
            products += feeds.claim_due(claim_name(), PROBE, [endpoint], self._fingerprint)
        return self._described(products, failing, set(paused))

    def _claim_one(self) -> Claim:
        assert self._only is not None
        claimed = feeds.claim_product(claim_name(), self._only)
        return self._described([claimed] if claimed else [], set(), set())

    def _described(self, products: list[Claimed], failing: set[Endpoint], paused: set[Endpoint]) -> Claim:
        feeds.describe([product for product in products if needs_registration(product, self._fingerprint)])
        return Claim(products, access.blamed(), failing, paused)


def needs_registration(product: Claimed, fingerprint: str) -> bool:
    """Whether the account of fingerprint has still to make the product known to the service."""
    return product.status is not Registration.REGISTERED or product.registered_with != fingerprint


def claim_name() -> str:
    """A name that no other claim has, so that an answer which comes late cannot pass for another's."""
    return f"{process_name()}:{next(_numbers)}"
