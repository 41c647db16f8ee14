"""The bytes of images where the database keeps them: with the image's row, in one transaction, the caller's."""

from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, dialect
from aggregator.models import ImageBlob, Variant
from aggregator.models.base import table_of
from aggregator.sql import upsert

BLOBS = table_of(ImageBlob)


def put(image_id: UUID, variant: Variant, content: bytes) -> None:
    """Keep content, in place of what there was."""
    row = upsert(BLOBS, dialect()).values(image_id=image_id, variant=variant, content=content)
    db.session.execute(row.on_conflict_do_update(index_elements=["image_id", "variant"], set_={"content": content}))


def get(image_id: UUID, variant: Variant) -> bytes | None:
    """What is kept; None where there is nothing."""
    return db.session.scalar(sa.select(ImageBlob.content).where(_is(image_id, variant)))


def delete(image_id: UUID, variant: Variant) -> None:
    """Keep it no more."""
    db.session.execute(sa.delete(ImageBlob).where(_is(image_id, variant)))


def _is(image_id: UUID, variant: Variant) -> sa.ColumnElement[bool]:
    return sa.and_(ImageBlob.image_id == image_id, ImageBlob.variant == variant)
