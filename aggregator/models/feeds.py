"""How each product stands with the offers service."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import MAX_PRICE, MAX_STOCK, Base, within
from aggregator.models.offers import UPSTREAM_ID_LENGTH
from aggregator.models.types import choice


class Registration(StrEnum):
    """Whether the offers service knows a product."""

    PENDING = "pending"
    REGISTERED = "registered"
    REFUSED = "refused"


class Feed(Base):
    """A living product's line to the offers service: registration, next sync, and what its offers come to.

    A table of its own because it is written every minute: its rows are narrow, those of products are not.
    """

    __tablename__ = "feeds"
    __table_args__ = (
        within("lowest_price", MAX_PRICE),
        within("offer_count", MAX_STOCK),
        sa.Index(None, "lowest_price", "product_id"),
        sa.Index(None, "offer_count", "product_id"),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    product_id: Mapped[UUID] = mapped_column(sa.ForeignKey("products.id"), primary_key=True)
    status: Mapped[Registration] = mapped_column(choice(Registration), default=Registration.PENDING)
    reason: Mapped[str | None] = mapped_column(sa.Text)  # why it is not registered
    attempts: Mapped[int] = mapped_column(default=0)  # tries to register it
    registered_at: Mapped[datetime | None]
    registered_with: Mapped[str | None] = mapped_column(sa.String(12))  # Credential.fingerprint
    id_is_ours: Mapped[bool] = mapped_column(default=True)  # false: a client chose the product's id

    due_at: Mapped[datetime] = mapped_column(index=True)
    claimed_by: Mapped[str | None] = mapped_column(sa.String(80))
    claimed_until: Mapped[datetime | None]

    synced_at: Mapped[datetime | None]
    # The moment of the latest price points where that lies after synced_at: the clock had gone back.
    points_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)  # syncs that failed, or registrations that were refused, in a row
    failure: Mapped[str | None] = mapped_column(sa.Text)  # why the last one failed
    # What the open offers come to, so that lists can show it and sort by it.
    lowest_price: Mapped[int | None] = mapped_column(sa.BigInteger)  # of those in stock
    offer_count: Mapped[int] = mapped_column(default=0)
    # A digest of the last answer applied: the same answer again means that there is nothing to do. Null where the
    # stored offers are not all that the last answer says: it had rows that were rejected, or there is none yet.
    digest: Mapped[int | None] = mapped_column(sa.BigInteger)
    rejected_rows: Mapped[int] = mapped_column(default=0, server_default="0")  # of the last answer
    rejected_reason: Mapped[str | None] = mapped_column(sa.Text)  # of the first of them
    rejected_offer_id: Mapped[str | None] = mapped_column(sa.String(UPSTREAM_ID_LENGTH))  # where it has one
