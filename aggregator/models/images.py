"""Pictures of products."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import Base
from aggregator.models.types import choice

MAX_IMAGE_BYTES = 5 * 1024 * 1024
MAX_PIXELS = 25_000_000
MAX_IMAGES = 10  # of one product
_PENDING = sa.text("status = 'pending'")


class ImageStatus(StrEnum):
    """Whether an image can be shown."""

    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


class Variant(StrEnum):
    """The sizes in which an image is kept: as it came, until the others are made, and those that are shown."""

    ORIGINAL = "original"
    THUMB = "thumb"
    FULL = "full"


class Image(Base):
    """A picture of a product. What it consists of lies in a store, under the image's id and a variant."""

    __tablename__ = "images"
    __table_args__ = (
        sa.Index(None, "product_id", "position"),
        sa.Index("ix_images_due", "created_at", postgresql_where=_PENDING, sqlite_where=_PENDING),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    product_id: Mapped[UUID] = mapped_column(sa.ForeignKey("products.id"))
    position: Mapped[int]  # among those of its product
    status: Mapped[ImageStatus] = mapped_column(choice(ImageStatus), default=ImageStatus.PENDING)
    error: Mapped[str | None] = mapped_column(sa.Text)  # why it cannot be shown
    claimed_by: Mapped[str | None] = mapped_column(sa.String(80))
    claimed_until: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]


class ImageBlob(Base):
    """The bytes of an image in one size, where the database is the store."""

    __tablename__ = "image_blobs"

    image_id: Mapped[UUID] = mapped_column(sa.ForeignKey("images.id", ondelete="CASCADE"), primary_key=True)
    variant: Mapped[Variant] = mapped_column(choice(Variant), primary_key=True)
    content: Mapped[bytes] = mapped_column(sa.LargeBinary)
