"""Accounts as their users and the admins read them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.errors import NotFound
from aggregator.folding import folded
from aggregator.models import Role, User
from aggregator.models.base import table_of
from aggregator.reading import read
from aggregator.services import listing
from aggregator.services.list_queries import Listing
from aggregator.services.listing import Page
from aggregator.sql import Select, id_parameter, json_bool, json_object, json_time


def user_json() -> json_object:
    """A user as JSON, without anything that lets one sign in."""
    return json_object(
        {
            "id": User.id,
            "username": User.username,
            "email": User.email,
            "role": User.role,
            "active": json_bool(User.active),
            "email_confirmed": json_bool(User.email_confirmed),
            "mail_alerts": json_bool(User.mail_alerts),
            "mail_daily": json_bool(User.mail_daily),
            "created_at": json_time(User.created_at),
            "updated_at": json_time(User.updated_at),
        }
    )


def _contains(column: sa.SQLColumnExpression[str]) -> sa.ColumnElement[bool]:
    return column.like(sa.bindparam("q", type_=sa.String), escape="\\")  # both are folded


USERS = Listing(
    source=table_of(User),
    document=user_json,
    columns={
        "username": User.sort_key,
        "email": User.email_key,
        "created_at": User.created_at,
    },
    tie=User.id,
    default_sort="username",
    filters={
        "q": sa.or_(_contains(User.username_key), _contains(User.email_key)),
        "role": sa.cast(User.role, sa.String) == sa.bindparam("role", type_=sa.String),
        "active": {True: User.active.is_(True), False: User.active.is_(False)},
    },
)


def page(filters: Mapping[str, Any], **position: Any) -> Page:
    """A page of the users; q finds those that have it in their names or addresses."""
    filters = {name: str(value) if isinstance(value, Role) else value for name, value in filters.items()}
    if "q" in filters:
        filters["q"] = listing.containing(folded(filters["q"]))
    return listing.page(USERS, filters, **position)


def find(user_id: UUID) -> str:
    """A user. NotFound if there is none."""
    rows = read(_user, id=str(user_id))
    if not rows:
        raise NotFound("There is no such user.")
    return str(rows[0][0])


def _user() -> Select:
    return sa.select(sa.cast(user_json(), sa.Text)).where(User.id == id_parameter("id"))
