"""How much one user may order, so that nobody takes everything from the others. The caller owns the transaction."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, one_at_a_time
from aggregator.errors import LimitReached, TooManyOrders
from aggregator.models import Order, OrderStatus

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class OrderLimits:
    """What is allowed to a user: orders in an hour and in a day, pieces in one order, and unpaid orders (0: any)."""

    per_hour: int = 100
    per_day: int = 300
    pieces: int = 1_000
    unpaid: int = 0


USUAL = OrderLimits()


def require_turn(user_id: UUID, allowed: OrderLimits, now: datetime) -> None:
    """Return if a user may place another order; nobody else may for this user until the transaction ends.

    Cancelled orders count, too. TooManyOrders says when the next one may be placed.
    """
    one_at_a_time(f"orders of {user_id}")
    of_user = sa.select(Order.created_at).where(Order.user_id == user_id).order_by(Order.created_at.desc())
    for number, window in ((allowed.per_hour, HOUR), (allowed.per_day, DAY)):
        last = db.session.scalar(of_user.where(Order.created_at > now - window).offset(number - 1).limit(1))
        if last is not None:
            raise TooManyOrders((last + window - now).total_seconds())
    if allowed.unpaid:
        placed = sa.select(sa.func.count()).where(Order.user_id == user_id, Order.status == OrderStatus.PLACED)
        if (db.session.scalar(placed) or 0) >= allowed.unpaid:
            raise LimitReached(f"You have {allowed.unpaid} unpaid orders; pay for one or cancel it first.")


def require_pieces(pieces: int, at_most: int) -> None:
    """Return if so many pieces of all products together may be in one order."""
    if pieces > at_most:
        raise LimitReached(f"No more than {at_most} pieces in one order; these are {pieces}.")
