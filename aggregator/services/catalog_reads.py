"""The catalogue as the outside reads it: each query is one statement that returns the JSON text."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.errors import NotFound
from aggregator.models import Category, Feed, Offer, Product, Registration
from aggregator.reading import read_kept
from aggregator.services.image_reads import images_json
from aggregator.services.offer_reads import OPEN, offer_json
from aggregator.sql import Select, id_parameter, json_array, json_bool, json_object, json_one, json_time


@dataclass(frozen=True)
class Document:
    """A product's JSON, and the tag that changes whenever it does."""

    text: str
    tag: str


def _category_json() -> json_object:
    return json_object({"id": Category.id, "name": Category.name, "slug": Category.slug})


def product_json(offers: sa.ColumnElement[Any] | None = None) -> json_object:
    """A product as JSON, with its offers where they are given."""
    return json_object(
        {
            "id": Product.id,
            "name": Product.name,
            "description": Product.description,
            "brand": Product.brand,
            "category": _category_of_product(),
            "price": Product.price,
            "stock": Product.stock,
            "rating": Product.rating,
            "registration": json_object(
                {
                    "status": Feed.status,
                    "reason": Feed.reason,
                    "registered_at": json_time(Feed.registered_at),
                }
            ),
            "lowest_price": Feed.lowest_price,
            "offer_count": Feed.offer_count,
            "offers_synced_at": json_time(Feed.synced_at),
            "offers_up_to_date": json_bool(_up_to_date()),
            "offers_problem": _offers_problem(),
            "images": images_json(),
            "created_at": json_time(Product.created_at),
            "updated_at": json_time(Product.updated_at),
        }
        | ({} if offers is None else {"offers": offers})
    )


def _up_to_date() -> sa.ColumnElement[bool]:
    """Whether the stored offers of a product are all that the service said when it was last asked."""
    return sa.and_(Feed.status == Registration.REGISTERED, Feed.failures == 0, Feed.digest.is_not(None))


def _offers_problem() -> sa.ColumnElement[str]:
    """Why the offers of a product are not up to date, where something went wrong."""
    rows = sa.cast(Feed.rejected_rows, sa.String)
    return sa.case(
        (Feed.status != Registration.REGISTERED, Feed.reason),
        (Feed.failures > 0, Feed.failure),
        (Feed.rejected_rows > 0, sa.literal("rows rejected: ") + rows + ", the first for a " + Feed.rejected_reason),
    )


def find(product_id: UUID) -> Document:
    """A product with its current offers, the cheapest first. NotFound if there is none."""
    rows = read_kept(_product, id=str(product_id))
    if not rows:
        raise NotFound("There is no such product.")
    text, *state = tuple(rows[0])
    return Document(str(text), _tag(*state))


def tag(product_id: UUID) -> str:
    """The tag of a product's JSON, for less than the whole costs. NotFound if there is none."""
    rows = read_kept(_state, id=str(product_id))
    if not rows:
        raise NotFound("There is no such product.")
    return _tag(*tuple(rows[0]))


def _tag(version: int, *state: Any) -> str:
    """Edits bump the version, images their number, every sync its moment; all else that is shown stands in state."""
    return f"{version}-{sha256(repr(state).encode()).hexdigest()[:20]}"


def version_in(tag: str) -> int | None:
    """The version of the product that a tag was made of. The sync does not stand in the way of an edit."""
    number = tag.partition("-")[0]
    return int(number) if number.isascii() and number.isdigit() and len(number) < 10 else None


def _category_of_product() -> json_one:
    return json_one(sa.select(_category_json()).where(Category.id == Product.category_id))


def _states() -> list[sa.ColumnElement[Any]]:
    """All that the JSON of a product is made of, or what changes whenever that does."""
    feed: list[Any] = [Feed.status, Feed.reason, json_time(Feed.registered_at), Feed.lowest_price, Feed.offer_count]
    product: list[Any] = [Product.version, Product.image_changes]
    feed += [sa.cast(json_bool(_up_to_date()), sa.Text), _offers_problem()]
    return [*product, *feed, json_time(Feed.synced_at), sa.cast(_category_of_product(), sa.Text)]


def _state() -> Select:
    return _of_product(sa.select(*_states()))


def _product() -> Select:
    offers = json_array(
        sa.select(offer_json())
        .where(Offer.product_id == Product.id, OPEN)
        .order_by(Offer.price, Offer.id)
        .correlate(Product, Feed)
    )
    return _of_product(sa.select(sa.cast(product_json(offers), sa.Text), *_states()))


def _of_product(statement: Select) -> Select:
    return statement.join_from(Product, Feed, Feed.product_id == Product.id).where(
        Product.id == id_parameter("id"), Product.deleted_at.is_(None)
    )
