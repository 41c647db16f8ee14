"""What has changed in the catalogue, in the order in which it did."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import MAX_PRICE, MAX_STOCK, Base, within
from aggregator.models.types import BigKey, choice


class ChangeKind(StrEnum):
    """What happened to a product."""

    CREATED = "product.created"
    UPDATED = "product.updated"
    DELETED = "product.deleted"
    OFFERS = "offers.changed"


class Change(Base):
    """A change of a product or of its offers, written in the transaction that makes it.

    Their numbers ascend in the order of the commits, because services/changes.py has one writer at a time give them
    out: whoever has read up to a number has missed nothing before it. There is no foreign key: a change outlives
    a product that is withdrawn.
    """

    __tablename__ = "changes"
    __table_args__ = (
        within("lowest_price", MAX_PRICE),
        within("price_before", MAX_PRICE),
        within("offer_count", MAX_STOCK),
        sa.Index(None, "product_id", "number"),
    )

    number: Mapped[int] = mapped_column(BigKey, primary_key=True)
    kind: Mapped[ChangeKind] = mapped_column(choice(ChangeKind, closed=False))
    product_id: Mapped[UUID]
    at: Mapped[datetime]
    # When the offers have changed: the lowest price of those in stock before and after it, and how many are open.
    price_before: Mapped[int | None] = mapped_column(sa.BigInteger)
    lowest_price: Mapped[int | None] = mapped_column(sa.BigInteger)
    offer_count: Mapped[int | None]
    # Where it is a category that was updated: its id, which product_id holds as well. Its kind is that of an updated
    # product, so that a worker of an earlier version, which knows of no other, can read on.
    category_id: Mapped[UUID | None]


class ChangeReader(Base):
    """Who reads the changes, and up to which number has done so."""

    __tablename__ = "change_readers"

    name: Mapped[str] = mapped_column(sa.String(40), primary_key=True)
    number: Mapped[int] = mapped_column(sa.BigInteger)
