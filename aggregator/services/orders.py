"""Orders: placing, editing and cancelling them. The caller owns the transaction.

An order is one transaction: it takes the stock, keeps the prices as they are at that moment, empties the cart it came
from, and queues what is told of it; or nothing of that happens.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from aggregator.database import db, dialect
from aggregator.errors import (
    CartEmpty,
    Forbidden,
    NotFound,
    OrderNotEditable,
    OwnerRequired,
    StatusNotPossible,
    TotalChanged,
    ValidationFailed,
)
from aggregator.models import MovementKind, Order, OrderEvent, OrderItem, OrderStatus, Role
from aggregator.models.base import table_of
from aggregator.models.orders import MAX_QUANTITY
from aggregator.services import carts, idempotency, order_limits, order_news, order_reads, stock
from aggregator.services.idempotency import RequestKey
from aggregator.services.order_limits import OrderLimits
from aggregator.services.sign_ins import Principal
from aggregator.sql import upsert

ORDERS, ITEMS, EVENTS = table_of(Order), table_of(OrderItem), table_of(OrderEvent)
# Crockford's: no I, L, O or U, so that nobody takes one character for another, on paper or on the telephone.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODE_CHARACTERS = 8
CODE_TRIES = 10
# From which statuses an order may come to each of them.
MAY_FOLLOW = {
    OrderStatus.PLACED: (),
    OrderStatus.PAID: (OrderStatus.PLACED,),
    OrderStatus.SHIPPED: (OrderStatus.PAID,),
    OrderStatus.DELIVERED: (OrderStatus.SHIPPED,),
    OrderStatus.CANCELLED: (OrderStatus.PLACED, OrderStatus.PAID),
}

Lines = Mapping[UUID, int]  # how many of each product


@dataclass(frozen=True)
class Purchase:
    """What somebody wants to order."""

    user_id: UUID
    currency: str
    lines: Lines | None = None  # None: what is in the cart
    expected_total: int | None = None  # what the user has seen
    key: RequestKey | None = None
    allowed: OrderLimits = order_limits.USUAL


@dataclass(frozen=True)
class Placed:
    """An order's id and JSON; replayed where the same request had placed it before."""

    order_id: UUID
    text: str
    replayed: bool = False


def place(purchase: Purchase, now: datetime) -> Placed:
    """Place an order. Conflict where there is not enough of something, or the total is another than was expected."""
    order_id = uuid4()
    if purchase.key and (earlier := idempotency.begin(purchase.key, order_id, now)):
        text = earlier.answer or order_reads.written(purchase.user_id, earlier.resource_id)
        return Placed(earlier.resource_id, text, replayed=True)
    order_limits.require_turn(purchase.user_id, purchase.allowed, now)
    lines = carts.empty(purchase.user_id, now) if purchase.lines is None else purchase.lines
    if not lines:
        raise CartEmpty
    order_limits.require_pieces(sum(lines.values()), purchase.allowed.pieces)
    taken = {product_id: -quantity for product_id, quantity in lines.items()}
    articles = stock.move(taken)
    items = [_item(product_id, quantity, articles[product_id]) for product_id, quantity in lines.items()]
    total = _total(items)
    _check_total(total, purchase.expected_total)
    order = _insert(order_id, purchase, total, now)
    db.session.execute(sa.insert(ITEMS), [{"order_id": order_id, **item} for item in items])
    _add_event(order_id, 1, OrderStatus.PLACED, purchase.user_id, now)
    order_news.tell_placed(order, items, now)
    text = order_reads.written(purchase.user_id, order_id)
    if purchase.key:
        idempotency.finish(purchase.key, text)
    stock.note_sales(MovementKind.SALE, taken, now, order_id)
    return Placed(order_id, text)


def merged(items: Iterable[Mapping[str, Any]]) -> dict[UUID, int]:
    """The lines that items, of a product_id and a quantity each, come to: those of one product are one."""
    lines: dict[UUID, int] = {}
    for item in items:
        lines[item["product_id"]] = lines.get(item["product_id"], 0) + item["quantity"]
    if any(quantity > MAX_QUANTITY for quantity in lines.values()):
        raise ValidationFailed(errors={"json": {"items": [f"No more than {MAX_QUANTITY} of one product."]}})
    return lines


@dataclass(frozen=True)
class Revision:
    """What is to become of an order: lines, and the total that the user has seen for them; a status."""

    lines: Lines | None = None
    expected_total: int | None = None
    status: OrderStatus | None = None
    pieces: int = OrderLimits.pieces  # at most, unless there are fewer than before


def change(by: Principal, order_id: UUID, wanted: Revision, now: datetime) -> None:
    """Have other lines in an order, which its user may while it is placed; give it a status, which admins may."""
    lines, status = wanted.lines, wanted.status
    owner_id = _owner(by, order_id)
    if lines is not None and owner_id != by.user_id:
        raise OwnerRequired
    if status is not None and by.role is not Role.ADMIN:
        raise Forbidden("Only admins may do this; to cancel an order, POST to its /cancel.")
    if lines is not None:
        _edit(order_id, lines, wanted, now)
    if status is not None:
        _advance(order_id, status, by.user_id, now)


def cancel(by: Principal, order_id: UUID, now: datetime) -> None:
    """Cancel an order, one's own or as an admin anybody's, and give back what it took. Conflict once it is shipped."""
    _owner(by, order_id)
    _advance(order_id, OrderStatus.CANCELLED, by.user_id, now)


def lapse(order_id: UUID, now: datetime) -> bool:
    """Cancel an order that was not paid for in time, and give back what it took; false where it is placed no more."""
    moved = _move(order_id, OrderStatus.CANCELLED, (OrderStatus.PLACED,), now)
    if moved is not None:
        _note(moved, OrderStatus.CANCELLED, None, now, order_news.UNPAID)
    return moved is not None


def _item(product_id: UUID, quantity: int, article: stock.Article) -> dict[str, Any]:
    return {
        "product_id": product_id,
        "product_name": article.name,
        "quantity": quantity,
        "unit_price": article.price,
    }


def _total(items: Iterable[Mapping[str, Any]]) -> int:
    return sum(item["quantity"] * item["unit_price"] for item in items)


def _check_total(total: int, expected: int | None) -> None:
    if expected is not None and expected != total:
        complaint = {"expected_total": [f"It is {total} now."]}
        raise TotalChanged(
            f"Prices have changed: the total is {total} now.", errors={"json": complaint, "total": total}
        )


def _insert(order_id: UUID, purchase: Purchase, total: int, now: datetime) -> dict[str, Any]:
    """Add an order, with a code that no other has."""
    order = {"id": order_id, "user_id": purchase.user_id, "status": OrderStatus.PLACED, "total": total}
    order |= {"currency": purchase.currency, "created_at": now, "updated_at": now}
    for _ in range(CODE_TRIES):
        order["code"] = new_code()
        insert = upsert(ORDERS, dialect()).values(order).on_conflict_do_nothing(index_elements=["code"])
        if db.session.execute(insert.returning(ORDERS.c.id)).first() is not None:
            return order
    raise RuntimeError("there is no code left for an order")


def new_code() -> str:
    """A code that people can read out."""
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARACTERS))


def _add_event(order_id: UUID, number: int, status: OrderStatus, by: UUID | None, now: datetime) -> None:
    event = {"order_id": order_id, "number": number, "status": status, "at": now, "by": by}
    db.session.execute(sa.insert(EVENTS), event)


def _owner(by: Principal, order_id: UUID) -> UUID:
    """Whose order it is. NotFound where somebody has nothing to do with it."""
    owner_id: UUID | None = db.session.scalar(sa.select(ORDERS.c.user_id).where(ORDERS.c.id == order_id))
    if owner_id is None or (owner_id != by.user_id and by.role is not Role.ADMIN):
        raise NotFound("There is no such order.")
    return owner_id


def _edit(order_id: UUID, lines: Lines, wanted: Revision, now: datetime) -> None:
    """Have other lines in an order. Those that stay or shrink keep their prices, what grows or is new has today's."""
    this = sa.select(ORDERS.c.status).where(ORDERS.c.id == order_id)
    status = db.session.execute(this.with_for_update(key_share=True)).scalar_one()
    if status is not OrderStatus.PLACED:
        raise OrderNotEditable(f"The order is {status}; it can be changed only while it is placed.")
    before = _lines(order_id)
    added = {product_id: _quantity(before, product_id) - lines.get(product_id, 0) for product_id in {*before, *lines}}
    added = {product_id: quantity for product_id, quantity in added.items() if quantity}
    if not added:
        return
    if sum(added.values()) < 0:
        order_limits.require_pieces(sum(lines.values()), wanted.pieces)
    articles = stock.move(added, {product_id: line["quantity"] for product_id, line in before.items()})
    items = [
        _item(product_id, quantity, articles[product_id])
        if product_id in articles
        else {"product_id": product_id, **before[product_id], "quantity": quantity}
        for product_id, quantity in lines.items()
    ]
    _check_total(_total(items), wanted.expected_total)
    _replace(order_id, added, items)
    total = {"total": _total(items), "updated_at": now}
    db.session.execute(sa.update(ORDERS).where(ORDERS.c.id == order_id).values(total))
    stock.note_sales(MovementKind.EDIT, added, now, order_id)


def _replace(order_id: UUID, moved: Iterable[UUID], items: Iterable[Mapping[str, Any]]) -> None:
    """Have those items in an order that are of moved products, and locked by that; the others stay as they are."""
    moved = set(moved)
    db.session.execute(sa.delete(ITEMS).where(ITEMS.c.order_id == order_id, ITEMS.c.product_id.in_(moved)))
    new = [{"order_id": order_id, **item} for item in items if item["product_id"] in moved]
    if new:
        db.session.execute(sa.insert(ITEMS), new)


def _lines(order_id: UUID) -> dict[UUID, dict[str, Any]]:
    row = ITEMS.c
    found = sa.select(row.product_id, row.product_name, row.quantity, row.unit_price).where(row.order_id == order_id)
    lines = [dict(line) for line in db.session.execute(found).mappings()]
    return {line.pop("product_id"): line for line in lines}


def _quantity(lines: Mapping[UUID, Mapping[str, Any]], product_id: UUID) -> int:
    return int(lines[product_id]["quantity"]) if product_id in lines else 0


def _advance(order_id: UUID, status: OrderStatus, by: UUID, now: datetime) -> None:
    """Give an order a status, and what comes with it. Of two who want to cancel it at once, one does."""
    moved = _move(order_id, status, MAY_FOLLOW[status], now)
    if moved is None:
        before = db.session.scalar(sa.select(ORDERS.c.status).where(ORDERS.c.id == order_id))
        raise StatusNotPossible(
            f"The order is {before} {'already' if before is status else f'and cannot become {status}'}."
        )
    _note(moved, status, by, now)


def _move(
    order_id: UUID, status: OrderStatus, before: Iterable[OrderStatus], now: datetime
) -> Mapping[str, Any] | None:
    """Give an order a status, if it has one of those before; the order, or None."""
    row = ORDERS.c
    moved = (
        sa.update(ORDERS)
        .where(row.id == order_id, row.status.in_(before))
        .values(status=status, updated_at=now)
        .returning(row.id, row.user_id, row.code, row.total, row.currency)
    )
    found = db.session.execute(moved).mappings().first()
    return None if found is None else dict(found)


def _note(
    order: Mapping[str, Any], status: OrderStatus, by: UUID | None, now: datetime, reason: str | None = None
) -> None:
    """Write down, and say, that an order has a new status; what a cancelled one took goes back into the stock."""
    order_id = order["id"]
    last = db.session.scalar(sa.select(sa.func.max(EVENTS.c.number)).where(EVENTS.c.order_id == order_id)) or 0
    _add_event(order_id, last + 1, status, by, now)
    order_news.tell_status(order, last + 1, status, now, reason)
    if status is OrderStatus.CANCELLED:
        given = {product_id: line["quantity"] for product_id, line in _lines(order_id).items()}
        stock.move(given)
        stock.note_sales(MovementKind.CANCEL, given, now, order_id)
