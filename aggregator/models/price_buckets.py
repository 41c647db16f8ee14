"""What is left of old prices: what they came to in an hour or a day."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import MAX_PRICE, Base, within
from aggregator.models.types import WholeNumber

_OPTIONS = {"sqlite_with_rowid": False}


def _checks() -> tuple[sa.CheckConstraint, ...]:
    prices = ("low", "high", "first_price", "last_price")
    return (
        sa.CheckConstraint("starts_at < ends_at", name="length"),
        *(within(name, MAX_PRICE) for name in prices),
        *(
            sa.CheckConstraint(f"({name} IS NULL) = (low IS NULL)", name=f"{name}_given")
            for name in ("high", "weighted", "first_at", "first_price", "last_until", "last_price")
        ),
    )


class _Bucket:
    """What the points between two moments came to. There is one only where there were points.

    What is about the prices is null where nothing was to be had at any moment of it.
    """

    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
    ends_at: Mapped[datetime]
    low: Mapped[int | None] = mapped_column(sa.BigInteger)
    high: Mapped[int | None] = mapped_column(sa.BigInteger)
    weighted: Mapped[int | None] = mapped_column(WholeNumber())  # the sum of price x microseconds
    had: Mapped[int] = mapped_column(sa.BigInteger)  # microseconds in which something was to be had
    first_at: Mapped[datetime | None]  # the first of those moments
    first_price: Mapped[int | None] = mapped_column(sa.BigInteger)  # the price then
    last_until: Mapped[datetime | None]  # the end of the last one; ends_at, if something is to be had after it
    last_price: Mapped[int | None] = mapped_column(sa.BigInteger)  # the price before it


class PriceBucket(_Bucket, Base):
    """Of the prices of an offer."""

    __tablename__ = "price_buckets"
    __table_args__ = (*_checks(), _OPTIONS)

    offer_id: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False, sort_order=-1)


class ProductPriceBucket(_Bucket, Base):
    """Of the lowest prices of a product."""

    __tablename__ = "product_price_buckets"
    __table_args__ = (*_checks(), _OPTIONS)

    product_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
