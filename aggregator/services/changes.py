"""The changes of the catalogue, numbered in the order of their commits. The caller owns the transaction.

Numbers are given out by one transaction at a time, which keeps the right to do so until it ends. So a number that can
be seen says that all lower ones can be seen, too; a counter alone would let a reader pass over a transaction
that has its numbers and is not committed yet. To record is the last thing that a transaction should do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, dialect, one_at_a_time, wait_for_the_disk
from aggregator.models import Change, ChangeKind, ChangeReader
from aggregator.models.base import table_of
from aggregator.reading import read
from aggregator.sql import Rows, Select, insert_of, json_bool, json_object, json_time, upsert

CHANGES, READERS = table_of(Change), table_of(ChangeReader)
KEPT = timedelta(days=7)
EXAMINED_AT_ONCE = 5_000
LOCK = "numbers of changes"

OfferChange = tuple[str, int | None, int | None, int]  # product id, lowest price before and after, offers


@dataclass(frozen=True, slots=True)
class Recorded:
    """A change as it was recorded; the prices are those of Change."""

    number: int
    kind: ChangeKind
    product_id: UUID
    at: datetime
    price_before: int | None
    lowest_price: int | None
    offer_count: int | None


def record(kind: ChangeKind, product_ids: Sequence[UUID], now: datetime) -> None:
    """Record what has been done to products."""
    if product_ids:
        one_at_a_time(LOCK)
        rows, statement = _add(dialect())
        db.session.connection().execute(statement, rows.parameters(product_ids) | {"kind": kind, "at": now})


@cache
def _add(dialect: str) -> tuple[Rows, sa.Insert]:
    return insert_of(CHANGES, dialect, ("product_id",), ("kind", "at"))


def record_offers(changes: Sequence[OfferChange], moment: datetime) -> None:
    """Record that the offers of products have changed."""
    if changes:
        rows, statement = _add_offers(dialect())
        parameters = rows.parameters(*zip(*changes, strict=True)) | {"kind": ChangeKind.OFFERS, "at": moment}
        # Otherwise the sync does not wait. But a number that somebody has seen must not be given out again.
        wait_for_the_disk()
        one_at_a_time(LOCK)
        db.session.connection().execute(statement, parameters)


@cache
def _add_offers(dialect: str) -> tuple[Rows, sa.Insert]:
    return insert_of(CHANGES, dialect, ("product_id", "price_before", "lowest_price", "offer_count"), ("kind", "at"))


def last_number() -> int:
    """The number of the last change: everything up to it is committed, and nothing after it until the caller is."""
    one_at_a_time(LOCK)
    return db.session.scalar(sa.select(sa.func.max(Change.number))) or 0


def after(number: int, limit: int) -> tuple[str, int]:
    """The changes after a number as a JSON array, up to limit of them, and the number of the last one."""
    rows = read(_after, after=number, limit=limit)
    return "[" + ",".join(row[0] for row in rows) + "]", rows[-1][1] if rows else number


def _after() -> Select:
    document = json_object(
        {
            "cursor": Change.number,
            "type": Change.kind,
            "at": json_time(Change.at),
            "product_id": Change.product_id,
            "price_before": Change.price_before,
            "lowest_price": Change.lowest_price,
            "offer_count": Change.offer_count,
            "sold_out": json_bool(sa.and_(Change.price_before.is_not(None), Change.lowest_price.is_(None))),
        }
    )
    return (
        sa.select(sa.cast(document, sa.Text), Change.number)
        .where(Change.number > sa.bindparam("after", type_=sa.BigInteger))
        .order_by(Change.number)
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )


def unread(reader: str, limit: int) -> list[Recorded]:
    """The next changes for a reader, who is alone with them until the transaction ends.

    Nothing while somebody else is at them: who has read how far is noted in the end, by have_read().
    """
    position = _position(reader)
    if position is None:
        return []
    columns = [CHANGES.c[name] for name in Recorded.__slots__]
    rows = db.session.execute(sa.select(*columns).where(Change.number > position).order_by(Change.number).limit(limit))
    return [Recorded(*row) for row in rows]


def has_read_all(reader: str) -> bool:
    """Whether a reader has read every change, and is alone until the transaction ends."""
    position = _position(reader)
    if position is None:
        return False
    return db.session.scalar(sa.select(Change.number).where(Change.number > position).limit(1)) is None


def have_read(reader: str, number: int) -> None:
    """Note that a reader has read up to a number."""
    db.session.execute(sa.update(READERS).where(READERS.c.name == reader).values(number=number))


def _position(reader: str) -> int | None:
    """How far a reader has come, locked until the transaction ends; None where somebody else has locked it."""
    position = sa.select(READERS.c.number).where(READERS.c.name == reader)
    number = db.session.scalar(position.with_for_update(skip_locked=True))
    if number is None and db.session.scalar(position) is None:  # an INSERT would wait for who has locked it
        new = upsert(READERS, dialect()).values(name=reader, number=0).on_conflict_do_nothing()
        number = db.session.scalar(new.returning(READERS.c.number))
    return number


def anything_unread(reader: str) -> bool:
    """Whether there is a change that a reader has not read."""
    return bool(read(_any_unread, reader=reader))


def _any_unread() -> Select:
    position = sa.select(ChangeReader.number).where(ChangeReader.name == sa.bindparam("reader")).scalar_subquery()
    return sa.select(sa.literal(1)).select_from(Change).where(Change.number > sa.func.coalesce(position, 0)).limit(1)


def compact(after: int, now: datetime) -> tuple[int | None, int]:
    """Forget changes of more than a week ago that a later one of the same product makes needless.

    Examines a batch of what comes after a number: returns the last number examined, None where there was none, and
    how many were forgotten. What somebody has still to read stays.
    """
    everybody = sa.select(sa.func.min(ChangeReader.number)).scalar_subquery()
    old = sa.and_(Change.number > after, Change.at < now - KEPT, Change.number <= everybody)
    examined = sa.select(Change.number).where(old).order_by(Change.number).limit(EXAMINED_AT_ONCE)
    numbers = db.session.scalars(examined).all()
    if not numbers:
        return None, 0
    later = sa.orm.aliased(Change)
    superseded = sa.exists().where(later.product_id == Change.product_id, later.number > Change.number)
    gone = sa.delete(Change).where(Change.number.between(numbers[0], numbers[-1]), old, superseded)
    return numbers[-1], len(db.session.execute(gone.returning(Change.number)).all())
