"""Offers of the shops and the prices they have had."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import MAX_PRICE, MAX_STOCK, Base, no_longer_than, within
from aggregator.models.types import BigKey

UPSTREAM_ID_LENGTH = 36


class Offer(Base):
    """One shop's offer of a product. It is closed when the offers service lists it no more, never deleted.

    The key is (product, upstream id): the same upstream id under two products is two offers.
    No price stands in an index, so that PostgreSQL changes prices in place.
    """

    __tablename__ = "offers"
    __table_args__ = (
        sa.UniqueConstraint("upstream_id", "product_id"),
        sa.Index(None, "product_id", "last_seen_at"),
        no_longer_than("upstream_id", UPSTREAM_ID_LENGTH),
        within("price", MAX_PRICE),
        within("items_in_stock", MAX_STOCK),
        {"postgresql_with": {"fillfactor": "50"}},
    )

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    product_id: Mapped[UUID] = mapped_column(sa.ForeignKey("products.id"))
    upstream_id: Mapped[str] = mapped_column(sa.String(UPSTREAM_ID_LENGTH))
    price: Mapped[int] = mapped_column(sa.BigInteger)
    items_in_stock: Mapped[int]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime | None]  # null while the service lists it
    # The last sync that saw it, while it stands in rows that are rejected; null while its rows are read.
    confirmed_at: Mapped[datetime | None]
    sold_out_at: Mapped[datetime | None]  # null while there are items in stock


class PricePoint(Base):
    """The price of an offer from a moment on, until its next point; null while it is not to be had.

    There is no foreign key: offers are never deleted, and checking one costs half of a bulk insert.
    """

    __tablename__ = "price_points"
    __table_args__ = (within("price", MAX_PRICE), {"sqlite_with_rowid": False})

    offer_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False)
    observed_at: Mapped[datetime] = mapped_column(primary_key=True)
    price: Mapped[int | None] = mapped_column(sa.BigInteger)


class ProductPricePoint(Base):
    """The lowest in-stock price of a product and the number of its open offers, from a moment on."""

    __tablename__ = "product_price_points"
    __table_args__ = (
        within("lowest_price", MAX_PRICE),
        within("offer_count", MAX_STOCK),
        {"sqlite_with_rowid": False},
    )

    product_id: Mapped[UUID] = mapped_column(primary_key=True)
    observed_at: Mapped[datetime] = mapped_column(primary_key=True)
    lowest_price: Mapped[int | None] = mapped_column(sa.BigInteger)
    offer_count: Mapped[int]
