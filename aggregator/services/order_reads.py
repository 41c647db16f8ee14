"""Orders as their users and the admins read them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db
from aggregator.errors import NotFound
from aggregator.models import Order, OrderEvent, OrderItem, Product, User
from aggregator.models.base import table_of
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.reading import read
from aggregator.services import listing
from aggregator.services.list_queries import Listing
from aggregator.services.listing import Page
from aggregator.sql import Select, id_parameter, json_array, json_object, json_time, moment_parameter

MISTAKEN = str.maketrans("OIL", "011")  # Crockford's: codes have only the others
OWN = Order.user_id == id_parameter("owner_id")


SYSTEM, ADMIN = "system", "admin"  # in the history, in place of a name
_BY_SYSTEM: Any = (OrderEvent.by.is_(None), sa.literal_column(f"'{SYSTEM}'"))
BY = sa.case(_BY_SYSTEM, else_=User.username)
# Whose order it is learns no name but their own.
BY_FOR_OWNER = sa.case(
    _BY_SYSTEM, (OrderEvent.by == Order.user_id, User.username), else_=sa.literal_column(f"'{ADMIN}'")
)


def order_json(by: sa.ColumnElement[str] = BY) -> json_object:
    """An order as JSON, with its lines by their names, and all that has become of it, and by whom."""
    line = json_object(
        {
            "product_id": OrderItem.product_id,
            "product_name": OrderItem.product_name,
            "quantity": OrderItem.quantity,
            "unit_price": OrderItem.unit_price,
            "total": OrderItem.unit_price * OrderItem.quantity,
        }
    )
    event = json_object({"status": OrderEvent.status, "at": json_time(OrderEvent.at), "by": by})
    lines = sa.select(line).where(OrderItem.order_id == Order.id).correlate(Order)
    name = sa.select(Product.sort_key).where(Product.id == OrderItem.product_id).scalar_subquery()
    events = sa.select(event).outerjoin_from(OrderEvent, User, User.id == OrderEvent.by)
    events = events.where(OrderEvent.order_id == Order.id).correlate(Order)
    return json_object(
        {
            "id": Order.id,
            "code": Order.code,
            "status": Order.status,
            "items": json_array(lines.order_by(name, OrderItem.product_id)),
            "total": Order.total,
            "currency": Order.currency,
            "created_at": json_time(Order.created_at),
            "history": json_array(events.order_by(OrderEvent.number)),
        }
    )


ORDERS = Listing(
    source=table_of(Order),
    document=order_json,
    columns={"created_at": Order.created_at, "total": Order.total},
    tie=Order.id,
    default_sort="-created_at",
    filters={
        "owner_id": OWN,
        "user_id": Order.user_id == id_parameter("user_id"),
        "code": Order.code == sa.bindparam("code", type_=sa.String),
        "status": sa.cast(Order.status, sa.String) == sa.bindparam("status", type_=sa.String),
        "created_after": Order.created_at > moment_parameter("created_after"),
    },
)


OWN_ORDERS = replace(ORDERS, document=partial(order_json, BY_FOR_OWNER))


def page(owner_id: UUID | None, filters: Mapping[str, Any], **position: Any) -> Page:
    """A page of the orders of a user, or of everybody's where owner_id is None."""
    shown = {name: _as_text(value) for name, value in filters.items()}
    if "code" in shown:
        shown["code"] = code_of(shown["code"])
    owner = {} if owner_id is None else {"owner_id": str(owner_id)}
    return listing.page(OWN_ORDERS if owner else ORDERS, shown | owner, **position)


def code_of(text: str) -> str:
    """The code that somebody types or has heard: in small letters, with blanks or hyphens, an O for a 0."""
    return "".join(re.findall("[^\\W_]", text)).upper().translate(MISTAKEN)


def _as_text(value: Any) -> str:
    return value.strftime(TIMESTAMP_FORMAT) if isinstance(value, datetime) else str(value)


def find(owner_id: UUID | None, order_id: UUID) -> str:
    """An order of a user, or anybody's where owner_id is None. NotFound if there is none."""
    owner = {} if owner_id is None else {"owner_id": str(owner_id)}
    rows = read(_order, bool(owner), id=str(order_id), **owner)
    if not rows:
        raise NotFound("There is no such order.")
    return str(rows[0][0])


def written(owner_id: UUID, order_id: UUID) -> str:
    """An order of a user as the transaction that is open sees it."""
    return str(db.session.execute(_order(True), {"id": str(order_id), "owner_id": str(owner_id)}).scalar_one())


def _order(of_somebody: bool) -> Select:
    this = sa.select(sa.cast(order_json(BY_FOR_OWNER if of_somebody else BY), sa.Text)).where(
        Order.id == id_parameter("id")
    )
    return this.where(OWN) if of_somebody else this
