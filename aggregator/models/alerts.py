"""Of which movements of a price its users want to be told."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import MAX_PRICE, Base, within
from aggregator.models.offers import UPSTREAM_ID_LENGTH
from aggregator.models.types import choice

MAX_BASIS_POINTS = 1_000_000
MAX_DAYS = 3_650
MAX_COOLDOWN = 31_536_000  # seconds: a year
_IS_DUE = sa.text("due_at IS NOT NULL")


class AlertKind(StrEnum):
    """What sets an alert off. Prices are the lowest at which something is to be had."""

    BELOW = "below"
    CHANGE = "change"
    ANY_CHANGE = "any_change"
    NEW_LOW = "new_low"
    NEW_HIGH = "new_high"
    BACK_IN_STOCK = "back_in_stock"
    SOLD_OUT = "sold_out"
    CHEAPEST_OFFER = "cheapest_offer"


class Direction(StrEnum):
    """Which way a price has to go."""

    UP = "up"
    DOWN = "down"
    BOTH = "both"


class Alert(Base):
    """A user's wish to be told when the price of a product does something."""

    __tablename__ = "alerts"
    __table_args__ = (
        within("target", MAX_PRICE),
        within("basis_points", MAX_BASIS_POINTS),
        within("days", MAX_DAYS),
        within("cooldown_seconds", MAX_COOLDOWN),
        sa.CheckConstraint("(product_id IS NULL) <> (category_id IS NULL)", name="product_or_category"),
        sa.CheckConstraint("(kind = 'below') = (target IS NOT NULL)", name="target_given"),
        sa.CheckConstraint("(kind = 'change') = (basis_points IS NOT NULL)", name="basis_points_given"),
        sa.CheckConstraint("(kind = 'change') = (direction IS NOT NULL)", name="direction_given"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id"), index=True)
    # One product, or all those of a category and its parts.
    product_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("products.id"), index=True)
    category_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("categories.id", ondelete="CASCADE"), index=True)
    kind: Mapped[AlertKind] = mapped_column(choice(AlertKind, closed=False))
    target: Mapped[int | None] = mapped_column(sa.BigInteger)  # of below
    basis_points: Mapped[int | None]  # of change: hundredths of a percent
    direction: Mapped[Direction | None] = mapped_column(choice(Direction))  # of change
    days: Mapped[int | None]  # of new_low and new_high: how far to look back; null: as far as there is a history
    cooldown_seconds: Mapped[int] = mapped_column(default=0)  # of silence after it has gone off
    by_mail: Mapped[bool] = mapped_column(default=True)
    by_webhook: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)

    since_number: Mapped[int] = mapped_column(sa.BigInteger)  # of the last change before it was made, or edited
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class AlertState(Base):
    """How far an alert has come with a product. There is none before the first movement that it sees."""

    __tablename__ = "alert_states"
    __table_args__ = (sa.Index("ix_alert_states_due_at", "due_at", postgresql_where=_IS_DUE, sqlite_where=_IS_DUE),)

    alert_id: Mapped[UUID] = mapped_column(sa.ForeignKey("alerts.id", ondelete="CASCADE"), primary_key=True)
    product_id: Mapped[UUID] = mapped_column(sa.ForeignKey("products.id"), primary_key=True)
    base_price: Mapped[int | None] = mapped_column(sa.BigInteger)  # of which a change is a change
    fired_price: Mapped[int | None] = mapped_column(sa.BigInteger)  # of below: null while it is armed
    cheapest: Mapped[str | None] = mapped_column(sa.String(UPSTREAM_ID_LENGTH))  # the offer, when it was last seen
    extreme: Mapped[int | None] = mapped_column(sa.BigInteger)  # of new_low and new_high: the price to beat
    extreme_at: Mapped[datetime | None]  # a moment when it was asked
    fired_at: Mapped[datetime | None]
    # Of what it saw while it was silent after a message, and its user has not heard of:
    missed_price: Mapped[int | None] = mapped_column(sa.BigInteger)  # the price before that
    due_at: Mapped[datetime | None]  # when to look at it: when the silence ends
    seen_price: Mapped[int | None] = mapped_column(sa.BigInteger)  # with the last movement, and the cheapest offer
    seen_cheapest: Mapped[str | None] = mapped_column(sa.String(UPSTREAM_ID_LENGTH))
