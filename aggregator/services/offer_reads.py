"""Offers as the outside reads them: each query is one statement that returns the JSON text."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.errors import NotFound
from aggregator.models import Feed, Offer, Product
from aggregator.reading import read
from aggregator.services import listing
from aggregator.services.list_queries import Listing
from aggregator.services.listing import Page
from aggregator.sql import Select, id_parameter, json_object, json_time

OPEN = Offer.last_seen_at.is_(None)
IN_STOCK = {True: Offer.items_in_stock > 0, False: Offer.items_in_stock == 0}


def offer_json() -> json_object:
    """An offer as JSON. While it is open, the latest sync of its product has seen it, unless its row was rejected."""
    return json_object(
        {
            "id": Offer.upstream_id,
            "product_id": Offer.product_id,
            "price": Offer.price,
            "items_in_stock": Offer.items_in_stock,
            "first_seen_at": json_time(Offer.first_seen_at),
            "last_seen_at": json_time(sa.func.coalesce(Offer.last_seen_at, Offer.confirmed_at, Feed.synced_at)),
            "sold_out_at": json_time(Offer.sold_out_at),
        }
    )


def _offers(default_sort: str) -> Listing:
    return Listing(
        source=sa.join(Offer, Feed, Feed.product_id == Offer.product_id),
        document=offer_json,
        columns={
            "price": Offer.price,
            "items_in_stock": Offer.items_in_stock,
            "first_seen_at": Offer.first_seen_at,
        },
        tie=Offer.id,
        default_sort=default_sort,
        filters={
            "product_id": Offer.product_id == id_parameter("product_id"),
            "min_price": Offer.price >= sa.bindparam("min_price", type_=sa.BigInteger),
            "max_price": Offer.price <= sa.bindparam("max_price", type_=sa.BigInteger),
            "in_stock": IN_STOCK,
            "include_closed": {True: sa.true(), False: OPEN},
        },
    )


OF_A_PRODUCT = _offers("price")
OF_ALL_PRODUCTS = _offers("-first_seen_at")


def page_of_product(product_id: UUID, filters: Mapping[str, Any], **position: Any) -> Page:
    """A page of the offers of a product. NotFound if there is no such product."""
    if not read(_living, id=str(product_id)):
        raise NotFound("There is no such product.")
    return listing.page(OF_A_PRODUCT, {**filters, "product_id": str(product_id)}, **position)


def page_of_all(filters: Mapping[str, Any], **position: Any) -> Page:
    """A page of the offers of all products."""
    if "product_id" in filters:
        filters = {**filters, "product_id": str(filters["product_id"])}
    return listing.page(OF_ALL_PRODUCTS, {**filters, "include_closed": False}, **position)


def find(offer_id: str, product_id: UUID | None = None) -> str:
    """The JSON of an offer, closed or not. NotFound if there is none.

    An id that several products have is that of the one found last.
    """
    values = {"offer_id": offer_id} | ({"product_id": str(product_id)} if product_id else {})
    # PostgreSQL does not even look for what it could not store.
    rows = [] if "\0" in offer_id else read(_one, product_id is not None, **values)
    if not rows:
        raise NotFound("There is no such offer.")
    return str(rows[0][0])


def key(offer_id: str, product_id: UUID) -> int:
    """What we know an offer of a product by. NotFound if there is none."""
    rows = [] if "\0" in offer_id else read(_key, offer_id=offer_id, product_id=str(product_id))
    if not rows:
        raise NotFound("There is no such offer.")
    return int(rows[0][0])


def _key() -> Select:
    return sa.select(Offer.id).where(
        Offer.upstream_id == sa.bindparam("offer_id", type_=sa.String),
        Offer.product_id == id_parameter("product_id"),
    )


def _one(of_product: bool) -> Select:
    statement = (
        sa.select(sa.cast(offer_json(), sa.Text))
        .join_from(Offer, Feed, Feed.product_id == Offer.product_id)
        .where(Offer.upstream_id == sa.bindparam("offer_id", type_=sa.String))
        .order_by(Offer.id.desc())
        .limit(1)
    )
    return statement.where(Offer.product_id == id_parameter("product_id")) if of_product else statement


def _living() -> Select:
    return sa.select(Product.id).where(Product.id == id_parameter("id"), Product.deleted_at.is_(None))
