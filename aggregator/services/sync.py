"""Turns answers of the offers service into offers, price points and summaries, by whole batches.

This is the hot path of the worker: rows travel in columns, and each statement is built once.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from aggregator.clients.offer_rows import OfferRows
from aggregator.clients.offer_rows import Row as OfferRow
from aggregator.database import db, dialect, tune_for_batches
from aggregator.models import Offer, PricePoint, ProductPricePoint
from aggregator.models.base import table_of
from aggregator.models.types import GUID, UTCDateTime
from aggregator.services import feeds
from aggregator.services.feeds import Claimed
from aggregator.sql import Rows, upsert

OFFERS, POINTS, PRODUCT_POINTS = table_of(Offer), table_of(PricePoint), table_of(ProductPricePoint)
MOMENT = sa.bindparam("moment", type_=UTCDateTime())
CHUNK = 10_000  # rows in one statement

Values = tuple[Any, ...]  # a row to be written
Stored = dict[str, OfferRow]  # open offers by the service's id
NO_NEWS = (None, None)  # of the lowest price and the number of offers
Statement = tuple[Rows, sa.Executable]


@dataclass(slots=True)
class Answer:
    """What the service said about a product; offers is None where it said the same as last time."""

    product: Claimed
    digest: int
    due_in: float  # seconds until the next one
    offers: OfferRows | None


@dataclass(slots=True)
class Changes:
    """What a batch of answers comes to, as rows to be written."""

    updated: list[Values] = field(default_factory=list)  # (product_id, upstream_id, price, stock)
    added: list[Values] = field(default_factory=list)  # (product_id, upstream_id, price, stock)
    closed: list[Values] = field(default_factory=list)  # (product_id, upstream_id, last seen at)
    points: list[Values] = field(default_factory=list)  # (product_id, upstream_id, price or None)
    summaries: dict[str, tuple[int | None, int]] = field(default_factory=dict)  # (lowest price, offers)


def apply(answers: Sequence[Answer], now: datetime) -> Counter[str]:
    """Write a batch of answers, and count what became of them.

    An answer whose claim is lost, or whose product is gone, is dropped. Only what changed is written.
    Reading before the claims are checked is safe: whoever holds the claim is the only one to write.
    """
    tune_for_batches()
    moment = _moment(answers, now)
    news = [answer for answer in answers if answer.offers is not None]
    stored = _stored_offers(news)
    changes = _changes(news, stored, moment)
    summaries = [changes.summaries.get(answer.product.product_id, NO_NEWS) for answer in answers]
    ours = feeds.synced(
        [answer.product for answer in answers],
        [answer.digest for answer in answers],
        [answer.due_in for answer in answers],
        [lowest_price for lowest_price, _ in summaries],
        [offer_count for _, offer_count in summaries],
        moment,
    )
    if len(ours) < len(answers):
        changes = _changes([answer for answer in news if answer.product.product_id in ours], stored, moment)
    _write(changes, moment)
    return Counter(
        synced=len(ours),
        dropped=len(answers) - len(ours),
        offers_added=len(changes.added),
        offers_updated=len(changes.updated),
        offers_closed=len(changes.closed),
    )


def _moment(answers: Sequence[Answer], now: datetime) -> datetime:
    """The one moment at which the batch is observed: now, but after all that is stored.

    So the points of an offer stay in order even where a clock is set back.
    """
    latest = max((a.product.synced_at for a in answers if a.product.synced_at), default=None)
    return now if latest is None or latest < now else latest + timedelta(microseconds=1)


def _stored_offers(answers: Sequence[Answer]) -> dict[str, Stored]:
    """The open offers of products by product: all, or those that are known to have changed."""
    stored: dict[str, Stored] = {}
    unknown = []
    for answer in answers:
        product_id, before = answer.product.product_id, answer.offers.before if answer.offers else None
        if before is None:
            unknown.append(product_id)
        stored[product_id] = before or {}
    if unknown:
        rows, statement = _select_open_offers(dialect())
        found = db.session.connection().execute(statement, rows.parameters(unknown))
        for product_id, upstream_id, price, stock in found.cursor.fetchall():
            stored[product_id][upstream_id] = price, stock
        found.close()
    return stored


def _changes(answers: Sequence[Answer], stored: dict[str, Stored], moment: datetime) -> Changes:
    """All that makes the stored offers into those of answers."""
    changes = Changes()
    for answer in answers:
        assert answer.offers is not None
        product = answer.product
        offers = _compare(changes, product, stored[product.product_id], answer.offers, moment)
        summary = _summary(product, answer.offers, offers)
        if summary != (product.lowest_price, product.offer_count):
            changes.summaries[product.product_id] = summary
    return changes


def _compare(
    changes: Changes, product: Claimed, stored: Stored, offers: OfferRows, moment: datetime
) -> dict[str, tuple[int, int]]:
    """Add to changes what makes the stored offers of a product into those of its answer.

    Returns the offers that are open afterwards.
    """
    known, product_id = 0, product.product_id
    for upstream_id, row in offers.rows.items():
        old = stored.get(upstream_id)
        price, stock = row
        if old is None:
            changes.added.append((product_id, upstream_id, price, stock))
            if stock:
                changes.points.append((product_id, upstream_id, price))
            continue
        known += 1
        if old == row:
            continue
        changes.updated.append((product_id, upstream_id, price, stock))
        asked = price if stock else None
        if asked != (old[0] if old[1] else None):
            changes.points.append((product_id, upstream_id, asked))
    if known == len(stored):
        return offers.rows
    return _close_missing(changes, product, stored, offers, moment)


def _close_missing(
    changes: Changes, product: Claimed, stored: Stored, offers: OfferRows, moment: datetime
) -> dict[str, tuple[int, int]]:
    """Close the stored offers that are listed no more, and return those that are open afterwards.

    A row that could not be read says nothing about its offer; one without an id, nothing about any.
    """
    after = dict(offers.rows)
    for upstream_id in stored.keys() - offers.rows.keys():
        price, stock = stored[upstream_id]
        if not offers.complete or upstream_id in offers.rejected_ids:
            after[upstream_id] = (price, stock)
            continue
        changes.closed.append((product.product_id, upstream_id, product.synced_at or moment))
        if stock:
            changes.points.append((product.product_id, upstream_id, None))
    return after


def _summary(product: Claimed, answer: OfferRows, offers: dict[str, tuple[int, int]]) -> tuple[int | None, int]:
    """The lowest price at which something is to be had, and the number of open offers."""
    prices = [price for price, stock in offers.values() if stock]
    if answer.before is None:
        return min(prices, default=None), len(offers)
    if product.lowest_price is not None:
        prices.append(product.lowest_price)  # of what did not change
    return min(prices, default=None), product.offer_count


def _write(changes: Changes, moment: datetime) -> None:
    _execute(_add_offers, changes.added, moment)
    _execute(_update_offers, changes.updated, moment)
    _execute(_close_offers, changes.closed, moment)
    _execute(_add_price_points, changes.points, moment)
    summaries = [(product_id, *summary) for product_id, summary in changes.summaries.items()]
    _execute(_add_product_price_points, summaries, moment)


def _execute(build: Callable[[str], Statement], rows: list[Values], moment: datetime) -> None:
    """Execute a statement for rows, some thousands of them at a time."""
    table, statement = build(dialect())
    for start in range(0, len(rows), CHUNK):
        parameters = table.parameters(*zip(*rows[start : start + CHUNK], strict=True))
        db.session.connection().execute(statement, parameters | {"moment": moment})


def _offer_rows(dialect: str, **types: TypeEngine[Any]) -> tuple[Rows, sa.ColumnElement[bool]]:
    """Rows about offers, and how to find the offer of a row."""
    rows = Rows(dialect, product_id=GUID(), upstream_id=sa.Text(), **types)
    new = rows.columns
    return rows, sa.and_(OFFERS.c.upstream_id == new.upstream_id, OFFERS.c.product_id == new.product_id)


def _sold_out_at(stock: Any, before: Any = None) -> sa.ColumnElement[Any]:
    return sa.case((stock > 0, None), else_=MOMENT if before is None else sa.func.coalesce(before, MOMENT))


@cache
def _select_open_offers(dialect: str) -> Statement:
    rows = Rows(dialect, id=GUID())
    new = rows.columns
    offer = OFFERS.c
    columns = (sa.cast(new.id, sa.String), offer.upstream_id, offer.price, offer.items_in_stock)
    statement = sa.select(*columns).join_from(rows.table, OFFERS, offer.product_id == new.id)
    return rows, statement.where(offer.last_seen_at.is_(None))


@cache
def _update_offers(dialect: str) -> Statement:
    rows, same = _offer_rows(dialect, price=sa.BigInteger(), stock=sa.Integer())
    new = rows.columns
    return rows, sa.update(OFFERS).where(same).values(
        price=new.price,
        items_in_stock=new.stock,
        sold_out_at=_sold_out_at(new.stock, OFFERS.c.sold_out_at),
    )


@cache
def _add_offers(dialect: str) -> Statement:
    """Add offers; one that was closed is opened again."""
    rows, _ = _offer_rows(dialect, price=sa.BigInteger(), stock=sa.Integer())
    new = rows.columns
    columns = {
        "product_id": new.product_id,
        "upstream_id": new.upstream_id,
        "price": new.price,
        "items_in_stock": new.stock,
        "first_seen_at": MOMENT,
        "sold_out_at": _sold_out_at(new.stock),
    }
    # "WHERE true" tells SQLite's parser that ON CONFLICT is not the condition of a join.
    insert = upsert(OFFERS, dialect).from_select(list(columns), sa.select(*columns.values()).where(sa.true()))
    again = {name: insert.excluded[name] for name in ("price", "items_in_stock", "sold_out_at")}
    return rows, insert.on_conflict_do_update(
        index_elements=["upstream_id", "product_id"], set_={**again, "last_seen_at": None}
    )


@cache
def _close_offers(dialect: str) -> Statement:
    rows, same = _offer_rows(dialect, last_seen_at=UTCDateTime())
    new = rows.columns
    return rows, sa.update(OFFERS).where(same).values(
        items_in_stock=0,
        last_seen_at=new.last_seen_at,
        sold_out_at=sa.func.coalesce(OFFERS.c.sold_out_at, MOMENT),
    )


@cache
def _add_price_points(dialect: str) -> Statement:
    rows, same = _offer_rows(dialect, price=sa.BigInteger())
    points = sa.select(OFFERS.c.id, MOMENT, rows.columns.price).join_from(rows.table, OFFERS, same)
    return rows, sa.insert(POINTS).from_select(["offer_id", "observed_at", "price"], points)


@cache
def _add_product_price_points(dialect: str) -> Statement:
    rows = Rows(dialect, product_id=GUID(), lowest_price=sa.BigInteger(), offer_count=sa.Integer())
    new = rows.columns
    points = sa.select(new.product_id, MOMENT, new.lowest_price, new.offer_count)
    columns = ["product_id", "observed_at", "lowest_price", "offer_count"]
    return rows, sa.insert(PRODUCT_POINTS).from_select(columns, points)
