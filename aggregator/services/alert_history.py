"""What the rules of alerts ask the history: many questions in one statement. The caller owns the transaction."""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, TypeVar
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, dialect
from aggregator.models import Offer, PricePoint
from aggregator.models.base import table_of
from aggregator.models.types import GUID, UTCDateTime
from aggregator.services.alert_rules import Movement
from aggregator.services.price_series import EPOCH, MICROSECOND
from aggregator.services.price_tables import Kind, Tables, tables
from aggregator.sql import Rows

OFFERS, POINTS = table_of(Offer).c, table_of(PricePoint).c
# An answer may have to look at a month of points, and a statement has ten seconds.
QUESTIONS_AT_ONCE, MOMENTS_AT_ONCE = 100, 1_000

_MOMENTS = {"since": UTCDateTime(), "until": UTCDateTime()}

Statement = tuple[Rows, sa.Executable]
T = TypeVar("T")


class Question(NamedTuple):
    """What the lowest price of a product was before a moment, or the highest one, in so many days or ever."""

    product_id: UUID
    highest: bool
    days: int | None
    at: datetime

    @property
    def since(self) -> datetime:
        """As far back as it looks."""
        return EPOCH if self.days is None else max(self.at - timedelta(days=self.days), EPOCH)


Answers = dict[Question, tuple[int, datetime]]


def extremes(questions: Collection[Question]) -> Answers:
    """The answers to questions, and of each the last moment that is known at which it was asked.

    Of the price in force when the time begins that moment is the beginning. There is no answer where there was no
    price. Of what has been rolled up, an hour or a day counts if any of it is not too long ago.
    """
    answers: Answers = {}
    for highest in (False, True):
        rows, statement = _extremes(highest, dialect())
        for some in _chunks([question for question in questions if question.highest is highest], QUESTIONS_AT_ONCE):
            columns = zip(*((n, str(asked.product_id), asked.since, asked.at) for n, asked in some), strict=True)
            asked = dict(some)
            for number, *known in db.session.connection().execute(statement, rows.parameters(*columns)):
                answer = _best(asked[number], *known)
                if answer:
                    answers[asked[number]] = answer
    return answers


def cheapest(movements: Sequence[Movement]) -> dict[int, tuple[str | None, str | None]]:
    """The cheapest offers just before movements and with them, by their numbers; None where nothing was to be had."""
    moments = {(m.product_id, at) for m in movements for at in (m.at - MICROSECOND, m.at)}
    found: dict[tuple[UUID, datetime], str] = {}
    rows, statement = _cheapest(dialect())
    for some in _chunks(moments, MOMENTS_AT_ONCE):
        columns = zip(*((n, str(product_id), at) for n, (product_id, at) in some), strict=True)
        asked = dict(some)
        for number, offer_id in db.session.connection().execute(statement, rows.parameters(*columns)):
            found[asked[number]] = offer_id
    return {
        m.number: (found.get((m.product_id, m.at - MICROSECOND)), found.get((m.product_id, m.at))) for m in movements
    }


def _chunks(things: Collection[T], size: int) -> Iterator[list[tuple[int, T]]]:
    """All things with their numbers, so many at a time."""
    numbered = enumerate(things)
    while some := list(islice(numbered, size)):
        yield some


def _best(question: Question, *known: Any) -> tuple[int, datetime] | None:
    """The best of what is known: of the points, of the buckets, and of the price in force when the time begins."""
    point, point_at, bucket, bucket_end, in_force, in_force_after_bucket = known
    last = question.at - MICROSECOND
    found = [
        (point, point_at),
        (bucket, bucket_end and min(bucket_end - MICROSECOND, last)),
        (in_force, question.since),
        (in_force_after_bucket, question.since),
    ]
    asked = [(price, at) for price, at in found if price is not None]
    sign = 1 if question.highest else -1
    return max(asked, key=lambda each: (sign * each[0], each[1]), default=None)


@cache
def _extremes(highest: bool, dialect: str) -> Statement:
    t, rows = tables(Kind.PRODUCT), Rows(dialect, number=sa.Integer(), product_id=GUID(), **_MOMENTS)
    asked, bucket = rows.columns, t.buckets.c
    price = bucket.high if highest else bucket.low
    points = _points(t, asked).where(t.at > asked.since, t.at < asked.until, t.price.is_not(None))
    points = points.order_by(t.price.desc() if highest else t.price, t.at.desc()).limit(1)
    buckets = _buckets(t, asked).where(price.is_not(None))
    buckets = buckets.order_by(price.desc() if highest else price, bucket.ends_at.desc()).limit(1)
    before = _points(t, asked).where(t.at <= asked.since)
    last_bucket = (
        sa.select(sa.case((bucket.last_until == bucket.ends_at, bucket.last_price)))
        .where(t.bucket_key == asked.product_id, bucket.starts_at <= asked.since)
        .where(~before.correlate(rows.table).exists())
        .order_by(bucket.starts_at.desc())
        .limit(1)
    )
    columns = {
        "point": points.with_only_columns(t.price),
        "point_at": points.with_only_columns(t.at),
        "bucket": buckets.with_only_columns(price),
        "bucket_end": buckets.with_only_columns(bucket.ends_at),
        "in_force": before.order_by(t.at.desc()).limit(1),
        "in_force_after_bucket": last_bucket,
    }
    found = [column.correlate(rows.table).scalar_subquery().label(name) for name, column in columns.items()]
    return rows, sa.select(asked.number, *found)


def _points(t: Tables, asked: Any) -> sa.Select[Any]:
    return sa.select(t.price).where(t.point_key == asked.product_id)


def _buckets(t: Tables, asked: Any) -> sa.Select[Any]:
    """The buckets that lie in the time asked for, or that it begins in."""
    start = t.buckets.c.starts_at
    earlier = t.buckets.alias("earlier").c
    first = (
        sa.select(earlier.starts_at)
        .where(earlier[t.bucket_key.name] == asked.product_id, earlier.starts_at <= asked.since)
        .order_by(earlier.starts_at.desc())
        .limit(1)
        .correlate(asked.number.table)
    )
    return sa.select(start).where(
        t.bucket_key == asked.product_id,
        start >= sa.func.coalesce(first.scalar_subquery(), asked.since),
        start < asked.until,
        t.buckets.c.ends_at > asked.since,
    )


@cache
def _cheapest(dialect: str) -> Statement:
    rows = Rows(dialect, number=sa.Integer(), product_id=GUID(), at=UTCDateTime())
    asked = rows.columns
    price = (
        sa.select(POINTS.price)
        .where(POINTS.offer_id == OFFERS.id, POINTS.observed_at <= asked.at)
        .order_by(POINTS.observed_at.desc())
        .limit(1)
        .correlate(OFFERS.id.table, rows.table)
        .scalar_subquery()
    )
    of_product = (
        sa.select(asked.number, OFFERS.id, OFFERS.upstream_id, price.label("price"))
        .join_from(rows.table, OFFERS.id.table, OFFERS.product_id == asked.product_id)
        .subquery("of_product")
    )
    offer = of_product.c
    rank = sa.func.row_number().over(partition_by=offer.number, order_by=(offer.price, offer.id)).label("rank")
    ranked = sa.select(offer.number, offer.upstream_id, rank).where(offer.price.is_not(None)).subquery("ranked")
    return rows, sa.select(ranked.c.number, ranked.c.upstream_id).where(ranked.c.rank == 1)
