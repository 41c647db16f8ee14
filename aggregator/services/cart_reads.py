"""Carts as their users read them: one statement that returns the JSON text."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.models import CartItem, Product
from aggregator.reading import read
from aggregator.sql import Select, id_parameter, json_array, json_object

SOLD = sa.and_(Product.price.is_not(None), Product.deleted_at.is_(None))
PRICE = sa.case((SOLD, Product.price))  # null where it is not sold any more
LINE_TOTAL = sa.func.coalesce(PRICE * CartItem.quantity, 0)


def cart(user_id: UUID, currency: str) -> str:
    """The cart of a user, in the order in which it was filled; an empty one where there is none."""
    return str(read(_cart, user_id=str(user_id), currency=currency)[0][0])


def _cart() -> Select:
    lines = _of_the_user(sa.select(_line())).order_by(CartItem.added_at, CartItem.product_id)
    pieces, total = (
        _of_the_user(sa.select(sa.cast(sa.func.coalesce(sa.func.sum(summand), 0), sa.BigInteger))).scalar_subquery()
        for summand in (CartItem.quantity, LINE_TOTAL)
    )
    currency = sa.cast(sa.bindparam("currency", type_=sa.String), sa.Text)
    document = json_object({"items": json_array(lines), "count": pieces, "total": total, "currency": currency})
    return sa.select(sa.cast(document, sa.Text))


def _line() -> json_object:
    return json_object(
        {
            "product_id": Product.id,
            "name": Product.name,
            "quantity": CartItem.quantity,
            "unit_price": PRICE,
            "total": LINE_TOTAL,
            "available": sa.case((SOLD, Product.stock), else_=0),
        }
    )


def _of_the_user(statement: Any) -> Any:
    return statement.join_from(CartItem, Product, Product.id == CartItem.product_id).where(
        CartItem.user_id == id_parameter("user_id")
    )
