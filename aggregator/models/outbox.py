"""What is to leave the house: mails and webhooks, written in the transaction of what caused them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import Base, no_longer_than
from aggregator.models.types import choice

URL_LENGTH = 2_000
# SQLite minds no length, and would have to copy the table to change it.
SECRET = sa.String(100).with_variant(sa.Text(), "postgresql")
_PENDING = sa.text("status = 'pending'")


class Channel(StrEnum):
    """By which way something leaves."""

    MAIL = "mail"
    WEBHOOK = "webhook"


class Event(StrEnum):
    """What can be told to the outside."""

    PRODUCT_CREATED = "product.created"
    OFFERS_CHANGED = "offers.changed"
    PRICE_ALERT = "price.alert"
    ORDER_PLACED = "order.placed"
    ORDER_STATUS = "order.status"  # each one after the first
    DAILY = "daily"  # by mail only, as the next two
    DIGEST = "digest"  # of alerts that were too many for a day
    CONFIRM_EMAIL = "email.confirm"
    TEST = "webhook.test"  # to one webhook, when its user asks for it


# What a webhook can subscribe to.
SUBSCRIBABLE = (
    *(Event.PRODUCT_CREATED, Event.OFFERS_CHANGED, Event.PRICE_ALERT),
    *(Event.ORDER_PLACED, Event.ORDER_STATUS),  # of the user's own orders
)


class DeliveryStatus(StrEnum):
    """How far a delivery has come."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Webhook(Base):
    """Where a user wants to be told of events, and the secret that signs what is sent there."""

    __tablename__ = "webhooks"
    __table_args__ = (no_longer_than("url", URL_LENGTH),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id"), index=True)
    url: Mapped[str] = mapped_column(sa.String(URL_LENGTH))
    # Encrypted, as secret_box.py has it.
    secret: Mapped[str] = mapped_column(SECRET)
    # The secret before the last rotation: until then what is sent is signed with both.
    old_secret: Mapped[str | None] = mapped_column(SECRET)
    old_secret_until: Mapped[datetime | None]
    enabled: Mapped[bool] = mapped_column(default=True)
    disabled_reason: Mapped[str | None] = mapped_column(sa.Text)
    failing_since: Mapped[datetime | None]  # null while what was sent last has arrived
    paused_until: Mapped[datetime | None]  # by the receiver's wish; nothing is sent before
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]  # it is gone for everybody, and goes itself when its deliveries have gone


class Subscription(Base):
    """An event that a webhook is told of."""

    __tablename__ = "subscriptions"

    webhook_id: Mapped[UUID] = mapped_column(sa.ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True)
    event: Mapped[Event] = mapped_column(choice(Event, closed=False), primary_key=True, index=True)


class Delivery(Base):
    """A mail to a user or a message to a webhook, and what has become of it.

    Its id is the Message-ID, or the webhook-id: what is sent twice can be told to be the same.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        sa.Index("ix_deliveries_due", "channel", "due_at", postgresql_where=_PENDING, sqlite_where=_PENDING),
        sa.Index(None, "webhook_id", "created_at"),
        sa.Index(None, "created_at"),
        sa.CheckConstraint("(channel = 'webhook') = (webhook_id IS NOT NULL)", name="webhook_given"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    # What must not be delivered twice has a key, such as the user and the day of a daily mail.
    key: Mapped[str | None] = mapped_column(sa.String(160), unique=True)
    channel: Mapped[Channel] = mapped_column(choice(Channel))
    event: Mapped[Event] = mapped_column(choice(Event, closed=False))
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id"), index=True)
    webhook_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("webhooks.id", ondelete="CASCADE"))
    payload: Mapped[str] = mapped_column(sa.Text)  # JSON: a webhook's data, or what a mail's template needs
    status: Mapped[DeliveryStatus] = mapped_column(choice(DeliveryStatus), default=DeliveryStatus.PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    claimed_by: Mapped[str | None] = mapped_column(sa.String(80))
    claimed_until: Mapped[datetime | None]
    status_code: Mapped[int | None]  # of the last answer, where there was one
    error: Mapped[str | None] = mapped_column(sa.Text)  # why the last attempt failed
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class ToldDay(Base):
    """A day, by people's own clock, whose mail has been queued for all who were to get it by a moment."""

    __tablename__ = "told_days"

    date: Mapped[str] = mapped_column(sa.String(10), primary_key=True)
    everybody_by: Mapped[datetime]
