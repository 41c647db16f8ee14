"""The keys with which clients make their POSTs safe to repeat."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import Base

KEY_LENGTH = 255


class IdempotencyKey(Base):
    """A key, the request it came with, and the answer that the request got once it was known."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(sa.String(36), primary_key=True)  # whose key: two users may pick one
    key: Mapped[str] = mapped_column(sa.String(KEY_LENGTH), primary_key=True)
    request_digest: Mapped[str] = mapped_column(sa.String(64))
    resource_id: Mapped[UUID]  # what the request made
    answer: Mapped[str | None] = mapped_column(sa.Text)
    created_at: Mapped[datetime] = mapped_column(index=True)
