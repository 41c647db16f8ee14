"""Accounts: who there is, and what may be changed about them. The caller owns the transaction."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from unicodedata import normalize
from uuid import UUID, uuid4

import sqlalchemy as sa
from email_validator import EmailNotValidError, validate_email

from aggregator.database import db
from aggregator.errors import Invalid, LastAdmin, NotFound, ValidationFailed
from aggregator.folding import folded
from aggregator.models import Role, User
from aggregator.models.accounts import USERNAME_LENGTH
from aggregator.reading import read
from aggregator.services import constraints, passwords, sign_ins
from aggregator.sql import Select

MIN_USERNAME_LENGTH = 3
_is_username = re.compile(r"[^\W_][\w.-]*").fullmatch


@dataclass(frozen=True)
class Credentials:
    """What it takes to check a password."""

    user_id: UUID
    password_hash: str
    active: bool


def checked(username: str, email: str, password: str) -> tuple[str, str]:
    """The name and the address as they are to be stored. Invalid names all that will not do."""
    errors: dict[str, list[str]] = {}
    username = normalize("NFKC", username)
    if not MIN_USERNAME_LENGTH <= len(username) <= USERNAME_LENGTH or not _is_username(username):
        errors["username"] = [
            f"Must have {MIN_USERNAME_LENGTH} to {USERNAME_LENGTH} letters, digits, dots, hyphens or underscores."
        ]
    try:
        email = checked_email(email)
    except Invalid as error:
        errors |= error.extra["errors"]["json"]
    try:
        checked_password(password, username, email)
    except Invalid as error:
        errors |= error.extra["errors"]["json"]
    if errors:
        raise ValidationFailed(errors={"json": errors})
    return username, email


def checked_email(email: str) -> str:
    """The address as it is to be stored. Invalid where it is none; of the reserved domains .test will do."""
    try:
        return validate_email(email, check_deliverability=False, allow_smtputf8=False, test_environment=True).normalized
    except EmailNotValidError:
        raise ValidationFailed(errors={"json": {"email": ["Not an address."]}}) from None


def checked_password(password: str, username: str, email: str) -> None:
    """Return if the password will do for somebody of this name and address."""
    if weakness := passwords.weakness(password, username, email, email.partition("@")[0]):
        raise ValidationFailed(errors={"json": {"password": [weakness]}})


def add(username: str, email: str, password_hash: str, role: Role, now: datetime, confirmed: bool = True) -> UUID:
    """A new account. Conflict where the name or the address is taken, by whatever case it is written in."""
    user = User(
        id=uuid4(),
        username=username,
        username_key=folded(username),
        email=email,
        email_key=folded(email),
        password_hash=password_hash,
        role=role,
        email_confirmed=confirmed,
        created_at=now,
        updated_at=now,
    )
    db.session.add(user)
    constraints.flush()
    return user.id


def credentials(login: str) -> Credentials | None:
    """The credentials of whoever has this name or this address."""
    found = read(_credentials, login=login_key(login))
    return Credentials(UUID(str(found[0][0])), found[0][1], bool(found[0][2])) if found else None


def _credentials() -> Select:
    login = sa.bindparam("login", type_=sa.String)
    return sa.select(sa.cast(User.id, sa.String), User.password_hash, User.active).where(
        sa.or_(User.username_key == login, User.email_key == login)
    )


def get(user_id: UUID) -> User:
    """A user, locked until the transaction ends. NotFound where there is none."""
    user = db.session.get(User, user_id, with_for_update=True)
    if user is None:
        raise NotFound("There is no such user.")
    return user


def named(username: str) -> User:
    """The user of a name, locked until the transaction ends."""
    key = folded(username)
    user = db.session.scalar(sa.select(User).where(User.username_key == key).with_for_update())
    if user is None:
        raise NotFound(f"There is no user named {username!r}.")
    return user


def everybody(role: Role | None = None) -> Sequence[User]:
    """All users, or those of a role, by name."""
    users = sa.select(User).order_by(User.sort_key, User.id)
    return db.session.scalars(users if role is None else users.where(User.role == role)).all()


def change_email(user: User, email: str, now: datetime) -> bool:
    """Give a user an address, which is to be confirmed, and say whether it is another. Conflict where it is taken."""
    if email == user.email:
        return False
    user.email, user.email_key, user.updated_at = email, folded(email), now
    user.email_confirmed, user.confirmation_id = False, None
    constraints.flush()
    return True


def set_confirmed(user: User, confirmed: bool, now: datetime) -> None:
    """Note whether a user's address is theirs; no mail that was sent before can say so any more."""
    if user.email_confirmed != confirmed:
        user.email_confirmed, user.confirmation_id, user.updated_at = confirmed, None, now


def set_preferences(user: User, wanted: Mapping[str, bool], now: datetime) -> None:
    """Note which mails a user wants, by the names of the columns."""
    for name, value in wanted.items():
        if getattr(user, name) != value:
            setattr(user, name, value)
            user.updated_at = now


def set_password(user: User, password_hash: str, now: datetime, but: UUID | None = None) -> None:
    """Give a user another password, and end what was begun with the old one, but for one sign-in."""
    user.password_hash, user.updated_at = password_hash, now
    sign_ins.end_all(user.id, now, but)


def change(user_id: UUID, fields: dict[str, Any], now: datetime) -> bool:
    """Change a user's role, or whether they may sign in, and tell if that was new. Conflict if no admin were left."""
    admins = _admins()
    user = get(user_id)
    if "email_confirmed" in fields:
        set_confirmed(user, fields["email_confirmed"], now)
    role, active = fields.get("role", user.role), fields.get("active", user.active)
    if (role, active) == (user.role, user.active):
        return False
    if admins == {user_id} and not (role is Role.ADMIN and active):
        raise LastAdmin
    user.role, user.active, user.updated_at = role, active, now
    sign_ins.end_all(user_id, now)
    return True


def _admins() -> set[UUID]:
    """The admins, locked: of two who leave at the same moment the second has to see that the first has left."""
    is_admin = sa.and_(User.role == Role.ADMIN, User.active)
    return set(db.session.scalars(sa.select(User.id).where(is_admin).order_by(User.id).with_for_update()))


def login_key(login: str) -> str:
    """A name or an address as a login brings it, as it is compared with what is stored."""
    if "@" in login:
        with suppress(Invalid):
            login = checked_email(login)
    return folded(login)
