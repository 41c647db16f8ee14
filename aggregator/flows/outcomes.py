"""What became of the products of a sync, gathered into batches and written in one transaction each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Self

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from aggregator.database import database_now, in_transaction
from aggregator.services import feed_endings, sync
from aggregator.services.feeds import Claimed

BATCH_PRODUCTS = 1_000
BATCH_OFFERS = 50_000
BATCH_SECONDS = 0.5
TOO_LONG = {"55P03", "57014"}  # lock_not_available, query_canceled: somebody holds a row, or there is too much

log = structlog.get_logger(__name__)


@dataclass
class Batch:
    """Outcomes that are to be written together."""

    answers: list[sync.Answer] = field(default_factory=list)
    failed: list[tuple[Claimed, str, float]] = field(default_factory=list)
    registered: list[Claimed] = field(default_factory=list)
    not_registered: list[tuple[Claimed, str, float]] = field(default_factory=list)
    refused: list[tuple[Claimed, str, float]] = field(default_factory=list)
    released: list[Claimed] = field(default_factory=list)
    offers: int = 0
    started: float = field(default_factory=monotonic)

    @property
    def products(self) -> int:
        """How many products the batch is about."""
        return (
            len(self.answers)
            + len(self.failed)
            + len(self.registered)
            + len(self.not_registered)
            + len(self.refused)
            + len(self.released)
        )

    @property
    def is_full(self) -> bool:
        """Whether the batch is large enough to be written."""
        return (
            len(self.answers) >= BATCH_PRODUCTS
            or self.offers >= BATCH_OFFERS
            or len(self.failed) + len(self.registered) + len(self.not_registered) >= BATCH_PRODUCTS
        )

    @property
    def is_old(self) -> bool:
        """Whether the batch has waited long enough to be written."""
        return monotonic() - self.started > BATCH_SECONDS

    def split(self) -> Iterator["Batch"]:
        """The same outcomes, a batch for each product."""
        yield from (Batch(answers=[answer]) for answer in self.answers)
        yield from (Batch(failed=[row]) for row in self.failed)
        yield from (Batch(registered=[product]) for product in self.registered)
        yield from (Batch(not_registered=[row]) for row in self.not_registered)
        yield from (Batch(refused=[row]) for row in self.refused)
        yield from (Batch(released=[product]) for product in self.released)


@dataclass
class Rejected:
    """The rows of offers that a pass has rejected."""

    products: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    example: str | None = None

    def __iadd__(self, other: "Rejected") -> Self:
        self.products += other.products
        self.reasons += other.reasons
        self.example = self.example or other.example
        return self

    def summary(self) -> dict[str, object]:
        """What a job says of them; nothing where there are none."""
        if not self.products:
            return {}
        return {
            "rejected_rows": self.reasons.total(),
            "products_with_rejected_rows": self.products,
            "rejected_because": ", ".join(f"{reason}: {count}" for reason, count in self.reasons.most_common()),
            "rejected_example": self.example,
        }


def write(batch: Batch, fingerprint: str) -> Counter[str]:
    """Write a batch and count what was done; a product that cannot be written costs only itself."""
    try:
        return in_transaction(lambda: _write(batch, fingerprint))
    except DBAPIError as error:
        _raise_if_away(error)
        log.exception("a batch could not be stored", products=batch.products)
    done: Counter[str] = Counter()
    for single in batch.split():
        try:
            done += in_transaction(lambda single=single: _write(single, fingerprint))  # type: ignore[misc]
        except DBAPIError as error:
            _raise_if_away(error)
            log.exception("a product could not be stored")
            done["failed"] += 1
            done += in_transaction(lambda single=single: _give_up(single))  # type: ignore[misc]
    return done


def _write(batch: Batch, fingerprint: str) -> Counter[str]:
    now = database_now()
    done = Counter(
        failed=len(feed_endings.failed(*_columns(batch.failed, 3))),
        registered=len(feed_endings.registered(batch.registered, fingerprint, now)),
        not_registered=len(feed_endings.not_registered(*_columns(batch.not_registered, 3))),
        refused=len(feed_endings.refused(*_columns(batch.refused, 3))),
    )
    feed_endings.release(batch.released)
    return done + sync.apply(batch.answers, now) if batch.answers else done


def _columns(rows: Sequence[tuple[Any, ...]], width: int) -> Sequence[Sequence[Any]]:
    return list(zip(*rows, strict=True)) or [()] * width


def _raise_if_away(error: DBAPIError) -> None:
    """Let an error through that is not about what was to be written: the next product would not fare better."""
    about_rows = getattr(error.orig, "pgcode", None) in TOO_LONG
    if error.connection_invalidated or (isinstance(error, OperationalError | InterfaceError) and not about_rows):
        raise error


def _give_up(batch: Batch) -> Counter[str]:
    failed = [(answer.product, "could not be stored", answer.due_in) for answer in batch.answers]
    feed_endings.failed(*_columns(failed, 3))
    return Counter()
