"""The statements that make points into hours, and hours into days.

Both are entries: a point has no length and a price from then on, an hour has a length, what it came to, and a price at
its end. What a bucket comes to is the sum of its pieces: its entries, what follows each of them until the next or its
own end, and what was before the first.
"""

from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql.selectable import CTE

from aggregator.models.types import UTCDateTime, WholeNumber
from aggregator.services.price_queries import PLACE
from aggregator.services.price_series import DAY, HOUR
from aggregator.services.price_tables import Kind, Tables, tables
from aggregator.sql import Rows, microseconds, moment_of, sum_of_products, upsert

CUT, BEGINNING = sa.bindparam("cut", type_=UTCDateTime()), sa.bindparam("beginning", type_=UTCDateTime())
LIMIT = sa.bindparam("limit", type_=sa.Integer)

Statement = tuple[Rows, Any]


class Level(StrEnum):
    """What is made into longer buckets."""

    POINTS = "points"
    HOURS = "hours"


LENGTH = {Level.POINTS: HOUR, Level.HOURS: DAY}  # of what they are made into


def keys(kind: Kind, is_first: bool) -> sa.Select[Any]:
    """The keys of some series in their order, the first ones or those after a given one: a look-up each."""
    key = tables(kind).point_key
    after = sa.true() if is_first else key > tables(kind).key
    first = sa.select(key.label("key")).where(after).order_by(key).limit(1).subquery()
    found = sa.select(first).cte("found", recursive=True)
    following = sa.select(key).where(key > found.c.key).order_by(key).limit(1).scalar_subquery()
    found = found.union_all(sa.select(following).where(found.c.key.is_not(None)))
    return sa.select(sa.cast(found.c.key, sa.Text)).where(found.c.key.is_not(None)).limit(LIMIT)


@cache
def work(kind: Kind, level: Level, dialect: str) -> Statement:
    """Of the series that are given by key, those that have something before the cut to be rolled up.

    With the entry in force before, the first such entry, the one so many after it, and the first point in no bucket.
    """
    t, rows = tables(kind), Rows(dialect, key=tables(kind).key_type)
    key, bucket = rows.columns.key, t.buckets.c
    of_series = sa.select(bucket.starts_at).where(t.bucket_key == key).correlate(rows.table)
    last = of_series.order_by(bucket.starts_at.desc()).limit(1)
    points = sa.select(t.at).where(t.point_key == key).order_by(t.at).limit(1).correlate(rows.table)
    unrolled = points.where(t.at >= _or_beginning(last.with_only_columns(bucket.ends_at)))
    before, first = points, unrolled
    if level is Level.HOURS:
        before = last.where(bucket.starts_at < CUT, _length(t) > HOUR)
        hours = of_series.where(bucket.starts_at >= _or_beginning(before.with_only_columns(bucket.ends_at)))
        first = hours.order_by(bucket.starts_at).limit(1)
    parts = {"before": before, "first": first, "nth": first.offset(LIMIT), "point": unrolled}
    labelled = [part.scalar_subquery().label(name) for name, part in parts.items()]
    found = sa.select(key, *labelled).subquery("found").c
    columns = (sa.cast(found.key, sa.Text), found.before, found.first, found.nth, found.point)
    return rows, sa.select(*columns).where(found.first < CUT)


@cache
def add_buckets(kind: Kind, level: Level, dialect: str) -> Statement:
    """Add the buckets of series, given by key, from the first entry that is in none up to a moment."""
    t, rows = tables(kind), _spans(kind, dialect)
    entries = _entries(t, level, rows)
    buckets = _buckets(_pieces(entries, LENGTH[level]).cte("pieces"), LENGTH[level])
    names = [column.name for column in t.buckets.c if column is not t.bucket_key]
    insert = upsert(t.buckets, dialect).from_select([t.bucket_key.name, *names], _in_order(buckets, names))
    if level is Level.POINTS:
        return rows, insert  # they begin where the last bucket ends
    # A day takes the place of its first hour, if it has that one.
    is_hour = microseconds(t.buckets.c.ends_at) - microseconds(t.buckets.c.starts_at) == HOUR
    values = {name: insert.excluded[name] for name in names if name != "starts_at"}
    return rows, insert.on_conflict_do_update(index_elements=list(t.buckets.primary_key), set_=values, where=is_hour)


@cache
def drop_entries(kind: Kind, level: Level, dialect: str) -> Statement:
    """Drop what is in longer buckets now; the last point before a moment is kept, for it is the price in force."""
    t, rows = tables(kind), _spans(kind, dialect)
    span = rows.columns
    if level is Level.POINTS:
        last = sa.select(t.at).where(t.point_key == span.key, t.at < span.until).order_by(t.at.desc()).limit(1)
        kept = sa.select(span.key, last.scalar_subquery().label("until")).subquery("kept").c
        return rows, _drop(t.points, t.point_key, t.at, dialect, kept.key, t.at < kept.until)
    start = t.buckets.c.starts_at
    are_hours = sa.and_(start >= span.begin, start < span.until, _length(t) == HOUR)
    return rows, _drop(t.buckets, t.bucket_key, start, dialect, span.key, are_hours)


def _drop(table: sa.Table, key: Any, at: Any, dialect: str, of: Any, where: Any) -> Any:
    if dialect == "postgresql":
        return sa.delete(table).where(key == of, where)
    # SQLite's DELETE knows no other table, but finds rows by their keys.
    found = sa.select(key, at).where(key == of, where).correlate(None)
    return sa.delete(table).where(sa.tuple_(key, at).in_(found))


def _spans(kind: Kind, dialect: str) -> Rows:
    """Series by key, the entry that was in force before, and from and until when to roll them up."""
    return Rows(dialect, key=tables(kind).key_type, before=UTCDateTime(), begin=UTCDateTime(), until=UTCDateTime())


def _length(t: Tables) -> sa.ColumnElement[int]:
    return microseconds(t.buckets.c.ends_at) - microseconds(t.buckets.c.starts_at)


def _or_beginning(moment: sa.Select[Any]) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(moment.scalar_subquery(), BEGINNING)


def _entries(t: Tables, level: Level, rows: Rows) -> CTE:
    """The entries of the spans, and the one before each span, for what was in force as it began."""
    span, bucket = rows.columns, t.buckets.c
    price: Any
    own: dict[str, Any]
    if level is Level.POINTS:
        key, at, price, own = t.point_key, t.at, t.price, {}
    else:
        key, at = t.bucket_key, bucket.starts_at
        price = sa.case((bucket.last_until == bucket.ends_at, bucket.last_price))
        own = {name: bucket[name] for name in ("low", "high", "weighted", "had", "first_price", "last_price")}
        own |= {name: microseconds(bucket[name]) for name in ("first_at", "last_until")}
        own |= {"until": microseconds(bucket.ends_at)}
    found = sa.select(
        span.key,
        (at >= span.begin).label("is_new"),
        microseconds(at).label("at"),
        price.label("price"),
        *(column.label(name) for name, column in own.items()),
    ).where(key == span.key, at >= span.before, at < span.until)
    entry = found.subquery("entry").c
    window: dict[str, Any] = {"partition_by": entry.key, "order_by": entry.at}
    return sa.select(
        *entry,
        (entry.at - entry.at % LENGTH[level]).label("start"),
        sa.func.lead(entry.at).over(**window).label("next_at"),
        sa.func.lag(entry.at).over(**window).label("before_at"),
        sa.func.lag(entry.price).over(**window).label("before_price"),
        sa.func.row_number().over(**window).label("number"),
    ).cte("entries")


def _pieces(entries: CTE, length: int) -> Any:
    """What buckets of a length are made of."""
    entry = entries.c
    until = entry.until if "until" in entry else entry.at
    start, end = entry.start, sa.case((entry.next_at < entry.start + length, entry.next_at), else_=entry.start + length)
    after = _piece(entry.key, start, 3 * entry.number + 2, until, end, entry.price).where(entry.is_new)
    opens = sa.and_(entry.before_at < start, start < entry.at, entry.before_price.is_not(None))
    before = _piece(entry.key, start, 3 * entry.number, start, entry.at, entry.before_price).where(entry.is_new, opens)
    if "until" not in entry:
        return sa.union_all(after, before)
    place = (3 * entry.number + 1) * PLACE
    numbers = (entry.low, entry.high, entry.weighted, sa.literal(1, sa.BigInteger), entry.had, entry.first_at)
    ends = (place + entry.first_price, entry.last_until, place + entry.last_price)
    own = sa.select(entry.key, start, *numbers, *ends).where(entry.is_new)
    return sa.union_all(after.where(until < end), before, own)


def _piece(key: Any, start: Any, number: Any, begin: Any, end: Any, price: Any) -> sa.Select[Any]:
    """A time in which the price is the same."""
    asked = price.is_not(None)
    columns = {
        "key": key,
        "start": start,
        "low": price,
        "high": price,
        "a": price,
        "b": end - begin,
        "had": sa.case((asked, end - begin)),
        "first_at": sa.case((asked, begin)),
        "first": number * PLACE + price,
        "last_until": sa.case((asked, end)),
        "last": number * PLACE + price,
    }
    return sa.select(*(column.label(name) for name, column in columns.items()))


def _buckets(pieces: CTE, length: int) -> sa.Select[Any]:
    """What the pieces of each bucket come to."""
    piece = pieces.c
    columns = {
        "key": piece.key,
        "starts_at": moment_of(piece.start),
        "ends_at": moment_of(piece.start + length),
        "low": sa.func.min(piece.low),
        "high": sa.func.max(piece.high),
        "weighted": sa.cast(sum_of_products(piece.a, piece.b), WholeNumber()),
        "had": sa.func.coalesce(sa.cast(sa.func.sum(piece.had), sa.BigInteger), 0),
        "first_at": moment_of(sa.func.min(piece.first_at)),
        "first_price": sa.func.min(piece.first) % PLACE,
        "last_until": moment_of(sa.func.max(piece.last_until)),
        "last_price": sa.func.max(piece.last) % PLACE,
    }
    return sa.select(*(column.label(name) for name, column in columns.items())).group_by(piece.key, piece.start)


def _in_order(buckets: sa.Select[Any], names: list[str]) -> sa.Select[Any]:
    found = buckets.subquery("found").c
    # "WHERE true" tells SQLite's parser that ON CONFLICT is not the condition of a join.
    return sa.select(found.key, *(found[name] for name in names)).where(sa.true())
