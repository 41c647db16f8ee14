"""The parts of the catalogue. The caller owns the transaction.

One transaction at a time changes the tree. Of two at once, each would check a tree that the other is about to change:
together they could make a circle, or a part of a category that is gone.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from aggregator.database import db, one_at_a_time
from aggregator.errors import (
    CategoryCircle,
    CategoryNotEmpty,
    CategoryTooDeep,
    NotFound,
    ReferenceGone,
    ValidationFailed,
)
from aggregator.folding import searchable
from aggregator.models import Category, Product
from aggregator.models.catalog import CATEGORY_LENGTH
from aggregator.services import alerts, changes, constraints

LOCK = "tree of categories"
MAX_DEPTH = 10
_is_id = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch  # what says which category, says it alone
_is_slug = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*").fullmatch


def add(fields: Mapping[str, Any], now: datetime) -> UUID:
    """A new category. Conflict for a slug in use, Invalid for a parent that there is not."""
    one_at_a_time(LOCK)
    category = Category(id=uuid4(), created_at=now, slug=slug_of(fields["name"]))
    _set(category, fields, now)
    db.session.add(category)
    _flush(category)
    return category.id


def add_missing(tree: Iterable[tuple[str, str | None]], now: datetime) -> dict[str, UUID]:
    """Add those categories that there are not, and return the ids of all of them by their slugs.

    Each comes with the slug of the one that it is a part of, which comes before it. None of them can be deleted until
    the transaction ends.
    """
    one_at_a_time(LOCK)
    found: dict[str, UUID] = {}
    for name, parent in tree:
        slug = slug_of(name)
        known = db.session.scalar(sa.select(Category.id).where(Category.slug == slug))
        found[slug] = known or add({"name": name, "parent_id": found[parent] if parent else None}, now)
    return found


def change(category_id: UUID, fields: Mapping[str, Any], now: datetime) -> None:
    """Edit a category. Conflict for a slug in use, Invalid for a parent that is a part of it."""
    one_at_a_time(LOCK)
    category = get(category_id)
    parent_id, shown = category.parent_id, (category.name, category.slug)
    _set(category, fields, now)
    _flush(category)
    if category.parent_id != parent_id:
        alerts.forget_under(category_id)
    if (category.name, category.slug) != shown:
        changes.record_category(category_id, now)


def remove(category_id: UUID) -> None:
    """Delete a category. Conflict while there are products or categories in it."""
    one_at_a_time(LOCK)
    category = get(category_id)
    living = sa.select(sa.func.count()).where(Product.category_id == category_id, Product.deleted_at.is_(None))
    products = db.session.scalar(living) or 0
    parts = db.session.scalar(sa.select(sa.func.count()).where(Category.parent_id == category_id)) or 0
    if products or parts:
        raise CategoryNotEmpty(
            f"It holds {_counted(products, 'product', 'products')}, {_counted(parts, 'part', 'parts')}."
        )
    db.session.execute(sa.update(Product).where(Product.category_id == category_id).values(category_id=None))
    db.session.delete(category)


def get(category_id: UUID) -> Category:
    """A category, locked until the transaction ends. NotFound if there is none."""
    category = db.session.get(Category, category_id, with_for_update=True)
    if category is None:
        raise NotFound("There is no such category.")
    return category


def ancestors() -> dict[UUID, set[UUID]]:
    """Of each category: itself, and all those that it is a part of."""
    parents = dict(db.session.execute(sa.select(Category.id, Category.parent_id)).all())
    found: dict[UUID, set[UUID]] = {}
    for category_id in parents:
        above: set[UUID] = set()
        at: UUID | None = category_id
        while at is not None:
            above.add(at)
            at = parents[at]
        found[category_id] = above
    return found


def slug_of(name: str) -> str:
    """A name as it can stand in a URL: "Café & Bar" is "cafe-bar". Empty where nothing of it can."""
    return "-".join(re.findall("[a-z0-9]+", searchable(name)))[:CATEGORY_LENGTH].strip("-")


def _counted(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _set(category: Category, fields: Mapping[str, Any], now: datetime) -> None:
    for name, value in fields.items():
        setattr(category, name, value)
    category.updated_at = now
    if not _is_slug(category.slug) or _is_id(category.slug):
        made = "" if category.slug else " None can be made of this name."
        wanted = f"Small letters, digits and single hyphens, such as garden-chairs.{made}"
        raise ValidationFailed(errors={"json": {"slug": [wanted]}})
    if category.parent_id is not None:
        _check_parent(category)


def _check_parent(category: Category) -> None:
    """Return if a category can be a part of its parent."""
    assert category.parent_id is not None
    with db.session.no_autoflush:
        tree = ancestors()
    if category.parent_id not in tree:
        raise ReferenceGone(errors={"json": {"parent_id": ["There is no such category."]}})
    if category.id in tree[category.parent_id]:
        raise CategoryCircle(errors={"json": {"parent_id": ["It is a part of this category itself."]}})
    below = max((len(above - tree[category.id]) for above in tree.values() if category.id in above), default=0)
    if len(tree[category.parent_id]) + 1 + below > MAX_DEPTH:
        raise CategoryTooDeep(
            errors={"json": {"parent_id": [f"The tree would be more than {MAX_DEPTH} categories deep."]}}
        )


def _flush(category: Category) -> None:
    constraints.flush({"uq_categories_slug": f"There is a category with the slug {category.slug!r} already."})
