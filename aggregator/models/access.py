"""What all processes know in common of the offers service: its token, and when to leave it alone."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import Base
from aggregator.models.types import choice


class Access(Base):
    """The one access token, in one row, because the offers service gives one at a time.

    A process that finds it missing or expired takes the lease, asks for a new one and stores it.
    """

    __tablename__ = "access"
    __table_args__ = (sa.CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    fingerprint: Mapped[str | None] = mapped_column(sa.String(12))  # of the credential that got the token
    token: Mapped[str | None] = mapped_column(sa.Text)  # encrypted, as secret_box.py has it
    obtained_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]  # null: never
    in_doubt: Mapped[bool] = mapped_column(default=False)  # refused by a call, though it should be valid
    leased_by: Mapped[str | None] = mapped_column(sa.String(80))
    leased_until: Mapped[datetime | None]


class Endpoint(StrEnum):
    """The three calls of the offers service."""

    AUTH = "auth"
    REGISTER = "register"
    OFFERS = "offers"


class Circuit(Base):
    """Whether a call of the offers service may be made; no process makes it before retry_at."""

    __tablename__ = "circuits"

    endpoint: Mapped[Endpoint] = mapped_column(choice(Endpoint), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    reason: Mapped[str | None] = mapped_column(sa.Text)
    retry_at: Mapped[datetime | None]
