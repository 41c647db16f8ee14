"""Makes the catalogue what a file says, some hundred rows at a time. The caller owns the transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from aggregator.database import db, dialect
from aggregator.models import Category, ChangeKind, Feed, MovementKind, Product, Registration
from aggregator.models.base import table_of
from aggregator.services import alerts, changes, feeds, search, stock
from aggregator.services.catalog import SEARCHED, keys_of
from aggregator.services.product_fields import CategoryName
from aggregator.services.product_rows import Rejected, Row
from aggregator.sql import Rows, insert_of

PRODUCTS = table_of(Product)
FIELDS = ("name", "description", "brand", "category_id", "price", "stock", "rating")
STORED = (*FIELDS, "sort_key", "brand_key")
EMPTY = {"description": "", "brand": None, "category_id": None, "price": None, "stock": 0, "rating": None}


class Became(StrEnum):
    """What became of a row."""

    ADDED = "added"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass
class _Draft:
    """A product as it is to be, and as it was; was is None for a new one."""

    id: UUID
    fields: dict[str, Any]
    was: Mapping[str, Any] | None = None

    @property
    def changed(self) -> set[str]:
        return {name for name in FIELDS if self.was is None or self.fields[name] != self.was[name]}


@dataclass
class _Catalogue:
    """The part of the catalogue that some rows are about."""

    by_id: dict[UUID, _Draft] = field(default_factory=dict)
    by_name: dict[str, _Draft] = field(default_factory=dict)
    deleted: set[UUID] = field(default_factory=set)
    categories: dict[UUID | str, UUID] = field(default_factory=dict)  # by their ids and by their slugs


Outcome = tuple[int, Became] | Rejected


@dataclass
class Done:
    """What became of each row, in their order, and of which products there is something to tell."""

    outcomes: list[Outcome] = field(default_factory=list)
    added: list[UUID] = field(default_factory=list)
    updated: list[UUID] = field(default_factory=list)

    def __add__(self, other: "Done") -> "Done":
        return Done(self.outcomes + other.outcomes, self.added + other.added, self.updated + other.updated)


def put(rows: Sequence[Row], now: datetime) -> Done:
    """Add the products that there are not, by id or by name, and change the others."""
    catalogue = _catalogue(rows)
    outcomes = [_take(catalogue, row) for row in rows]
    drafts = [draft for draft in catalogue.by_id.values() if draft.changed]
    new, known = ([draft for draft in drafts if (draft.was is None) is is_new] for is_new in (True, False))
    _add(new, now)
    _update(known, now)
    before = {draft.id: draft.was["stock"] if draft.was else 0 for draft in drafts}
    stock.note(MovementKind.IMPORT, {draft.id: draft.fields["stock"] - before[draft.id] for draft in drafts}, now)
    return Done(outcomes, [draft.id for draft in new], [draft.id for draft in known])


def record(done: Done, now: datetime) -> None:
    """Tell those who follow the catalogue. The last thing that a transaction does."""
    changes.record(ChangeKind.CREATED, done.added, now)
    changes.record(ChangeKind.UPDATED, done.updated, now)


def _catalogue(rows: Sequence[Row]) -> _Catalogue:
    """What there is of the products in rows, locked in the order of their ids."""
    ids = {row.fields["id"] for row in rows if "id" in row.fields}
    names = {row.fields["name"] for row in rows if "name" in row.fields}
    found = db.session.execute(
        sa.select(PRODUCTS)
        .where(sa.or_(PRODUCTS.c.id.in_(ids), sa.and_(PRODUCTS.c.name.in_(names), PRODUCTS.c.deleted_at.is_(None))))
        .order_by(PRODUCTS.c.id)
        .with_for_update(key_share=True)  # what refers to the products need not wait
    ).mappings()
    catalogue = _Catalogue()
    for product in found:
        if product["deleted_at"] is not None:
            catalogue.deleted.add(product["id"])
            continue
        draft = _Draft(product["id"], {name: product[name] for name in FIELDS}, dict(product))
        catalogue.by_id[draft.id] = catalogue.by_name[product["name"]] = draft
    named = [row.fields["category"] for row in rows if row.fields.get("category") is not None]
    if named:
        catalogue.categories = _categories(named)
    return catalogue


def _categories(named: Sequence[CategoryName]) -> dict[UUID | str, UUID]:
    """The ids of categories by what says which, kept from being deleted until the transaction ends."""
    this = sa.or_(
        Category.slug.in_({each.slug for each in named if each.slug}),
        Category.id.in_({each.id for each in named if each.id}),
    )
    known = db.session.execute(sa.select(Category.slug, Category.id).where(this).with_for_update(read=True)).all()
    return {key: category_id for slug, category_id in known for key in (slug, category_id)}


def _take(catalogue: _Catalogue, row: Row) -> tuple[int, Became] | Rejected:
    """Note in the catalogue what a row says."""
    fields = dict(row.fields)
    product_id, name = fields.pop("id", None), fields.get("name")
    if "category" in fields:
        try:
            fields["category_id"] = _category_id(catalogue, fields.pop("category"))
        except ValueError as error:
            return Rejected(row.line, (f"category: {error}",))
    if product_id in catalogue.deleted:
        return Rejected(row.line, ("id: The product has been deleted.",))
    draft = catalogue.by_name.get(name or "") if product_id is None else catalogue.by_id.get(product_id)
    if name is not None and catalogue.by_name.get(name, draft) is not draft:
        return Rejected(row.line, (f"name: There is a product named {name!r} already.",))
    if draft is None and name is None:
        return Rejected(row.line, ("name: A new product needs one.",))
    return row.line, _note(catalogue, draft, product_id or uuid4(), fields)


def _category_id(catalogue: _Catalogue, named: CategoryName | None) -> UUID | None:
    """The id of the category that a row names. ValueError for none, and for two of them.

    One of its names is enough: of another installation the id says nothing, and a slug may have been changed since.
    """
    if named is None:
        return None
    found = {catalogue.categories[key] for key in (named.id, named.slug) if key in catalogue.categories}
    if not found:
        raise ValueError(f"There is no category {str(named)!r}.")
    if len(found) > 1:
        raise ValueError("Its id and its slug are of two categories.")
    return found.pop()


def _note(catalogue: _Catalogue, draft: _Draft | None, product_id: UUID, fields: dict[str, Any]) -> Became:
    if draft is None:
        draft = _Draft(product_id, EMPTY | fields)
        catalogue.by_id[product_id] = catalogue.by_name[fields["name"]] = draft
        return Became.ADDED
    if all(draft.fields[name] == value for name, value in fields.items()):
        return Became.UNCHANGED
    if fields.get("name", draft.fields["name"]) != draft.fields["name"]:
        del catalogue.by_name[draft.fields["name"]]
        catalogue.by_name[fields["name"]] = draft
    draft.fields |= fields
    return Became.UPDATED


def _add(drafts: Sequence[_Draft], now: datetime) -> None:
    if drafts:
        connection, ids = db.session.connection(), [draft.id for draft in drafts]
        rows, statement = _add_products(dialect())
        stored = [draft.fields | keys_of(draft.fields) for draft in drafts]
        columns = [[fields[name] for fields in stored] for name in STORED]
        stamps = {"version": 1, "created_at": now, "updated_at": now}
        connection.execute(statement, rows.parameters(ids, *columns) | stamps)
        rows, statement = _add_feeds(dialect())
        feed = {"status": Registration.PENDING, "id_is_ours": False, "due_at": now}
        connection.execute(statement, rows.parameters(ids) | feed)
        search.index([draft.fields | {"id": draft.id} for draft in drafts])


@cache
def _add_products(dialect: str) -> tuple[Rows, sa.Insert]:
    return insert_of(PRODUCTS, dialect, ("id", *STORED), ("version", "created_at", "updated_at"))


@cache
def _add_feeds(dialect: str) -> tuple[Rows, sa.Insert]:
    return insert_of(table_of(Feed), dialect, ("product_id",), ("status", "id_is_ours", "due_at"))


def _update(drafts: Sequence[_Draft], now: datetime) -> None:
    if drafts:
        row = PRODUCTS.c
        statement = (
            sa.update(PRODUCTS)
            .where(row.id == sa.bindparam("product"))
            .values({name: sa.bindparam(name) for name in STORED} | {"version": row.version + 1, "updated_at": now})
        )
        db.session.execute(
            statement, [{"product": draft.id, **draft.fields, **keys_of(draft.fields)} for draft in drafts]
        )
        feeds.register_again([draft.id for draft in drafts])
        search.index_again([draft.fields | {"id": draft.id} for draft in drafts if SEARCHED & draft.changed])
        alerts.forget_in_categories([draft.id for draft in drafts if "category_id" in draft.changed])
