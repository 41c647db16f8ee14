"""Turns answers of the offers service into changes of the stored offers, by whole batches.

This is the hot path of the worker: rows travel in columns, and each statement is built once.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aggregator.clients.offer_rows import OfferRows
from aggregator.clients.offer_rows import Row as OfferRow
from aggregator.database import tune_for_batches
from aggregator.services import feed_endings, offer_writes
from aggregator.services.feeds import Claimed
from aggregator.services.offer_writes import Changes, Stored

NO_NEWS = (None, None)  # of the lowest price and the number of offers


@dataclass(slots=True)
class Answer:
    """What the service said about a product; offers is None where it said the same as last time."""

    product: Claimed
    digest: int | None  # None where rows were rejected: then the next answer is read, even if it is the same
    due_in: float  # seconds until the next one
    offers: OfferRows | None


def apply(answers: Sequence[Answer], now: datetime) -> Counter[str]:
    """Write a batch of answers, and count what became of them.

    An answer whose claim is lost, or whose product is gone, is dropped. Only what changed is written.
    Reading before the claims are checked is safe: whoever holds the claim is the only one to write.
    """
    tune_for_batches()
    here, ahead, again = _sorted(answers, now)
    done = Counter[str]()
    if here:
        done.update(_apply(here, now, now))
    if ahead:
        done.update(_apply(ahead, _after_all_points(ahead), now))
    if again:
        done.update(apply(again, now))
    return done


def _sorted(answers: Sequence[Answer], now: datetime) -> tuple[list[Answer], list[Answer], list[Answer]]:
    """The answers that can be written as of now, those whose products have points that are not earlier, and the rest.

    Points lie ahead where the clock has gone back. The rest are second answers about the same product, which was
    claimed anew while the first one was on its way: only one of the claims holds.
    """
    here: list[Answer] = []
    ahead: list[Answer] = []
    again: list[Answer] = []
    seen: set[str] = set()
    for answer in answers:
        product = answer.product
        latest = product.latest_point_at
        (again if product.product_id in seen else here if latest is None or latest < now else ahead).append(answer)
        seen.add(product.product_id)
    return here, ahead, again


def _apply(answers: Sequence[Answer], moment: datetime, now: datetime) -> Counter[str]:
    news = [answer for answer in answers if answer.offers is not None]
    stored = offer_writes.stored([a.product.product_id for a in news if a.offers and a.offers.before is None])
    changes = _changes(news, stored, moment)
    summaries = [changes.summaries.get(answer.product.product_id, NO_NEWS) for answer in answers]
    ours = feed_endings.synced(
        [answer.product for answer in answers],
        [answer.digest for answer in answers],
        [answer.due_in for answer in answers],
        [lowest_price for lowest_price, _ in summaries],
        [offer_count for _, offer_count in summaries],
        moment,
        now,
    )
    if len(ours) < len(answers):
        changes = _changes([answer for answer in news if answer.product.product_id in ours], stored, moment)
    offer_writes.write(changes, moment)
    return Counter(
        synced=len(ours),
        dropped=len(answers) - len(ours),
        offers_added=len(changes.added),
        offers_updated=len(changes.updated) + len(changes.edited),
        offers_closed=len(changes.closed),
    )


def _after_all_points(answers: Sequence[Answer]) -> datetime:
    """The first moment after all points of some products, so that they stay in order where a clock is set back."""
    latest = (answer.product.latest_point_at for answer in answers)
    return max(moment for moment in latest if moment) + timedelta(microseconds=1)


def _changes(answers: Sequence[Answer], stored: dict[str, Stored], moment: datetime) -> Changes:
    """All that makes the stored offers into those of answers."""
    changes = Changes()
    for answer in answers:
        assert answer.offers is not None
        product, before = answer.product, changes.offers
        if answer.offers.before is None:
            summary = _compare(changes, product, stored[product.product_id], answer.offers, moment)
        else:
            summary = _edit(changes, product, answer.offers.before, answer.offers.rows)
        if summary != (product.lowest_price, product.offer_count):
            changes.summaries[product.product_id] = summary
        if answer.offers.rejected or product.rejected_rows:
            changes.rejections.append((product.product_id, *answer.offers.rejection))
        if changes.offers > before:
            changes.products.append((product.product_id, product.lowest_price, *summary))
    return changes


def _compare(
    changes: Changes, product: Claimed, stored: Stored, offers: OfferRows, moment: datetime
) -> tuple[int | None, int]:
    """Add to changes what makes the stored offers of a product into those of its answer.

    Returns the summary: the lowest price at which something is to be had, and the number of open offers.
    """
    after, known = offers.rows, 0
    for upstream_id, (price, stock) in after.items():
        old = stored.get(upstream_id)
        if old is None:
            changes.added.append((product.product_id, upstream_id, price, stock, 1 if stock else 0))
            continue
        known += 1
        key, old_price, old_stock, is_unconfirmed = old
        if is_unconfirmed:
            changes.confirmed.append((key,))
        if old_price != price or old_stock != stock:
            changes.updated.append((key, price, stock, _is_news((old_price, old_stock), (price, stock))))
    if known < len(stored):
        after = _close_missing(changes, stored, offers, product.synced_at or moment)
    return min([price for price, stock in after.values() if stock], default=None), len(after)


def _close_missing(changes: Changes, stored: Stored, offers: OfferRows, last_seen: datetime) -> dict[str, OfferRow]:
    """Close the stored offers that are listed no more, and return those that are open afterwards.

    A row that could not be read says nothing about its offer; one without an id, nothing about any. Such an offer
    stays as it is, and was last seen when its row was last read.
    """
    after = dict(offers.rows)
    for upstream_id in stored.keys() - offers.rows.keys():
        key, price, stock, is_unconfirmed = stored[upstream_id]
        if not offers.complete or upstream_id in offers.rejected_ids:
            after[upstream_id] = (price, stock)
            if not is_unconfirmed:
                changes.unconfirmed.append((key, last_seen))
            continue
        changes.closed.append((key, last_seen))
        if stock:
            changes.sold_out.append((key, price, 0, 1))
    return after


def _edit(
    changes: Changes, product: Claimed, before: dict[str, OfferRow], after: dict[str, OfferRow]
) -> tuple[int | None, int]:
    """Add to changes the offers of a product that are known to have changed, and return its summary.

    The lowest price is not among those that have risen: LastAnswers sees to that.
    """
    lowest = product.lowest_price
    for upstream_id, (price, stock) in after.items():
        news = _is_news(before[upstream_id], (price, stock))
        changes.edited.append((product.product_id, upstream_id, price, stock, news))
        if stock and (lowest is None or price < lowest):
            lowest = price
    return lowest, product.offer_count


def _is_news(old: OfferRow, new: OfferRow) -> int:
    """1 if what is asked for an offer is another price now, or none; the price of what is sold out is not asked."""
    return int((old[0] if old[1] else None) != (new[0] if new[1] else None))
