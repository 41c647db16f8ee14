"""Carts: what users mean to order. Nothing is reserved by it. The caller owns the transaction.

Whoever changes what is in a cart, or orders it, locks the cart first: what is put in while it is being ordered is
neither lost nor ordered unseen.
"""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, dialect
from aggregator.errors import LimitReached, NotFound
from aggregator.models import Cart, CartItem
from aggregator.models.base import table_of
from aggregator.models.orders import MAX_LINES, MAX_QUANTITY
from aggregator.services import stock
from aggregator.sql import upsert

CARTS = table_of(Cart)
ITEMS = table_of(CartItem)
TOO_MANY = f"No more than {MAX_QUANTITY} of one product in a cart."


def add(user_id: UUID, product_id: UUID, quantity: int, now: datetime) -> None:
    """Put more of a product into the cart of a user. Conflict where that comes to more than there is."""
    _lock(user_id, now)
    line = _line(user_id, product_id)
    quantity += line.quantity if line else 0
    if quantity > MAX_QUANTITY:
        raise LimitReached(TOO_MANY)
    stock.require(product_id, quantity)
    if line:
        line.quantity = quantity
    else:
        _require_room(user_id)
        db.session.add(CartItem(user_id=user_id, product_id=product_id, quantity=quantity, added_at=now))
    db.session.flush()


def set_quantity(user_id: UUID, product_id: UUID, quantity: int, now: datetime) -> None:
    """Have so many of a product in the cart of a user. NotFound where it is not in there."""
    _lock(user_id, now)
    line = _line(user_id, product_id)
    if line is None:
        raise _not_in_there()
    stock.require(product_id, quantity)
    line.quantity = quantity
    db.session.flush()


def remove(user_id: UUID, product_id: UUID, now: datetime) -> None:
    """Take a product out of the cart of a user. NotFound where it is not in there."""
    _lock(user_id, now)
    line = _line(user_id, product_id)
    if line is None:
        raise _not_in_there()
    db.session.delete(line)
    db.session.flush()


def empty(user_id: UUID, now: datetime) -> dict[UUID, int]:
    """Take everything out of the cart of a user: how many of each product there were."""
    _lock(user_id, now)
    of_the_user = ITEMS.c.user_id == user_id
    found = db.session.execute(sa.select(ITEMS.c.product_id, ITEMS.c.quantity).where(of_the_user))
    lines = {row.product_id: row.quantity for row in found}
    if lines:
        # What has been read, and no more: whatever else there may be has not been seen.
        db.session.execute(sa.delete(ITEMS).where(of_the_user, ITEMS.c.product_id.in_(lines)))
    return lines


def _lock(user_id: UUID, now: datetime) -> None:
    """Have the cart of a user to oneself until the transaction ends. It is made where there is none."""
    insert = upsert(CARTS, dialect()).values(user_id=user_id, updated_at=now)
    mark = {"updated_at": insert.excluded.updated_at}
    db.session.execute(insert.on_conflict_do_update(index_elements=["user_id"], set_=mark))


def _line(user_id: UUID, product_id: UUID) -> CartItem | None:
    return db.session.get(CartItem, (user_id, product_id))


def _require_room(user_id: UUID) -> None:
    lines = db.session.scalar(sa.select(sa.func.count()).select_from(ITEMS).where(ITEMS.c.user_id == user_id))
    if lines is not None and lines >= MAX_LINES:
        raise LimitReached(f"There are {MAX_LINES} products in your cart already; take one out first.")


def _not_in_there() -> NotFound:
    return NotFound("There is no such product in your cart.")
