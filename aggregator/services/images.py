"""What can be done with the images of products. The caller owns the transaction, and keeps the bytes.

Whatever is done to an image of a product begins with the product's row: that is what two at once wait for.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, once
from aggregator.errors import LimitReached, NotFound
from aggregator.models import ChangeKind, Image, ImageStatus, Product
from aggregator.models.base import table_of
from aggregator.models.images import MAX_IMAGES
from aggregator.reading import read
from aggregator.services import changes
from aggregator.sql import Select, is_past, now_plus

IMAGES = table_of(Image)
CLAIM_SECONDS = 120.0
ATTEMPTS = 3
GIVEN_UP = "It could not be made."
EXPIRED_AT_ONCE = 1_000


@dataclass(frozen=True)
class Claimed:
    """An image that is ours to make until the claim runs out."""

    claim: str
    id: UUID
    product_id: UUID
    attempts: int  # with this one


def add(image_id: UUID, product_id: UUID, now: datetime) -> None:
    """A new image of a product, the last one, which is still to be made. Conflict where there is room for no more."""
    _touch(product_id)
    count = sa.select(sa.func.count()).select_from(Image).where(Image.product_id == product_id)
    there = db.session.scalar(count) or 0
    if there >= MAX_IMAGES:
        raise LimitReached(f"A product can have {MAX_IMAGES} images. Delete one first.")
    db.session.add(Image(id=image_id, product_id=product_id, position=there + 1, created_at=now))
    db.session.flush()


def move(image_id: UUID, position: int, now: datetime) -> None:
    """Put an image elsewhere among those of its product; the others make room."""
    product_id = _product_of(image_id)
    of_product = sa.select(Image).where(Image.product_id == product_id).order_by(Image.position, Image.id)
    images = list(db.session.scalars(of_product))
    moved = next((image for image in images if image.id == image_id), None)
    if moved is None:  # deleted a moment ago
        raise NotFound("There is no such image.")
    images.remove(moved)
    images.insert(position - 1, moved)
    for number, image in enumerate(images, 1):
        image.position = number
    db.session.flush()
    changes.record(ChangeKind.UPDATED, [product_id], now)


def remove(image_id: UUID, now: datetime) -> None:
    """Delete an image; those after it move up."""
    product_id = _product_of(image_id)
    row = IMAGES.c
    gone = db.session.execute(sa.delete(IMAGES).where(row.id == image_id).returning(row.status, row.position)).first()
    if gone is None:
        raise NotFound("There is no such image.")
    behind = sa.and_(row.product_id == product_id, row.position > gone.position)
    db.session.execute(sa.update(IMAGES).where(behind).values(position=row.position - 1))
    if gone.status is ImageStatus.READY:
        changes.record(ChangeKind.UPDATED, [product_id], now)


def anything_due() -> bool:
    """Whether an image wants to be made that nobody is making."""
    return bool(read(_any_due))


def _any_due() -> Select:
    return sa.select(sa.literal(1)).select_from(Image).where(_is_due()).limit(1)


def _is_due() -> sa.ColumnElement[bool]:
    living = sa.exists().where(Product.id == Image.product_id, Product.deleted_at.is_(None))
    free = sa.or_(Image.claimed_until.is_(None), is_past(Image.claimed_until, CLAIM_SECONDS))
    return sa.and_(Image.status == ImageStatus.PENDING, free, living)


def claim_due(claim: str) -> Claimed | None:
    """The image that has been waiting for longest, if there is one that nobody is making."""
    due = (
        sa.select(Image.id)
        .where(_is_due())
        .order_by(Image.created_at)
        .limit(1)
        .with_for_update(skip_locked=True, of=Image)
    )
    row = IMAGES.c
    found = db.session.execute(
        sa.update(IMAGES)
        .where(row.id.in_(once(due)))
        .values(claimed_by=claim, claimed_until=now_plus(CLAIM_SECONDS), attempts=row.attempts + 1)
        .returning(row.id, row.product_id, row.attempts)
    ).first()
    return None if found is None else Claimed(claim, *found)


def made(image: Claimed) -> bool:
    """Show an image from now on, whose sizes are kept; false where the claim is lost, or the image is gone."""
    return _touched(image.product_id) and _end(image, status=ImageStatus.READY, error=None)


def tell(image: Claimed, now: datetime) -> None:
    """Record that a product has one more image to show. The last thing to do in a transaction, as always."""
    changes.record(ChangeKind.UPDATED, [image.product_id], now)


def failed(image: Claimed, reason: str) -> bool:
    """Note that an image cannot be made, and why; false where the claim is lost."""
    return _end(image, status=ImageStatus.FAILED, error=reason)


def postpone(image: Claimed, seconds: float, counts: bool) -> None:
    """Leave an image to whoever claims it after so many seconds; it need not count as an attempt."""
    _end(image, claimed_until=now_plus(seconds), attempts=image.attempts if counts else image.attempts - 1)


def _end(image: Claimed, **values: object) -> bool:
    row = IMAGES.c
    ended = db.session.execute(
        sa.update(IMAGES)
        .where(row.id == image.id, row.claimed_by == image.claim, row.status == ImageStatus.PENDING)
        .values({"claimed_by": None, "claimed_until": None, **values})
        .returning(row.id)
    )
    return ended.first() is not None


def statuses(image_ids: Collection[UUID]) -> Mapping[UUID, ImageStatus]:
    """How far those of the images have come that there are."""
    found = db.session.execute(sa.select(Image.id, Image.status).where(Image.id.in_(image_ids)))
    return {row.id: row.status for row in found}


def never_had(product_ids: Collection[UUID]) -> set[UUID]:
    """Those of the products that nobody has ever given an image, or taken one from."""
    bare = sa.select(Product.id).where(Product.image_changes == 0, Product.deleted_at.is_(None))
    return set(db.session.scalars(bare.where(Product.id.in_(product_ids))))


def expire(now: datetime) -> int:
    """Forget some of the images of deleted products, up to a batch, and count them."""
    deleted = sa.select(Image.id).join(Product, Product.id == Image.product_id)
    old = deleted.where(Product.deleted_at < now).limit(EXPIRED_AT_ONCE)
    return len(db.session.execute(sa.delete(Image).where(Image.id.in_(old)).returning(Image.id)).all())


def _product_of(image_id: UUID) -> UUID:
    """The product of an image, with its row held."""
    product_id = db.session.scalar(sa.select(Image.product_id).where(Image.id == image_id))
    if product_id is None or not _touched(product_id):
        raise NotFound("There is no such image.")
    return product_id


def _touch(product_id: UUID) -> None:
    if not _touched(product_id):
        raise NotFound("There is no such product.")


def _touched(product_id: UUID) -> bool:
    """Hold the row of a product, and note that something happens to its images; false where there is no product."""
    row = table_of(Product).c
    living = sa.and_(row.id == product_id, row.deleted_at.is_(None))
    touch = sa.update(table_of(Product)).where(living).values(image_changes=row.image_changes + 1)
    return db.session.execute(touch.returning(row.id)).first() is not None
