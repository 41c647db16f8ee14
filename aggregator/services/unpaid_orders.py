"""Orders that were not paid for in time. The caller owns the transaction."""

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db
from aggregator.models import Order, OrderStatus
from aggregator.reading import read
from aggregator.sql import Select, now_plus

AT_ONCE = 100


def anything_due(minutes: int) -> bool:
    """Whether an order has been waiting to be paid for longer than so many minutes."""
    return bool(read(_any_due, minutes))


def _any_due(minutes: int) -> Select:
    return sa.select(sa.literal(1)).select_from(Order).where(_is_due(minutes)).limit(1)


def due(minutes: int) -> Sequence[UUID]:
    """Some of the orders that have been waiting for longer than so many minutes, the oldest first."""
    return db.session.scalars(
        sa.select(Order.id).where(_is_due(minutes)).order_by(Order.created_at).limit(AT_ONCE)
    ).all()


def _is_due(minutes: int) -> sa.ColumnElement[bool]:
    placed = Order.status == sa.literal_column(f"'{OrderStatus.PLACED}'")  # as the index has it
    return sa.and_(placed, Order.created_at < now_plus(-60.0 * minutes))
