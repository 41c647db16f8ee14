"""The list of products: what it can be filtered by, sorted by, and searched for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.models import MAX_PRICE, Category, Feed, Place, Product, Registration
from aggregator.models.base import table_of
from aggregator.models.catalog import brand_key
from aggregator.services import listing, paging, search
from aggregator.services.catalog_reads import product_json
from aggregator.services.list_queries import Listing
from aggregator.services.listing import Page
from aggregator.sql import moment_parameter

_NO_PRICE = (-1, MAX_PRICE + 1)


def _number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger)


def _within(name: str, column: Any, type_: Any = sa.BigInteger) -> dict[str, sa.ColumnElement[bool]]:
    """Conditions that a column is not less, and not more, than what is asked for."""
    return {
        f"min_{name}": column >= sa.bindparam(f"min_{name}", type_=type_),
        f"max_{name}": column <= sa.bindparam(f"max_{name}", type_=type_),
    }


def _in_category() -> sa.ColumnElement[bool]:
    """That a product is in the category of a slug or an id, or in one of its parts."""
    wanted = sa.bindparam("category", type_=sa.String)
    named = sa.or_(Category.slug == wanted, sa.cast(Category.id, sa.String) == wanted)
    tree = sa.select(Category.id).where(named).cte("tree", recursive=True)
    tree = tree.union(sa.select(Category.id).where(Category.parent_id == tree.c.id))
    return Product.category_id.in_(sa.select(tree.c.id))


def _has_something() -> sa.ColumnElement[bool]:
    """That a product is to be had: from the house, or by an offer."""
    from_the_house = sa.and_(Product.price.is_not(None), Product.stock > 0)
    return sa.or_(from_the_house, Feed.lowest_price.is_not(None))


PRODUCTS = Listing(
    source=sa.join(Product, Feed, Feed.product_id == Product.id),
    core=table_of(Product),  # where it lives, it has one feed
    document=product_json,
    columns={
        "name": Product.sort_key,
        "created_at": Product.created_at,
        "updated_at": Product.updated_at,
        "lowest_price": Feed.lowest_price,
        "price": Product.price,
        "rating": Product.rating,
        "stock": Product.stock,
        "offer_count": Feed.offer_count,
    },
    tie=Product.id,
    nullable={"lowest_price": _NO_PRICE, "price": _NO_PRICE, "rating": (-1.0, 6.0)},
    default_sort="-created_at",
    filters={
        **_within("price", Product.price),
        **_within("stock", Product.stock),
        **_within("rating", Product.rating, sa.Float),
        **_within("offer_price", Feed.lowest_price),
        **search.conditions(Place.DESCRIPTION),
        "category": _in_category(),
        "brand": Product.brand_key == sa.bindparam("brand", type_=sa.String),
        "in_stock": {True: _has_something(), False: sa.not_(_has_something())},
        "has_offers": {True: Feed.offer_count > 0, False: Feed.offer_count == 0},
        "registration": sa.cast(Feed.status, sa.String) == sa.bindparam("registration", type_=sa.String),
        "created_after": Product.created_at > moment_parameter("created_after"),
    },
    always=(Product.deleted_at.is_(None),),
    probes=search.probes(Place.DESCRIPTION),
)
# By relevance, what has all the words in its name comes first.
_BY_NAME = replace(
    PRODUCTS,
    filters={**PRODUCTS.filters, **search.conditions(Place.NAME)},
    probes=search.probes(Place.NAME),
)
_BY_THE_REST = replace(PRODUCTS, unless=search.conditions(Place.NAME), unless_probes=search.probes(Place.NAME))


def page(filters: Mapping[str, Any], **position: Any) -> Page:
    """A page of the living products; what is searched for comes by relevance, unless a sort is given."""
    asked = {name: _parameter(name, value) for name, value in filters.items()}
    query = asked.pop("q", None)
    if query is None:
        return listing.page(PRODUCTS, asked, **position)
    words = search.parameters(query)
    if words is None:
        return Page("[]", None, 0)
    by_relevance = position["sort"] is None
    walk = search.are_common(words, Place.NAME if by_relevance else Place.DESCRIPTION)
    found = [_BY_NAME, _BY_THE_REST] if by_relevance else PRODUCTS
    return listing.page(found, asked | words, **position, walk=walk)


def _parameter(name: str, value: Any) -> Any:
    if name == "brand":
        return brand_key(value)
    if isinstance(value, UUID | Registration):
        return str(value)
    return paging.as_text(value) if name == "created_after" else value
