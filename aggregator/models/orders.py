"""What customers want to buy and have bought, and where the stock went."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import MAX_PRICE, MAX_STOCK, Base, no_longer_than, within
from aggregator.models.catalog import NAME_LENGTH
from aggregator.models.types import BigKey, choice

MAX_QUANTITY = 1_000
MAX_LINES = 100
MAX_TOTAL = MAX_PRICE * MAX_QUANTITY * MAX_LINES
CODE_LENGTH = 10
_PLACED = sa.text("status = 'placed'")


def _quantity() -> sa.CheckConstraint:
    return sa.CheckConstraint(f"quantity BETWEEN 1 AND {MAX_QUANTITY}", name="quantity")


class Cart(Base):
    """A user's cart; who changes what is in it, or orders it, locks this row first."""

    __tablename__ = "carts"

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id"), primary_key=True)
    updated_at: Mapped[datetime]


class CartItem(Base):
    """How many of a product are in a cart. Nothing is reserved by it."""

    __tablename__ = "cart_items"
    __table_args__ = (_quantity(),)

    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("carts.user_id"), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(sa.ForeignKey("products.id"), primary_key=True)
    quantity: Mapped[int]
    added_at: Mapped[datetime]


class OrderStatus(StrEnum):
    """How far an order has come."""

    PLACED = "placed"
    PAID = "paid"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class Order(Base):
    """What somebody has ordered, at the prices of that moment."""

    __tablename__ = "orders"
    __table_args__ = (
        no_longer_than("code", CODE_LENGTH),
        within("total", MAX_TOTAL),
        sa.Index(None, "user_id", "created_at", "id"),
        sa.Index(None, "created_at", "id"),
        sa.Index("ix_orders_placed", "created_at", postgresql_where=_PLACED, sqlite_where=_PLACED),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    code: Mapped[str] = mapped_column(sa.String(CODE_LENGTH), unique=True)  # to be read out on the telephone
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id"))
    status: Mapped[OrderStatus] = mapped_column(choice(OrderStatus), default=OrderStatus.PLACED)
    total: Mapped[int] = mapped_column(sa.BigInteger)
    currency: Mapped[str] = mapped_column(sa.String(3))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class OrderItem(Base):
    """A line of an order. The name and the price are those of the product when it was ordered."""

    __tablename__ = "order_items"
    __table_args__ = (
        _quantity(),
        within("unit_price", MAX_PRICE),
        no_longer_than("product_name", NAME_LENGTH),
    )

    order_id: Mapped[UUID] = mapped_column(sa.ForeignKey("orders.id"), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(sa.ForeignKey("products.id"), primary_key=True, index=True)
    product_name: Mapped[str] = mapped_column(sa.String(NAME_LENGTH))
    quantity: Mapped[int]
    unit_price: Mapped[int] = mapped_column(sa.BigInteger)


class OrderEvent(Base):
    """A status that an order has taken, since when, and by whose hand; null: by the system's."""

    __tablename__ = "order_events"

    order_id: Mapped[UUID] = mapped_column(sa.ForeignKey("orders.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    status: Mapped[OrderStatus] = mapped_column(choice(OrderStatus))
    at: Mapped[datetime]
    by: Mapped[UUID | None] = mapped_column(sa.ForeignKey("users.id"))


class MovementKind(StrEnum):
    """Why the stock of a product has changed."""

    INITIAL = "initial"
    ADJUST = "adjust"
    IMPORT = "import"
    SALE = "sale"
    EDIT = "edit"
    CANCEL = "cancel"


class StockMovement(Base):
    """A change of a product's own stock: the sum of them is the stock."""

    __tablename__ = "stock_movements"
    __table_args__ = (
        sa.Index(None, "product_id", "id"),
        sa.CheckConstraint(f"quantity BETWEEN -{MAX_STOCK} AND {MAX_STOCK} AND quantity <> 0", name="quantity"),
        sa.CheckConstraint("(order_id IS NOT NULL) = (kind IN ('sale', 'edit', 'cancel'))", name="order_given"),
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    product_id: Mapped[UUID] = mapped_column(sa.ForeignKey("products.id"))
    kind: Mapped[MovementKind] = mapped_column(choice(MovementKind, closed=False))
    quantity: Mapped[int]  # added; negative: taken
    order_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("orders.id"), index=True)
    at: Mapped[datetime]
