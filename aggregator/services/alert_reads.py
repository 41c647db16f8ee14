"""Alerts as their users read them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.errors import NotFound
from aggregator.models import Alert, AlertKind, AlertState
from aggregator.models.base import table_of
from aggregator.reading import read
from aggregator.services import listing
from aggregator.services.list_queries import Listing
from aggregator.services.listing import Page
from aggregator.sql import Select, id_parameter, json_bool, json_object, json_time

FIRED_AT = sa.select(sa.func.max(AlertState.fired_at)).where(AlertState.alert_id == Alert.id).scalar_subquery()


def alert_json() -> json_object:
    """An alert as JSON."""
    return json_object(
        {
            "id": Alert.id,
            "product_id": Alert.product_id,
            "category_id": Alert.category_id,
            "kind": Alert.kind,
            "target": Alert.target,
            "percent": sa.cast(Alert.basis_points, sa.Float) / 100.0,
            "direction": Alert.direction,
            "days": Alert.days,
            "cooldown_seconds": Alert.cooldown_seconds,
            "by_mail": json_bool(Alert.by_mail),
            "by_webhook": json_bool(Alert.by_webhook),
            "active": json_bool(Alert.active),
            "fired_at": json_time(FIRED_AT),
            "created_at": json_time(Alert.created_at),
            "updated_at": json_time(Alert.updated_at),
        }
    )


ALERTS = Listing(
    source=table_of(Alert),
    document=alert_json,
    columns={"created_at": Alert.created_at},
    tie=Alert.id,
    default_sort="-created_at",
    filters={
        "user_id": Alert.user_id == id_parameter("user_id"),
        "product_id": Alert.product_id == id_parameter("product_id"),
        "category_id": Alert.category_id == id_parameter("category_id"),
        "kind": sa.cast(Alert.kind, sa.String) == sa.bindparam("kind", type_=sa.String),
        "active": {True: Alert.active.is_(True), False: Alert.active.is_(False)},
    },
)


def page(user_id: UUID, filters: Mapping[str, Any], **position: Any) -> Page:
    """A page of the alerts of a user."""
    shown = {name: str(value) if isinstance(value, UUID | AlertKind) else value for name, value in filters.items()}
    return listing.page(ALERTS, {**shown, "user_id": str(user_id)}, **position)


def find(user_id: UUID, alert_id: UUID) -> str:
    """An alert of a user. NotFound if there is none."""
    rows = read(_alert, id=str(alert_id), user_id=str(user_id))
    if not rows:
        raise NotFound("There is no such alert.")
    return str(rows[0][0])


def _alert() -> Select:
    mine = sa.and_(Alert.id == id_parameter("id"), Alert.user_id == id_parameter("user_id"))
    return sa.select(sa.cast(alert_json(), sa.Text)).where(mine)
