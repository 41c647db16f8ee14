"""The same bad news of many products at once is news of the service, and none of the products.

An empty list, or a refusal, means something for its product, and for many products at once that the service is in
trouble. So it is held back until ten other products have been answered well, or the pass is over.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from aggregator.clients.offers import ServiceDown
from aggregator.models import Endpoint
from aggregator.services.feeds import Claimed

MANY = 10  # are a wave where they are at least half of what is answered
FEW = 3  # are enough in the end where they are most of what was answered
RUN_SECONDS = 120.0


@dataclass(eq=False, slots=True)
class Work:
    """A product and what the service is asked about it."""

    product: Claimed
    endpoint: Endpoint
    claimed_at: float
    headers: tuple[tuple[str, str], ...] = ()
    retried: bool = False  # after its token was refused
    checking: bool = False  # whether the id that a client chose is ours
    forgotten: bool = False  # registered already, and unknown when it was asked for its offers

    @property
    def is_settled(self) -> bool:
        """Whether the product is registered with our account, whatever is asked about it now."""
        return self.forgotten or (self.endpoint is Endpoint.OFFERS and not self.checking)


@dataclass(frozen=True, slots=True)
class Suspect:
    """An answer that may be about the service and not about its product; believe() takes it to be about the product."""

    work: Work
    error: ServiceDown
    believe: Callable[[], None]


class Runs:
    """How many suspects in a row this process has had of each call, also where each came in a pass of its own."""

    def __init__(self) -> None:
        self._runs: dict[Endpoint, tuple[int, float]] = {}

    def add(self, endpoint: Endpoint) -> None:
        """Count a suspect."""
        self._runs[endpoint] = self.length(endpoint) + 1, monotonic()

    def end(self, endpoint: Endpoint) -> None:
        """Forget them: a product was answered well."""
        self._runs.pop(endpoint, None)

    def length(self, endpoint: Endpoint) -> int:
        """How many there are, of late."""
        count, latest = self._runs.get(endpoint, (0, 0.0))
        return count if monotonic() - latest < RUN_SECONDS else 0


@dataclass
class Suspects:
    """The suspects of one call in one pass that are held back, and how many products were answered well meanwhile."""

    held: list[Suspect] = field(default_factory=list)
    well: int = 0  # since the first of them
    well_in_all: int = 0

    def hold(self, suspect: Suspect) -> None:
        """Hold a suspect back."""
        self.well = self.well if self.held else 0
        self.held.append(suspect)

    @property
    def are_a_wave(self) -> bool:
        """Whether there are so many that it must be the service."""
        return len(self.held) >= max(MANY, self.well)

    def answered_well(self) -> list[Suspect]:
        """Count a good answer; what was held back is told where enough others were answered well meanwhile."""
        self.well += 1
        self.well_in_all += 1
        return self.take() if self.well > max(MANY, len(self.held)) else []

    def are_most(self, run: int) -> bool:
        """Whether they are a wave in the end, where so many in a row have been seen, in this pass and before it."""
        count = len(self.held) if self.well_in_all else run
        return bool(self.held) and count >= max(FEW, self.well_in_all + 1)

    def take(self) -> list[Suspect]:
        """Hold back nothing any more."""
        taken, self.held, self.well = self.held, [], 0
        return taken
