"""Prices over time. A price holds until the next point, so a day without a point still has a price.

A series is the price points of an offer, or of a product: of a product the price is the lowest of what is in stock.
Moments are microseconds since 1970, whole numbers, so that nothing is lost on either database.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import read, reader_dialect
from aggregator.models import PricePoint, ProductPricePoint
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.sql import Row, Rows, Select, id_parameter, microseconds, moment_parameter, sum_of_products

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SINCE, UNTIL = moment_parameter("since"), moment_parameter("until")
SINCE_MICROSECOND = sa.bindparam("since_microsecond", type_=sa.BigInteger)


class Kind(StrEnum):
    """Whose prices."""

    OFFER = "offer"
    PRODUCT = "product"


@dataclass(frozen=True)
class Series:
    """The prices of an offer, named by its key, or of a product, named by its id."""

    kind: Kind
    key: int | str

    @classmethod
    def of_product(cls, product_id: UUID) -> "Series":
        """The lowest prices of a product."""
        return cls(Kind.PRODUCT, str(product_id))

    @classmethod
    def of_offer(cls, key: int) -> "Series":
        """The prices of an offer, by its key in our database."""
        return cls(Kind.OFFER, key)


@dataclass(frozen=True)
class Stretch:
    """What a series came to between two marks; None where nothing was to be had at any moment of it."""

    since: int
    low: int | None
    high: int | None
    last: int | None  # at its end; None where nothing is to be had then
    weighted: int | None  # the sum of price x microseconds
    had: int  # microseconds in which something was to be had
    first_at: int | None  # the first of those moments
    last_until: int | None  # and the end of the last one


def microsecond(moment: datetime) -> int:
    """A moment as a whole number."""
    return (moment - EPOCH) // MICROSECOND


def moment(microsecond: int) -> datetime:
    """The moment of a whole number."""
    return EPOCH + microsecond * MICROSECOND


def stretches(series: Series, marks: Sequence[int]) -> list[Stretch]:
    """The stretches between marks, which ascend; there is one less of them."""
    since, until = moment(marks[0]), moment(marks[-1])
    dialect = reader_dialect()
    values = _parameters(series, since, until) | _mark_rows(dialect).parameters(list(marks))
    rows = read(_stretches, series.kind, dialect, **values)
    return [_stretch(*each) for each in zip(marks, rows, rows[1:], strict=False)]


def _stretch(since: int, row: Row, following: Row) -> Stretch:
    weighted = None if row.weighted is None else int(row.weighted)
    return Stretch(since, row.low, row.high, following.before, weighted, int(row.had or 0), *row[6:])


def changes(series: Series, since: datetime, until: datetime, limit: int) -> list[tuple[int, int | None]]:
    """The moments at which the price became another one, and that price; up to limit of them.

    The first is since, with the price in force then, if there was a point before; None is no price.
    """
    rows = read(_changes, series.kind, **_parameters(series, since, until), limit=limit)
    return [(row.at, row.price) for row in rows]


def price_at(series: Series, microsecond: int) -> int | None:
    """The last price that was asked up to a moment; None where there was none."""
    rows = read(_price_at, series.kind, key=series.key, until=moment(microsecond).strftime(TIMESTAMP_FORMAT))
    return rows[0][0] if rows else None


@dataclass(frozen=True)
class _Columns:
    key: sa.ColumnElement[bool]
    at: sa.ColumnElement[datetime]
    price: sa.ColumnElement[int | None]


def _columns(kind: Kind) -> _Columns:
    if kind is Kind.PRODUCT:
        point = ProductPricePoint
        return _Columns(point.product_id == id_parameter("key"), point.observed_at, point.lowest_price)  # type: ignore[arg-type]
    key = PricePoint.offer_id == sa.bindparam("key", type_=sa.BigInteger)
    return _Columns(key, PricePoint.observed_at, PricePoint.price)  # type: ignore[arg-type]


def _parameters(series: Series, since: datetime, until: datetime) -> dict[str, Any]:
    return {
        "key": series.key,
        "since": since.strftime(TIMESTAMP_FORMAT),
        "since_microsecond": microsecond(since),
        "until": until.strftime(TIMESTAMP_FORMAT),
    }


@cache
def _mark_rows(dialect: str) -> Rows:
    return Rows(dialect, at=sa.BigInteger())


def _points(kind: Kind) -> sa.CompoundSelect[tuple[int, int | None]]:
    """The point in force at since, as of since, and all later ones before until."""
    points = _columns(kind)
    opening = (
        sa.select(sa.cast(SINCE_MICROSECOND, sa.BigInteger).label("at"), points.price.label("price"))
        .where(points.key, points.at <= SINCE)
        .order_by(points.at.desc())
        .limit(1)
        .subquery("opening")
    )
    later = sa.select(microseconds(points.at), points.price).where(points.key, points.at > SINCE, points.at < UNTIL)
    return sa.union_all(sa.select(opening), later)


def _stretches(kind: Kind, dialect: str) -> Select:
    """One row for each mark, of what follows it: the marks cut the series into pieces that hold one price each."""
    points, marks = _points(kind).subquery("points"), _mark_rows(dialect)
    everything = sa.union_all(
        sa.select(points.c.at, points.c.price, sa.literal(0).label("is_mark")),
        sa.select(marks.columns.at, sa.null(), sa.literal(1)),
    ).subquery("everything")
    at, is_mark = everything.c.at, everything.c.is_mark
    in_order = [at, is_mark.desc()]  # a mark comes before a point of the same moment
    pieces = sa.select(
        at,
        is_mark,
        everything.c.price,
        sa.func.sum(1 - is_mark).over(order_by=in_order).label("point"),
        sa.func.sum(is_mark).over(order_by=in_order).label("number"),
        (sa.func.lead(at).over(order_by=in_order) - at).label("held"),
    ).subquery("pieces")
    # Between two points nothing changes: the one price among the rows of a point is that of all its marks.
    price = sa.func.max(pieces.c.price).over(partition_by=pieces.c.point).label("price")
    priced = sa.select(pieces.c.at, pieces.c.is_mark, pieces.c.number, pieces.c.held, price).subquery("priced")
    asked = sa.and_(priced.c.price.is_not(None), priced.c.held > 0)
    return (
        sa.select(
            priced.c.number,
            sa.func.max(sa.case((priced.c.is_mark == 1, priced.c.price))).label("before"),
            sa.func.min(sa.case((asked, priced.c.price))).label("low"),
            sa.func.max(sa.case((asked, priced.c.price))).label("high"),
            sum_of_products(sa.case((asked, priced.c.price)), priced.c.held).label("weighted"),
            sa.func.sum(sa.case((asked, priced.c.held))).label("had"),
            sa.func.min(sa.case((asked, priced.c.at))).label("first_at"),
            sa.func.max(sa.case((asked, priced.c.at + priced.c.held))).label("last_until"),
        )
        .group_by(priced.c.number)
        .order_by(priced.c.number)
    )


def _changes(kind: Kind) -> Select:
    points = _points(kind).subquery("points")
    before = sa.func.lag(points.c.price).over(order_by=points.c.at)
    number = sa.func.row_number().over(order_by=points.c.at)
    seen = sa.select(points, before.label("before"), number.label("number")).subquery("seen")
    is_other = sa.or_(seen.c.number == 1, seen.c.price.is_distinct_from(seen.c.before))
    return (
        sa.select(seen.c.at, seen.c.price)
        .where(is_other)
        .order_by(seen.c.at)
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )


def _price_at(kind: Kind) -> Select:
    points = _columns(kind)
    asked = sa.select(points.price).where(points.key, points.at <= UNTIL, points.price.is_not(None))
    return asked.order_by(points.at.desc()).limit(1)
