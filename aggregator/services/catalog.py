"""What can be done with products. The caller owns the transaction."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aggregator.database import STAYS, db, dialect
from aggregator.errors import EditedMeanwhile, NotFound, ReferenceGone
from aggregator.folding import sort_key
from aggregator.models import Category, ChangeKind, Feed, MovementKind, Offer, PricePoint, Product, ProductPricePoint
from aggregator.models.base import table_of
from aggregator.models.catalog import brand_key
from aggregator.services import alerts, changes, constraints, feeds, search, stock
from aggregator.services.feeds import Claimed
from aggregator.sql import now_plus, upsert

Versions = Collection[int | None] | None
SEARCHED = {"name", "brand", "description"}


def add(product_id: UUID, fields: Mapping[str, Any], now: datetime, id_is_ours: bool = True) -> Product:
    """A new product, due to be registered at the offers service. Conflict for a name or an id in use."""
    _check_category(fields)
    product = Product(id=product_id, **fields, created_at=now, updated_at=now)
    db.session.add(product)
    _flush(product)
    db.session.add(Feed(product_id=product_id, due_at=now_plus(0), id_is_ours=id_is_ours))
    db.session.flush()
    search.index_again([_searched(product)])  # of an id that somebody has chosen there may be words
    stock.note(MovementKind.INITIAL, {product_id: product.stock}, now)
    changes.record(ChangeKind.CREATED, [product_id], now)
    return product


def add_missing(products: Sequence[Mapping[str, Any]], now: datetime) -> int:
    """Add those of products whose id and name are not in use, and count them; the worker registers them."""
    table = table_of(Product)
    rows = [
        {"version": 1, "stock": 0, "created_at": now, "updated_at": now, **fields, **keys_of(fields)}
        for fields in products
    ]
    kept = [table.c[name] for name in ("id", "name", "brand", "description", "stock")]
    insert = upsert(table, dialect()).on_conflict_do_nothing().returning(*kept)
    new = {row["id"]: dict(row) for row in db.session.execute(insert, rows).mappings()}
    added = list(new)
    if added:
        db.session.execute(
            sa.insert(Feed),
            [{"product_id": product_id, "due_at": now, "id_is_ours": False} for product_id in added],
        )
        search.index(new.values())
        stock.note(MovementKind.INITIAL, {product_id: row["stock"] for product_id, row in new.items()}, now)
        changes.record(ChangeKind.CREATED, added, now)
    return len(added)


def keys_of(fields: Mapping[str, Any]) -> dict[str, str | None]:
    """The keys by which a product with these fields is sorted and compared, for statements beside the ORM."""
    return {"sort_key": sort_key(fields["name"]), "brand_key": brand_key(fields.get("brand"))}


def change(product_id: UUID, fields: Mapping[str, Any], now: datetime, versions: Versions = None) -> None:
    """Edit a product; with versions, only if it is at one of them. A refused one gets another try."""
    product = _living(product_id)
    if versions is not None and product.version not in versions:
        raise EditedMeanwhile
    changed = {name: value for name, value in fields.items() if getattr(product, name) != value}
    if not changed:
        return
    _check_category(changed)
    before = product.stock  # locked: no sale comes between
    for name, value in changed.items():
        setattr(product, name, value)
    product.version += 1
    product.updated_at = now
    _flush(product)
    if SEARCHED & changed.keys():
        search.index_again([_searched(product)])
    if "category_id" in changed:
        alerts.forget_in_categories([product_id])
    stock.note(MovementKind.ADJUST, {product_id: product.stock - before}, now)
    feeds.register_again([product_id])
    changes.record(ChangeKind.UPDATED, [product_id], now)


def remove(product_id: UUID, now: datetime, versions: Versions = None) -> None:
    """Delete a product softly: it is seen and synced no more, its offers are closed, its history is kept."""
    # The feed first: a sync that is writing this product's offers holds it, and finds it gone afterwards.
    feed = db.session.get(Feed, product_id, with_for_update=True)
    product = _living(product_id)
    if versions is not None and product.version not in versions:
        raise EditedMeanwhile
    if feed is not None and feed.synced_at is not None and feed.synced_at >= now:
        now = feed.synced_at + timedelta(microseconds=1)  # the history stays in order where a clock is behind
    product.deleted_at = now
    product.version += 1
    product.updated_at = now
    _close_offers(product_id, now)
    if feed is not None:
        if feed.offer_count:
            db.session.add(ProductPricePoint(product_id=product_id, observed_at=now, offer_count=0))
        db.session.delete(feed)
    db.session.flush()
    changes.record(ChangeKind.DELETED, [product_id], now)


def withdraw(product: Claimed, now: datetime) -> bool:
    """Take back a product that was never seen to be registered; false where its claim is lost."""
    gone = db.session.execute(
        sa.delete(Feed)
        .where(Feed.product_id == product.product_id, Feed.claimed_by == product.claim)
        .returning(Feed.product_id)
    )
    if gone.first() is None:
        return False
    product_id = UUID(product.product_id)
    search.forget([product_id])
    try:
        with db.session.begin_nested():
            stock.forget(product_id)
            db.session.execute(sa.delete(Product).where(Product.id == product_id))
    except IntegrityError:  # somebody was quick to order it, to put it in a cart, or to watch it
        this = sa.update(Product).where(Product.id == product_id)
        db.session.execute(this.values(deleted_at=now, version=Product.version + 1, updated_at=now))
    changes.record(ChangeKind.DELETED, [product_id], now)
    return True


def _searched(product: Product) -> dict[str, Any]:
    return {"id": product.id, "name": product.name, "brand": product.brand, "description": product.description}


def _check_category(fields: Mapping[str, Any]) -> None:
    """Return if there is the category; it stays until the transaction ends."""
    category_id = fields.get("category_id")
    if category_id is not None and db.session.get(Category, category_id, with_for_update=STAYS) is None:
        raise ReferenceGone(errors={"json": {"category_id": ["There is no such category."]}})


def _living(product_id: UUID) -> Product:
    product = db.session.get(Product, product_id, with_for_update={"key_share": True})
    if product is None or product.deleted_at is not None:
        raise NotFound("There is no such product.")
    return product


def _close_offers(product_id: UUID, now: datetime) -> None:
    offers = db.session.scalars(
        sa.select(Offer).where(Offer.product_id == product_id, Offer.last_seen_at.is_(None))
    ).all()
    for offer in offers:
        if offer.items_in_stock:
            db.session.add(PricePoint(offer_id=offer.id, observed_at=now))
            offer.items_in_stock = 0
            offer.sold_out_at = now
        offer.last_seen_at, offer.confirmed_at = offer.confirmed_at or now, None


def _flush(product: Product) -> None:
    constraints.flush({"uq_products_living_name": f"There is a product named {product.name!r} already."})
