"""The changes of the catalogue, numbered in the order of their commits. The caller owns the transaction.

Numbers are given out by one transaction at a time, which keeps the right to do so until it ends. So a number that can
be seen says that all lower ones can be seen, too; a counter alone would let a reader pass over a transaction
that has its numbers and is not committed yet. To record is the last thing that a transaction should do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, dialect, one_at_a_time, wait_for_the_disk
from aggregator.errors import CursorGone
from aggregator.models import Change, ChangeKind, ChangeReader
from aggregator.models.base import table_of
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.reading import read
from aggregator.sql import Rows, Select, insert_of, json_bool, json_object, json_time, upsert

CHANGES, READERS = table_of(Change), table_of(ChangeReader)
KEPT = timedelta(days=7)
EXAMINED_AT_ONCE = 5_000
LOCK = "numbers of changes"

# A cursor is the number of a change, and the microseconds of its moment as the last six digits: those show that it is
# a change of this database, and not of one that had more changes before it was restored from a backup.
STEP = 1_000_000
SKEW = timedelta(hours=1)  # by which a change may be older than one before it
CATEGORY_UPDATED = "category.updated"

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

    @property
    def cursor(self) -> int:
        """What leads to the changes after it."""
        return self.number * STEP + self.at.microsecond


def record(kind: ChangeKind, product_ids: Sequence[UUID], now: datetime) -> None:
    """Record what has been done to products."""
    if product_ids:
        one_at_a_time(LOCK)
        rows, statement = _add(dialect())
        db.session.connection().execute(statement, rows.parameters(product_ids) | {"kind": kind, "at": now})


@cache
def _add(dialect: str) -> tuple[Rows, sa.Insert]:
    return insert_of(CHANGES, dialect, ("product_id",), ("kind", "at"))


def record_category(category_id: UUID, now: datetime) -> None:
    """Record that what products show of their category has changed: once, however many products are in it."""
    one_at_a_time(LOCK)
    change = {"product_id": category_id, "category_id": category_id, "kind": ChangeKind.UPDATED, "at": now}
    db.session.execute(sa.insert(Change), [change])


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


def after(cursor: int, limit: int, now: datetime) -> tuple[str, int]:
    """The changes after a cursor as a JSON array, up to limit of them, and the cursor of the last one.

    CursorGone where the cursor is not one of this database; 0 is the beginning.
    """
    number = cursor // STEP
    rows = read(_from, number=number, limit=limit + 1)  # its own change, and what comes after it
    if cursor:
        if not number or not rows:
            raise CursorGone
        if rows[0][1] == number:
            if rows[0][2] != cursor:
                raise CursorGone
            rows = rows[1:]
        elif not _may_be_forgotten(number, now):
            raise CursorGone
    shown = rows[:limit]
    return "[" + ",".join(row[0] for row in shown) + "]", shown[-1][2] if shown else cursor


def _may_be_forgotten(number: int, now: datetime) -> bool:
    """Whether a change that there is not may have been there: only old ones are forgotten, none before newer ones."""
    before = read(_before, number=number)
    return not before or before[0][0] <= (now - KEPT + SKEW).astimezone(UTC).strftime(TIMESTAMP_FORMAT)


def _before() -> Select:
    this = sa.select(json_time(Change.at)).where(Change.number < sa.bindparam("number", type_=sa.BigInteger))
    return this.order_by(Change.number.desc()).limit(1)


def _from() -> Select:
    of_category = Change.category_id.is_not(None)
    cursor = Change.number * STEP + sa.cast(sa.func.substr(json_time(Change.at), 21, 6), sa.BigInteger)
    document = json_object(
        {
            "cursor": cursor,
            "type": sa.case((of_category, CATEGORY_UPDATED), else_=sa.cast(Change.kind, sa.String)),
            "at": json_time(Change.at),
            "product_id": sa.case((of_category, sa.null()), else_=Change.product_id),
            "category_id": Change.category_id,
            "price_before": Change.price_before,
            "lowest_price": Change.lowest_price,
            "offer_count": Change.offer_count,
            "sold_out": json_bool(sa.and_(Change.price_before.is_not(None), Change.lowest_price.is_(None))),
        }
    )
    return (
        sa.select(sa.cast(document, sa.Text), Change.number, cursor)
        .where(Change.number >= sa.bindparam("number", type_=sa.BigInteger))
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
