"""Which products are due, who is working on them, and how they stand with the offers service."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from aggregator.clients.offers import MAX_RETRY_AFTER
from aggregator.database import db, once, tune_for_batches
from aggregator.models import Endpoint, Feed, Product, Registration
from aggregator.models.base import table_of
from aggregator.reading import read
from aggregator.services.access import MOST_JITTER
from aggregator.sql import Select, is_past, now_plus

FEEDS = table_of(Feed)
CLAIM_SECONDS = 90.0
# The first pauses between tries to register a product; from then on the last one, for ever.
REGISTRATION_PAUSES = (5.0, 15.0, 60.0, 300.0)
MAX_SYNC_PAUSE = 900.0
FIRST_REFUSAL_PAUSE, LONGEST_REFUSAL_PAUSE = 300.0, 86_400.0


@dataclass(slots=True)
class Claimed:
    """A product that is ours to work on until the claim runs out."""

    claim: str
    product_id: str
    status: Registration
    registered_with: str | None
    id_is_ours: bool
    attempts: int
    failures: int
    digest: int | None
    synced_at: datetime | None
    points_until: datetime | None
    lowest_price: int | None
    offer_count: int
    rejected_rows: int
    name: str = ""
    description: str = ""

    @property
    def latest_point_at(self) -> datetime | None:
        """No price point of the product is later than this."""
        return self.points_until or self.synced_at


def registration_pause(attempts: int) -> float:
    """Seconds to wait after so many tries to register a product."""
    return REGISTRATION_PAUSES[min(attempts, len(REGISTRATION_PAUSES)) - 1]


def sync_pause(failures: int, interval: float) -> float:
    """Seconds to wait after so many failed syncs in a row: an interval at first, then longer."""
    return min(interval * 2.0 ** min(failures - 1, 10), max(MAX_SYNC_PAUSE, interval))


def refusal_pause(refusals: int) -> float:
    """Seconds to wait after so many refusals in a row: five minutes at first, then longer, up to a day."""
    return min(FIRST_REFUSAL_PAUSE * 2.0 ** min(refusals - 1, 10), LONGEST_REFUSAL_PAUSE)


def claim_due(claim: str, limit: int, endpoints: Collection[Endpoint], fingerprint: str) -> list[Claimed]:
    """Up to limit products for which these calls are due and that nobody is working on, the longest due first.

    A product that is registered with the account of fingerprint is asked for its offers, any other registered.
    """
    tune_for_batches()
    settled = sa.and_(Feed.status == Registration.REGISTERED, Feed.registered_with == fingerprint)
    wanted: sa.ColumnElement[bool] = sa.true()
    if Endpoint.REGISTER not in endpoints:
        wanted = settled
    elif Endpoint.OFFERS not in endpoints:
        wanted = sa.not_(sa.func.coalesce(settled, sa.false()))
    due = (
        sa.select(Feed.product_id)
        .where(Feed.due_at <= now_plus(0), _is_free(), wanted)
        .order_by(Feed.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return _claim(claim, Feed.product_id.in_(once(due)), CLAIM_SECONDS)


def anything_due() -> bool:
    """Whether a product is due that nobody is working on."""
    return bool(read(_due, False))


def count_due() -> int:
    """How many products are due that nobody is working on."""
    count: int = read(_due, True)[0][0]
    return count


def _due(counted: bool) -> Select:
    due = sa.and_(Feed.due_at <= now_plus(0), _is_free())
    return sa.select(sa.func.count() if counted else sa.literal(1)).select_from(Feed).where(due).limit(1)


def claim_product(claim: str, product_id: UUID) -> Claimed | None:
    """One product, due or not; None where somebody else is working on it, or it is gone."""
    claimed = _claim(claim, sa.and_(Feed.product_id == product_id, _is_free()), CLAIM_SECONDS)
    return claimed[0] if claimed else None


def _is_free() -> sa.ColumnElement[bool]:
    return sa.or_(Feed.claimed_until.is_(None), is_past(Feed.claimed_until, CLAIM_SECONDS))


def claim_new(claim: str, product: Product, seconds: float) -> Claimed:
    """A product that has just been made, which nobody else can have seen yet."""
    (claimed,) = _claim(claim, Feed.product_id == product.id, seconds)
    claimed.name, claimed.description = product.name, product.description
    return claimed


def _claim(claim: str, which: sa.ColumnElement[bool], seconds: float) -> list[Claimed]:
    feed = FEEDS.c
    statement = (
        sa.update(FEEDS)
        .where(which)
        .values(claimed_by=claim, claimed_until=now_plus(seconds))
        .returning(
            sa.cast(feed.product_id, sa.String),  # ids are only passed on, and text is quicker to get
            feed.status,
            feed.registered_with,
            feed.id_is_ours,
            feed.attempts,
            feed.failures,
            feed.digest,
            feed.synced_at,
            feed.points_until,
            feed.lowest_price,
            feed.offer_count,
            feed.rejected_rows,
        )
    )
    rows = db.session.connection().execute(statement)
    return [Claimed(claim, *row) for row in rows]


def describe(products: Sequence[Claimed]) -> None:
    """Fill in the names and descriptions, which only a registration needs."""
    if not products:
        return
    by_id = {product.product_id: product for product in products}
    rows = db.session.execute(
        sa.select(sa.cast(Product.id, sa.String), Product.name, Product.description)
        .join(Feed, Feed.product_id == Product.id)  # of what is deleted meanwhile there is none
        .where(Product.id.in_(by_id))
    )
    for product_id, name, description in rows:
        by_id[product_id].name, by_id[product_id].description = name, description


def anything_misdated(interval: float) -> bool:
    """Whether a product is due later than it can be: the database's clock has gone back since that was settled."""
    return bool(read(_misdated_feed, interval))


def bring_forward(interval: float) -> int:
    """Have synced now what is due later than it can be, and count it."""
    late = sa.update(FEEDS).where(_is_misdated(interval)).values(due_at=now_plus(0))
    return len(db.session.execute(late.returning(FEEDS.c.product_id)).all())


def _misdated_feed(interval: float) -> Select:
    return sa.select(sa.literal(1)).select_from(FEEDS).where(_is_misdated(interval)).limit(1)


def _is_misdated(interval: float) -> sa.ColumnElement[bool]:
    feed = FEEDS.c
    well = sa.and_(feed.failures == 0, sa.or_(feed.status == Registration.REGISTERED, feed.attempts == 0))
    later = now_plus(MOST_JITTER * max(interval, MAX_SYNC_PAUSE, MAX_RETRY_AFTER))
    misdated = sa.and_(feed.due_at > now_plus(interval), sa.or_(well, feed.due_at > later))
    refused_until = now_plus(MOST_JITTER * LONGEST_REFUSAL_PAUSE)
    return sa.or_(sa.and_(feed.status != Registration.REFUSED, misdated), feed.due_at > refused_until)


def hurry() -> None:
    """Have what failed tried again at once, now that the service answers: its pauses were for an outage."""
    failing = sa.or_(Feed.status != Registration.REGISTERED, Feed.failures > 0)
    db.session.execute(sa.update(Feed).where(failing, Feed.due_at > now_plus(0)).values(due_at=now_plus(0)))


def register_again(product_ids: Sequence[UUID]) -> None:
    """Give those of the products that are refused another try at once, now that they have been edited."""
    db.session.execute(
        sa.update(Feed)
        .where(Feed.product_id.in_(product_ids), Feed.status == Registration.REFUSED)
        .values(status=Registration.PENDING, failures=0, due_at=now_plus(0))
    )
