"""Categories as the outside reads them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.errors import NotFound
from aggregator.models import Category
from aggregator.models.base import table_of
from aggregator.reading import read
from aggregator.services import listing
from aggregator.services.list_queries import Listing
from aggregator.services.listing import Page
from aggregator.sql import Select, id_parameter, json_object, json_time


def category_json() -> json_object:
    """A category as JSON."""
    return json_object(
        {
            "id": Category.id,
            "name": Category.name,
            "slug": Category.slug,
            "parent_id": Category.parent_id,
            "created_at": json_time(Category.created_at),
            "updated_at": json_time(Category.updated_at),
        }
    )


CATEGORIES = Listing(
    source=table_of(Category),
    document=category_json,
    columns={
        "name": Category.sort_key,
        "slug": Category.slug,
        "created_at": Category.created_at,
    },
    tie=Category.id,
    default_sort="name",
    filters={
        "slug": Category.slug == sa.bindparam("slug", type_=sa.String),
        "parent_id": Category.parent_id == id_parameter("parent_id"),
        "is_root": {True: Category.parent_id.is_(None), False: Category.parent_id.is_not(None)},
    },
)


def page(filters: Mapping[str, Any], **position: Any) -> Page:
    """A page of the categories."""
    asked = {name: str(value) if isinstance(value, UUID) else value for name, value in filters.items()}
    return listing.page(CATEGORIES, asked, **position)


def find(category_id: UUID) -> str:
    """A category. NotFound if there is none."""
    rows = read(_category, id=str(category_id))
    if not rows:
        raise NotFound("There is no such category.")
    return str(rows[0][0])


def _category() -> Select:
    return sa.select(sa.cast(category_json(), sa.Text)).where(Category.id == id_parameter("id"))
