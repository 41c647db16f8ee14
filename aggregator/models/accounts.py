"""Who may sign in, and from where they are signed in."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, validates

from aggregator.folding import SORT_KEY_LENGTH, sort_key
from aggregator.models.base import Base, no_longer_than
from aggregator.models.types import choice, in_code_points

USERNAME_LENGTH = 80
EMAIL_LENGTH = 254
MIN_PASSWORD_LENGTH = 8
MAX_PASSWORD_LENGTH = 128


class Role(StrEnum):
    """What a user may do."""

    ADMIN = "admin"
    CUSTOMER = "customer"


class User(Base):
    """An account. Names and addresses are unique without regard to case: the keys hold them folded."""

    __tablename__ = "users"
    __table_args__ = (
        no_longer_than("username", USERNAME_LENGTH),
        no_longer_than("email", EMAIL_LENGTH),
        sa.Index(None, "sort_key", "id"),
        # So that a name at the login is never somebody else's address.
        sa.CheckConstraint("username_key NOT LIKE '%@%'", name="username_key"),
        sa.CheckConstraint("email_key LIKE '%@%'", name="email_key"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    username: Mapped[str] = mapped_column(sa.String(USERNAME_LENGTH))
    username_key: Mapped[str] = mapped_column(sa.String(3 * USERNAME_LENGTH), unique=True)
    sort_key: Mapped[str] = mapped_column(in_code_points(SORT_KEY_LENGTH), server_default="")
    email: Mapped[str] = mapped_column(sa.String(EMAIL_LENGTH))
    email_key: Mapped[str] = mapped_column(in_code_points(3 * EMAIL_LENGTH), unique=True)
    password_hash: Mapped[str] = mapped_column(sa.Text)
    role: Mapped[Role] = mapped_column(choice(Role), default=Role.CUSTOMER)
    active: Mapped[bool] = mapped_column(default=True)
    # Only a new account, or a new address, has to be confirmed; each such time by another id.
    email_confirmed: Mapped[bool] = mapped_column(server_default=sa.true())
    confirmation_id: Mapped[UUID | None]
    mail_alerts: Mapped[bool] = mapped_column(server_default=sa.true())  # what mails they want
    mail_daily: Mapped[bool] = mapped_column(server_default=sa.true())
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime] = mapped_column(index=True)

    @validates("username")
    def _sort_by_username(self, _: str, username: str) -> str:
        self.sort_key = sort_key(username)
        return username


class SignIn(Base):
    """A user signed in on some device: a family of refresh tokens, of which the last one counts.

    The tokens themselves are stored nowhere. Each says its sign-in and its generation, and is signed.
    """

    __tablename__ = "sign_ins"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID] = mapped_column(sa.ForeignKey("users.id"), index=True)
    generation: Mapped[int] = mapped_column(default=1)
    refreshed_at: Mapped[datetime]  # when the last generation was given out
    expires_at: Mapped[datetime] = mapped_column(index=True)  # as its refresh token does
    ended_at: Mapped[datetime | None]
    network: Mapped[str | None] = mapped_column(sa.String(32))  # where it was last used: a digest of user and network
