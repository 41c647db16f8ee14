"""The house's own stock, and the ledger that explains it. The caller owns the transaction.

Rows of products are always locked in the order of their ids: of two orders that want the same things neither waits for
the other while the other waits for it. Whatever changes a stock counts as an edit of the product.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, dialect
from aggregator.errors import InsufficientStock, NotFound, ReferenceGone, StockLimit
from aggregator.models import MAX_STOCK, ChangeKind, MovementKind, Order, Product, StockMovement
from aggregator.models.base import table_of
from aggregator.models.types import GUID
from aggregator.reading import read
from aggregator.services import changes
from aggregator.sql import Row, Rows, Select, id_parameter, insert_of, json_time

PRODUCTS = table_of(Product)
MOVEMENTS = table_of(StockMovement)


@dataclass(frozen=True)
class Article:
    """A product as it is sold at this moment."""

    name: str
    price: int


@dataclass(frozen=True)
class Short:
    """A product of which there are fewer than somebody wants; available is 0 where it is not sold at all."""

    product_id: UUID
    name: str
    quantity: int
    available: int
    sold: bool = True  # False: deleted, or without a price

    def beside(self, held: int) -> "Short":
        """The same for somebody who has some of it already."""
        return replace(self, quantity=self.quantity + held, available=self.available + held) if held else self

    @property
    def reason(self) -> str:
        """What is to be said about it."""
        if not self.sold:
            return f"{self.name!r} is not sold here."
        return f"{self.name!r}: only {self.available} left." if self.available else f"{self.name!r} is sold out."


def refusal(shorts: Sequence[Short]) -> InsufficientStock:
    """The error that names each product of which there is not enough, and what is left of it."""
    items = [
        {
            "product_id": str(short.product_id),
            "product_name": short.name,
            "quantity": short.quantity,
            "available": short.available,
        }
        for short in shorts
    ]
    return InsufficientStock(" ".join(short.reason for short in shorts), errors={"items": items})


def require(product_id: UUID, quantity: int) -> None:
    """Return if so many of a product could be sold now. Nothing is reserved, but the product stays until the end.

    Conflict says how many are left. Invalid where there never was such a product.
    """
    short = _short(product_id, quantity)
    if short is None:
        raise ReferenceGone(errors={"json": {"product_id": ["There is no such product."]}})
    if not short.sold or short.available < quantity:
        raise refusal([short])


def move(quantities: Mapping[UUID, int], held: Mapping[UUID, int] | None = None) -> dict[UUID, Article]:
    """Take from the stock, or where a quantity is positive give back to it; what was taken comes as it is sold now.

    All of it or nothing: Conflict names all products of which there is not enough, Invalid those there never were. What
    somebody holds already counts as available to them.
    """
    moved, refused = {}, []
    for product_id, quantity in sorted(quantities.items()):
        statement = _take() if quantity < 0 else _give_back()
        row = db.session.execute(statement, {"product": product_id, "number": abs(quantity)}).first()
        if row is None:
            refused.append((product_id, quantity))
        elif quantity < 0:
            moved[product_id] = Article(row.name, row.price)
    if refused:
        raise _refused(refused, held or {})
    return moved


def note(kind: MovementKind, quantities: Mapping[UUID, int], now: datetime, order_id: UUID | None = None) -> None:
    """Write into the ledger what was added to the stock, or, where it is negative, taken from it."""
    moved = {product_id: quantity for product_id, quantity in quantities.items() if quantity}
    if moved:
        rows, statement = _note(dialect())
        same = {"kind": kind, "order_id": order_id, "at": now}
        db.session.connection().execute(statement, rows.parameters([*moved], [*moved.values()]) | same)


@cache
def _note(dialect: str) -> tuple[Rows, sa.Insert]:
    return insert_of(MOVEMENTS, dialect, ("product_id", "quantity"), ("kind", "order_id", "at"))


def note_sales(kind: MovementKind, quantities: Mapping[UUID, int], now: datetime, order_id: UUID) -> None:
    """As note(), for an order, and tell those who follow the catalogue. The last thing that a transaction does."""
    note(kind, quantities, now, order_id)
    changes.record(ChangeKind.UPDATED, sorted(quantities), now)


def ledger(product_id: UUID) -> Sequence[Row]:
    """The changes of a product's stock: at, kind, quantity, code of the order. NotFound if there is no such product."""
    found = read(_ledger, id=str(product_id))
    if not found:
        raise NotFound("There is no such product.")
    return [row for row in found if row.kind]


def _ledger() -> Select:
    movement = MOVEMENTS.c
    return (
        sa.select(json_time(movement.at).label("at"), movement.kind, movement.quantity, Order.code)
        .select_from(PRODUCTS)
        .outerjoin(MOVEMENTS, movement.product_id == PRODUCTS.c.id)
        .outerjoin(Order, Order.id == movement.order_id)
        .where(PRODUCTS.c.id == id_parameter("id"))
        .order_by(movement.id)
    )


def forget(product_id: UUID) -> None:
    """Forget the ledger of a product that is withdrawn."""
    db.session.execute(sa.delete(MOVEMENTS).where(MOVEMENTS.c.product_id == product_id))


@cache
def _take() -> Any:
    row, number = PRODUCTS.c, sa.bindparam("number", type_=sa.Integer)
    sold = sa.and_(row.price.is_not(None), row.deleted_at.is_(None))
    return _change(row.stock - number).where(row.stock >= number, sold)


@cache
def _give_back() -> Any:
    row, number = PRODUCTS.c, sa.bindparam("number", type_=sa.Integer)
    return _change(row.stock + number).where(row.stock <= MAX_STOCK - number)


def _change(stock: sa.ColumnElement[int]) -> Any:
    row = PRODUCTS.c
    this = sa.update(PRODUCTS).where(row.id == sa.bindparam("product", type_=GUID()))
    return this.values(stock=stock, version=row.version + 1).returning(row.name, row.price)


def _refused(
    quantities: Sequence[tuple[UUID, int]], held: Mapping[UUID, int]
) -> InsufficientStock | ReferenceGone | StockLimit:
    """Why some of the quantities cannot be moved. Their rows are looked at one by one, as they are now."""
    shorts = [_short(product_id, -quantity) for product_id, quantity in quantities]
    unknown = [str(product_id) for (product_id, _), short in zip(quantities, shorts, strict=True) if short is None]
    if unknown:
        detail = f"There is no product {', no product '.join(unknown)}."
        return ReferenceGone(detail, errors={"json": {"items": ["There is no such product."]}})
    full = [short.name for short in shorts if short and short.quantity < 0]
    if full:
        return StockLimit(f"The stock of {', '.join(map(repr, full))} would exceed {MAX_STOCK}.")
    return refusal([short.beside(held.get(short.product_id, 0)) for short in shorts if short])


def _short(product_id: UUID, quantity: int) -> Short | None:
    """How many there are of a product, beside how many are wanted; it cannot vanish until the transaction ends."""
    row = PRODUCTS.c
    found = db.session.execute(
        sa.select(row.name, row.price, row.stock, row.deleted_at)
        .where(row.id == product_id)
        .with_for_update(read=True, key_share=True)
    ).first()
    if found is None:
        return None
    sold = found.price is not None and found.deleted_at is None
    return Short(product_id, found.name, quantity, found.stock if sold else 0, sold)
