"""Where the prices of offers and of products are kept, under the same names for both."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.types import TypeEngine

from aggregator.models import PriceBucket, PricePoint, ProductPriceBucket, ProductPricePoint
from aggregator.models.base import table_of
from aggregator.models.types import GUID
from aggregator.sql import id_parameter

Key = int | str  # of an offer its key, of a product the text of its id


class Kind(StrEnum):
    """Whose prices."""

    OFFER = "offer"
    PRODUCT = "product"


@dataclass(frozen=True)
class Tables:
    """The points and the buckets of a kind; a series is what has one key in both."""

    points: sa.Table
    point_key: sa.Column[Any]
    at: sa.Column[Any]
    price: sa.Column[int | None]
    buckets: sa.Table
    bucket_key: sa.Column[Any]
    key_type: TypeEngine[Any]
    key: sa.ColumnElement[Any]  # the parameter that says which series


@cache
def tables(kind: Kind) -> Tables:
    """The tables of a kind."""
    is_product = kind is Kind.PRODUCT
    points = table_of(ProductPricePoint if is_product else PricePoint).c
    buckets = table_of(ProductPriceBucket if is_product else PriceBucket)
    return Tables(
        points=points.observed_at.table,
        point_key=points.product_id if is_product else points.offer_id,
        at=points.observed_at,
        price=points.lowest_price if is_product else points.price,
        buckets=buckets,
        bucket_key=buckets.c.product_id if is_product else buckets.c.offer_id,
        key_type=GUID() if is_product else sa.BigInteger(),
        key=id_parameter("key") if is_product else sa.bindparam("key", type_=sa.BigInteger),
    )
