"""Reads and writes the offers of many products at once: rows travel in columns, each statement is built once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from aggregator.database import db, dialect
from aggregator.models import Feed, Offer, PricePoint, ProductPricePoint
from aggregator.models.base import table_of
from aggregator.models.types import GUID, UTCDateTime
from aggregator.services.changes import OfferChange, record_offers
from aggregator.sql import Rows, upsert

OFFERS, POINTS, PRODUCT_POINTS = table_of(Offer), table_of(PricePoint), table_of(ProductPricePoint)
FEEDS = table_of(Feed)
MOMENT = sa.bindparam("moment", type_=UTCDateTime())
CHUNK = 10_000  # rows in one statement

Values = tuple[Any, ...]  # a row to be written
# Open offers by the service's id: key, price, stock, and whether the last answer had it in a row that was rejected.
Stored = dict[str, tuple[int, int, int, int]]
Statement = tuple[Rows, sa.Executable]


@dataclass(slots=True)
class Changes:
    """What a batch of answers comes to, as rows to be written. What is asked for an offer is news (1) or not (0)."""

    added: list[Values] = field(default_factory=list)  # (product_id, upstream_id, price, stock, is_news)
    edited: list[Values] = field(default_factory=list)  # the same
    updated: list[Values] = field(default_factory=list)  # (key, price, stock, is_news)
    sold_out: list[Values] = field(default_factory=list)  # the same
    closed: list[Values] = field(default_factory=list)  # (key, last seen at)
    unconfirmed: list[Values] = field(default_factory=list)  # the same, of offers whose rows are rejected from now on
    confirmed: list[Values] = field(default_factory=list)  # (key,) of those whose rows are read again
    rejections: list[Values] = field(default_factory=list)  # (product_id, rows, reason, upstream_id)
    summaries: dict[str, tuple[int | None, int]] = field(default_factory=dict)  # (lowest price, offers)
    products: list[OfferChange] = field(default_factory=list)  # all that there is something of in here

    @property
    def offers(self) -> int:
        """How many offers change."""
        return len(self.added) + len(self.edited) + len(self.updated) + len(self.closed)


def stored(product_ids: Sequence[str]) -> dict[str, Stored]:
    """The open offers of products, by product."""
    offers: dict[str, Stored] = {product_id: {} for product_id in product_ids}
    if offers:
        rows, statement = _select_open_offers(dialect())
        found = db.session.connection().execute(statement, rows.parameters(product_ids))
        for row in found.cursor.fetchall():
            offers[row[0]][row[1]] = row[2:]
        found.close()
    return offers


def write(changes: Changes, moment: datetime) -> None:
    """Write changes that were observed at a moment."""
    _execute(changes.added, moment, _add_offers, _add_price_points_by_name)
    _execute(changes.edited, moment, _update_offers_by_name, _add_price_points_by_name)
    _execute(changes.updated, moment, _update_offers, _add_price_points)
    _execute(changes.sold_out, moment, _add_price_points)
    _execute(changes.closed, moment, _close_offers)
    _execute(changes.unconfirmed, moment, _leave_unconfirmed)
    _execute(changes.confirmed, moment, _confirm)
    _execute(changes.rejections, moment, _note_rejections)
    summaries = [(product_id, *summary) for product_id, summary in changes.summaries.items()]
    _execute(summaries, moment, _add_product_price_points)
    record_offers(changes.products, moment)


def _execute(rows: list[Values], moment: datetime, *builds: Callable[[str], Statement]) -> None:
    """Execute statements over the same rows, some thousands of them at a time."""
    statements = [build(dialect()) for build in builds]
    for start in range(0, len(rows), CHUNK):
        table, _ = statements[0]
        parameters = table.parameters(*zip(*rows[start : start + CHUNK], strict=True)) | {"moment": moment}
        for _, statement in statements:
            db.session.connection().execute(statement, parameters)


def _by_key(dialect: str, **types: TypeEngine[Any]) -> tuple[Rows, sa.ColumnElement[bool]]:
    """Rows about offers that have been read, and how to find the offer of a row."""
    rows = Rows(dialect, id=sa.BigInteger(), **types)
    return rows, OFFERS.c.id == rows.columns.id


def _by_name(dialect: str, **types: TypeEngine[Any]) -> tuple[Rows, sa.ColumnElement[bool]]:
    """Rows about offers that have not been read."""
    rows = Rows(dialect, product_id=GUID(), upstream_id=sa.Text(), **types)
    new = rows.columns
    return rows, sa.and_(OFFERS.c.upstream_id == new.upstream_id, OFFERS.c.product_id == new.product_id)


_VALUES = {"price": sa.BigInteger(), "stock": sa.Integer(), "is_news": sa.Integer()}


@cache
def _select_open_offers(dialect: str) -> Statement:
    rows = Rows(dialect, id=GUID())
    new = rows.columns
    offer = OFFERS.c
    values = offer.price, offer.items_in_stock, offer.confirmed_at.is_not(None)
    columns = (sa.cast(new.id, sa.String), offer.upstream_id, offer.id, *values)
    statement = sa.select(*columns).join_from(rows.table, OFFERS, offer.product_id == new.id)
    return rows, statement.where(offer.last_seen_at.is_(None))


@cache
def _add_offers(dialect: str) -> Statement:
    """Add offers; one that was closed is opened again."""
    rows, _ = _by_name(dialect, **_VALUES)
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
def _update_offers(dialect: str) -> Statement:
    return _update(*_by_key(dialect, **_VALUES))


@cache
def _update_offers_by_name(dialect: str) -> Statement:
    return _update(*_by_name(dialect, **_VALUES))


def _update(rows: Rows, same: sa.ColumnElement[bool]) -> Statement:
    new = rows.columns
    return rows, sa.update(OFFERS).where(same).values(
        price=new.price,
        items_in_stock=new.stock,
        sold_out_at=_sold_out_at(new.stock, OFFERS.c.sold_out_at),
    )


@cache
def _close_offers(dialect: str) -> Statement:
    rows, same = _by_key(dialect, last_seen_at=UTCDateTime())
    new = rows.columns
    return rows, sa.update(OFFERS).where(same).values(
        items_in_stock=0,
        last_seen_at=sa.func.coalesce(OFFERS.c.confirmed_at, new.last_seen_at),
        confirmed_at=None,
        sold_out_at=sa.func.coalesce(OFFERS.c.sold_out_at, MOMENT),
    )


@cache
def _leave_unconfirmed(dialect: str) -> Statement:
    rows, same = _by_key(dialect, last_seen_at=UTCDateTime())
    return rows, sa.update(OFFERS).where(same).values(confirmed_at=rows.columns.last_seen_at)


@cache
def _confirm(dialect: str) -> Statement:
    rows, same = _by_key(dialect)
    return rows, sa.update(OFFERS).where(same).values(confirmed_at=None)


@cache
def _note_rejections(dialect: str) -> Statement:
    rows = Rows(dialect, id=GUID(), number=sa.Integer(), reason=sa.Text(), upstream_id=sa.Text())
    new = rows.columns
    values = {"rejected_rows": new.number, "rejected_reason": new.reason, "rejected_offer_id": new.upstream_id}
    return rows, sa.update(FEEDS).where(FEEDS.c.product_id == new.id).values(**values)


@cache
def _add_price_points(dialect: str) -> Statement:
    rows, _ = _by_key(dialect, **_VALUES)
    return _add_points(rows, sa.select(rows.columns.id))


@cache
def _add_price_points_by_name(dialect: str) -> Statement:
    rows, same = _by_name(dialect, **_VALUES)
    return _add_points(rows, sa.select(OFFERS.c.id).join_from(rows.table, OFFERS, same))


def _add_points(rows: Rows, keys: sa.Select[tuple[int]]) -> Statement:
    """Add what is asked from now on, where that is news."""
    new = rows.columns
    points = keys.add_columns(MOMENT, sa.case((new.stock > 0, new.price))).where(new.is_news == 1)
    return rows, sa.insert(POINTS).from_select(["offer_id", "observed_at", "price"], points)


@cache
def _add_product_price_points(dialect: str) -> Statement:
    rows = Rows(dialect, product_id=GUID(), lowest_price=sa.BigInteger(), offer_count=sa.Integer())
    new = rows.columns
    points = sa.select(new.product_id, MOMENT, new.lowest_price, new.offer_count)
    columns = ["product_id", "observed_at", "lowest_price", "offer_count"]
    return rows, sa.insert(PRODUCT_POINTS).from_select(columns, points)


def _sold_out_at(stock: Any, before: Any = None) -> sa.ColumnElement[Any]:
    return sa.case((stock > 0, None), else_=MOMENT if before is None else sa.func.coalesce(before, MOMENT))
