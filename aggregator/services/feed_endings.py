"""Ends the claims on products, with what became of them: one statement is lock, fence and change."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from aggregator.database import db, dialect
from aggregator.models import Registration
from aggregator.models.types import GUID, UTCDateTime
from aggregator.services.feeds import FEEDS, Claimed
from aggregator.sql import Rows, now_plus

Statement = tuple[Rows, sa.Executable]
MOMENT = sa.bindparam("moment", type_=UTCDateTime())


def release(products: Sequence[Claimed]) -> None:
    """Give products back untouched: they stay due."""
    _finish(_release, products)


def synced(
    products: Sequence[Claimed],
    digests: Sequence[int | None],
    due_in: Sequence[float],
    lowest_prices: Sequence[int | None],
    offer_counts: Sequence[int | None],
    moment: datetime,
    now: datetime,
) -> set[str]:
    """Note that answers with these digests came in, and what the offers come to; a count of None is no news.

    Their points bear the moment, which is later than now where the clock has gone back. Each is due again in so many
    seconds. Returns the ids of the products that were still ours to write to.
    """
    until = moment if moment > now else None
    return _finish(_synced, products, digests, due_in, lowest_prices, offer_counts, moment=now, points_until=until)


def failed(products: Sequence[Claimed], reasons: Sequence[str], due_in: Sequence[float]) -> set[str]:
    """Note why syncs failed; each is due again in so many seconds. The stored offers stay as they are."""
    return _finish(_failed, products, reasons, due_in)


def registered(products: Sequence[Claimed], fingerprint: str, moment: datetime) -> set[str]:
    """Note that the service knows the products; their first sync is due at once."""
    return _finish(_registered, products, fingerprint=fingerprint, moment=moment)


def not_registered(products: Sequence[Claimed], reasons: Sequence[str], due_in: Sequence[float]) -> set[str]:
    """Note why products are not registered yet; each is to be tried again in so many seconds."""
    return _finish(_not_registered, products, reasons, due_in)


def refused(products: Sequence[Claimed], reasons: Sequence[str], due_in: Sequence[float]) -> set[str]:
    """Note that the service does not want products as they are; each is tried again in so many seconds."""
    return _finish(_refused, products, reasons, due_in)


def _finish(
    build: Callable[[str], Statement], products: Sequence[Claimed], *columns: Sequence[Any], **values: Any
) -> set[str]:
    """End the claims on products that still hold, and write: one statement is lock, fence and change."""
    if not products:
        return set()
    rows, statement = build(dialect())
    ids, claims = [product.product_id for product in products], [product.claim for product in products]
    parameters = rows.parameters(ids, claims, *columns) | values
    return set(db.session.connection().execute(statement, parameters).scalars())


def _ending(rows: Rows, **values: Any) -> Statement:
    """The statement that ends the claims in rows and sets values."""
    new = rows.columns
    statement = (
        sa.update(FEEDS)
        .where(FEEDS.c.product_id == new.id, FEEDS.c.claimed_by == new.claim)
        .values(**values, claimed_by=None, claimed_until=None)
        .returning(sa.cast(FEEDS.c.product_id, sa.String))
    )
    return rows, statement


def _rows(dialect: str, **types: TypeEngine[Any]) -> Rows:
    return Rows(dialect, id=GUID(), claim=sa.Text(), **types)


@cache
def _release(dialect: str) -> Statement:
    return _ending(_rows(dialect))


@cache
def _synced(dialect: str) -> Statement:
    rows = _rows(
        dialect,
        digest=sa.BigInteger(),
        due_in=sa.Float(),
        lowest_price=sa.BigInteger(),
        offer_count=sa.Integer(),
    )
    new = rows.columns
    return _ending(
        rows,
        digest=new.digest,
        due_at=now_plus(new.due_in),
        lowest_price=sa.case((new.offer_count.is_(None), FEEDS.c.lowest_price), else_=new.lowest_price),
        offer_count=sa.func.coalesce(new.offer_count, FEEDS.c.offer_count),
        synced_at=MOMENT,
        points_until=sa.bindparam("points_until", type_=UTCDateTime()),
        attempts=0,
        failures=0,
        failure=None,
    )


@cache
def _failed(dialect: str) -> Statement:
    rows = _rows(dialect, reason=sa.Text(), due_in=sa.Float())
    new = rows.columns
    failures = FEEDS.c.failures + 1
    return _ending(rows, failures=failures, failure=new.reason, due_at=now_plus(new.due_in))


@cache
def _registered(dialect: str) -> Statement:
    return _ending(
        _rows(dialect),
        status=Registration.REGISTERED,
        reason=None,
        registered_at=MOMENT,
        registered_with=sa.bindparam("fingerprint", type_=sa.Text),
        attempts=FEEDS.c.attempts + 1,
        digest=None,  # whatever comes next is news
        due_at=now_plus(0),
    )


@cache
def _not_registered(dialect: str) -> Statement:
    rows = _rows(dialect, reason=sa.Text(), due_in=sa.Float())
    new = rows.columns
    return _ending(
        rows,
        status=Registration.PENDING,
        reason=new.reason,
        attempts=FEEDS.c.attempts + 1,
        due_at=now_plus(new.due_in),
    )


@cache
def _refused(dialect: str) -> Statement:
    rows = _rows(dialect, reason=sa.Text(), due_in=sa.Float())
    new = rows.columns
    return _ending(
        rows,
        status=Registration.REFUSED,
        reason=new.reason,
        attempts=FEEDS.c.attempts + 1,
        failures=FEEDS.c.failures + 1,
        due_at=now_plus(new.due_in),
    )
