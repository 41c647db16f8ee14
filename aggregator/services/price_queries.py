"""The statements that read prices over time. Each tells all of it, so what it tells is of one moment.

Before a moment of its own a series consists of buckets, and from then on of points; that moment is the end of its last
bucket. Of the points before it only the last is left, which is the price in force.
"""

from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.selectable import CTE

from aggregator.models.types import UTCDateTime
from aggregator.services.price_tables import Kind, Tables, tables
from aggregator.sql import Rows, Select, microseconds, moment_parameter, sum_of_products

SINCE, UNTIL = moment_parameter("since"), moment_parameter("until")
# A price and its place among others, as one number: the least of them has the first price, the greatest the last.
PLACE = 2**40


@cache
def marks(dialect: str) -> Rows:
    """The marks that stretches() takes, in microseconds."""
    return Rows(dialect, at=sa.BigInteger())


def stretches(kind: Kind, dialect: str) -> Select:
    """The buckets of a period, and then a row for each mark from where the points begin, of what follows it."""
    begin = _begin(tables(kind))
    points, at = _points(tables(kind), begin).subquery("points"), marks(dialect).columns.at
    begins = sa.select(microseconds(begin.c.at)).scalar_subquery()
    everything = sa.union_all(
        sa.select(points.c.at, points.c.price, sa.literal(0).label("is_mark")),
        sa.select(begins, sa.null(), sa.literal(1)),
        sa.select(at, sa.null(), sa.literal(1)).where(at > begins),
    ).subquery("everything")
    at, is_mark = everything.c.at, everything.c.is_mark
    in_order = [at, is_mark.desc()]  # a mark comes before a point of the same moment
    pieces = sa.select(
        at,
        everything.c.price,
        sa.func.sum(1 - is_mark).over(order_by=in_order).label("point"),
        sa.func.sum(is_mark).over(order_by=in_order).label("number"),
        (sa.func.lead(at).over(order_by=in_order) - at).label("held"),
    ).subquery("pieces")
    # Between two points nothing changes: the one price among the rows of a point is that of all its marks.
    price = sa.func.max(pieces.c.price).over(partition_by=pieces.c.point).label("price")
    priced = sa.select(pieces.c.at, pieces.c.point, pieces.c.number, pieces.c.held, price).subquery("priced")
    return _after_buckets(tables(kind), _by_mark(priced))


def changes(kind: Kind) -> Select:
    """The buckets of a period, and then, from where the points begin, what is asked at first and each other price."""
    points = _points(tables(kind), _begin(tables(kind))).subquery("points")
    before = sa.func.lag(points.c.price).over(order_by=points.c.at)
    number = sa.func.row_number().over(order_by=points.c.at)
    seen = sa.select(points, before.label("before"), number.label("number")).subquery("seen")
    is_other = sa.or_(seen.c.number == 1, seen.c.price.is_distinct_from(seen.c.before))
    some = (
        sa.select(seen.c.at, seen.c.price).where(is_other).order_by(seen.c.at).limit(sa.bindparam("limit")).subquery()
    )
    return _after_buckets(tables(kind), sa.select(some.c.at.label("since"), some.c.price.label("first_price")))


@cache
def keys(kind: Kind, dialect: str) -> Rows:
    """The keys that histories() takes."""
    return Rows(dialect, key=tables(kind).key_type)


def histories(kind: Kind, dialect: str) -> Select:
    """Of some series all buckets that begin before until, and then each point that is in none, with their keys."""
    t, asked = tables(kind), keys(kind, dialect)
    key, bucket = asked.columns.key, t.buckets.c
    buckets = _columns(t) | {"key": sa.cast(key, sa.Text)}
    of_series = sa.select(bucket.ends_at).where(t.bucket_key == key).order_by(bucket.starts_at.desc()).limit(1)
    end = of_series.correlate(asked.table).scalar_subquery()
    point = {"key": sa.cast(key, sa.Text), "since": microseconds(t.at), "first_price": t.price}
    rest = [point.get(name, sa.cast(sa.null(), column.type)).label(name) for name, column in buckets.items()]
    both = sa.union_all(
        sa.select(*(column.label(name) for name, column in buckets.items()))
        .join_from(asked.table, t.buckets, t.bucket_key == key)
        .where(bucket.starts_at < UNTIL),
        sa.select(*rest)
        .join_from(asked.table, t.points, t.point_key == key)
        .where(t.at < UNTIL, sa.or_(end.is_(None), t.at > end)),
    ).subquery("both")
    return sa.select(both).order_by(both.c.key, both.c.until.is_(None), both.c.since)


def anything_before(kind: Kind) -> Select:
    """A row if something was to be had at any moment up to until."""
    t = tables(kind)
    points = sa.select(t.points).where(t.point_key == t.key, t.at <= UNTIL, t.price.is_not(None))
    buckets = sa.select(t.buckets).where(t.bucket_key == t.key, t.buckets.c.first_at <= UNTIL)
    return sa.select(sa.literal(1)).where(sa.or_(points.exists(), buckets.exists()))


def extreme(kind: Kind, highest: bool) -> Select:
    """The lowest or the highest price of a period, and when it was first asked; in a bucket, when that begins."""
    t = tables(kind)
    buckets = t.buckets.c
    price = buckets.high if highest else buckets.low
    asked = sa.union_all(
        sa.select(price.label("price"), buckets.starts_at.label("at")).where(
            _in_period(t), buckets.ends_at > SINCE, price.is_not(None)
        ),
        sa.select(t.price, t.at).where(t.point_key == t.key, t.at > SINCE, t.at < UNTIL, t.price.is_not(None)),
    ).subquery("asked")
    best = asked.c.price.desc() if highest else asked.c.price
    return sa.select(asked.c.price, microseconds(asked.c.at).label("at")).order_by(best, asked.c.at).limit(1)


def _begin(t: Tables) -> CTE:
    """The moment from which on points tell: since, or the end of the last bucket if that is later."""
    last = sa.select(t.buckets.c.ends_at).where(t.bucket_key == t.key).order_by(t.buckets.c.starts_at.desc()).limit(1)
    end = sa.select(last.scalar_subquery().label("at")).subquery("last_bucket")
    later = sa.case((end.c.at > SINCE, end.c.at), else_=SINCE)
    return sa.select(sa.type_coerce(later, UTCDateTime()).label("at")).cte("begin")


def _points(t: Tables, begin: CTE) -> sa.CompoundSelect[tuple[int, int | None]]:
    """The point in force as they begin, as of then, and all later ones before until."""
    begins = sa.select(begin.c.at).scalar_subquery()
    opening = (
        sa.select(microseconds(begins).label("at"), t.price.label("price"))
        .where(t.point_key == t.key, t.at <= begins)
        .order_by(t.at.desc())
        .limit(1)
        .subquery("opening")
    )
    later = sa.select(microseconds(t.at), t.price).where(t.point_key == t.key, t.at > begins, t.at < UNTIL)
    return sa.union_all(sa.select(opening), later)


def _by_mark(priced: sa.Subquery) -> Select:
    """What the pieces between two marks come to, each of which has one price."""
    piece = priced.c
    asked = sa.and_(piece.price.is_not(None), piece.held > 0)
    placed = sa.case((asked, piece.point * PLACE + piece.price))
    return sa.select(
        sa.func.min(piece.at).label("since"),
        sa.func.min(sa.case((asked, piece.price))).label("low"),
        sa.func.max(sa.case((asked, piece.price))).label("high"),
        sum_of_products(sa.case((asked, piece.price)), piece.held).label("weighted"),
        sa.cast(sa.func.sum(sa.case((asked, piece.held))), sa.BigInteger).label("had"),
        sa.func.min(sa.case((asked, piece.at))).label("first_at"),
        (sa.func.min(placed) % PLACE).label("first_price"),
        sa.func.max(sa.case((asked, piece.at + piece.held))).label("last_until"),
        (sa.func.max(placed) % PLACE).label("last_price"),
    ).group_by(piece.number)


def _after_buckets(t: Tables, rows: Select) -> Select:
    """Buckets, and after them rows that have some of their columns; what has no end is no bucket."""
    columns = _columns(t)
    buckets = sa.select(*(column.label(name) for name, column in columns.items())).where(_in_period(t))
    found = rows.subquery("found").c
    rest = [found[name] if name in found else sa.cast(sa.null(), columns[name].type).label(name) for name in columns]
    both = sa.union_all(buckets, sa.select(*rest)).subquery("both")
    return sa.select(both).order_by(both.c.until.is_(None), both.c.since)


def _columns(t: Tables) -> dict[str, sa.ColumnElement[Any]]:
    """What is told of a bucket."""
    bucket = t.buckets.c
    return {
        "since": microseconds(bucket.starts_at),
        "until": microseconds(bucket.ends_at),
        "low": bucket.low,
        "high": bucket.high,
        "weighted": sa.cast(bucket.weighted, sa.Text),
        "had": bucket.had,
        "first_at": microseconds(bucket.first_at),
        "first_price": bucket.first_price,
        "last_until": microseconds(bucket.last_until),
        "last_price": bucket.last_price,
    }


def _in_period(t: Tables) -> sa.ColumnElement[bool]:
    """Whether a bucket begins in the period, or is the last one that begins before."""
    start = t.buckets.c.starts_at
    before = sa.select(start).where(t.bucket_key == t.key, start <= SINCE).order_by(start.desc()).limit(1)
    first = sa.func.coalesce(before.scalar_subquery(), SINCE)
    return sa.and_(t.bucket_key == t.key, start >= first, start < UNTIL)
