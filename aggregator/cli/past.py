"""A past for the demo: what the sandbox's market would have been, written as the sync writes it."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from aggregator.clients.offer_rows import OfferRows
from aggregator.database import in_transaction
from aggregator.flows.claims import claim_name
from aggregator.sandbox.list_prices import list_price
from aggregator.sandbox.market import LIVELY, offers_at
from aggregator.services import feed_endings, feeds
from aggregator.services.feeds import Claimed
from aggregator.services.sync import Answer, apply

STEP = timedelta(hours=4)  # of the past, for each tick of the market


def live_through(ids: Sequence[UUID], days: int, tick: int, now: datetime) -> Iterator[int]:
    """Sync products that never were as if they had been there for so many days, and the market now at tick.

    Yields once for each step. A product that has been synced keeps the past it has.
    """
    new = in_transaction(partial(_never_synced, ids))
    for step in range(timedelta(days=days) // STEP if new else -1, -1, -1):
        in_transaction(partial(_sync, new, tick - step, now - step * STEP))
        yield step


def _never_synced(ids: Sequence[UUID]) -> list[UUID]:
    claimed = _claim(ids)
    feed_endings.release(claimed)
    return [UUID(claim.product_id) for claim in claimed if claim.synced_at is None]


def _claim(ids: Sequence[UUID]) -> list[Claimed]:
    claimed = [claim for claim in (feeds.claim_product(claim_name(), id) for id in ids) if claim]
    feeds.describe(claimed)
    return claimed


def _sync(ids: Sequence[UUID], tick: int, moment: datetime) -> None:
    apply([Answer(claim, 0, 0.0, _offers(claim, tick)) for claim in _claim(ids)], moment)


def _offers(product: Claimed, tick: int) -> OfferRows:
    base = list_price(product.name, product.description)
    listed = offers_at(0, product.product_id, tick, base=base, habits=LIVELY)
    return OfferRows({str(row["id"]): (int(row["price"]), int(row["items_in_stock"])) for row in listed})
