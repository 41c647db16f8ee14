"""Webhooks and what was sent to them, as their users read it."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.errors import NotFound
from aggregator.models import Delivery, DeliveryStatus, Subscription, Webhook
from aggregator.models.base import table_of
from aggregator.reading import read
from aggregator.services import listing
from aggregator.services.list_queries import Listing
from aggregator.services.listing import Page
from aggregator.services.webhooks import is_there
from aggregator.sql import (
    Select,
    id_parameter,
    in_code_points,
    json_array,
    json_bool,
    json_object,
    json_text,
    json_time,
)


def webhook_json() -> json_object:
    """A webhook as JSON, without its secret."""
    return json_object(
        {
            "id": Webhook.id,
            "url": Webhook.url,
            "events": json_array(_events()),
            "enabled": json_bool(Webhook.enabled),
            "disabled_reason": Webhook.disabled_reason,
            "failing_since": json_time(Webhook.failing_since),
            "paused_until": json_time(Webhook.paused_until),
            "old_secret_until": json_time(Webhook.old_secret_until),
            "created_at": json_time(Webhook.created_at),
            "updated_at": json_time(Webhook.updated_at),
        }
    )


def _events() -> Select:
    event = sa.cast(Subscription.event, sa.String)
    quote: sa.ColumnElement[str] = sa.literal_column("'\"'")
    quoted = quote + event + quote  # no name of an event needs escaping
    own = (
        sa.select(json_text(quoted).label("event"))
        .where(Subscription.webhook_id == Webhook.id)
        .order_by(in_code_points(event))
    )
    return own.correlate(Webhook)


def delivery_json(with_data: bool = False) -> json_object:
    """A delivery as JSON; with or without what was sent."""
    next_attempt_at = sa.case((Delivery.status == DeliveryStatus.PENDING, Delivery.due_at))
    return json_object(
        {
            "id": Delivery.id,
            "webhook_id": Delivery.webhook_id,
            "event": Delivery.event,
            "status": Delivery.status,
            "attempts": Delivery.attempts,
            "status_code": Delivery.status_code,
            "error": Delivery.error,
            "created_at": json_time(Delivery.created_at),
            "next_attempt_at": json_time(next_attempt_at),
            "done_at": json_time(Delivery.done_at),
        }
        | ({"data": json_text(Delivery.payload)} if with_data else {})
    )


WEBHOOKS = Listing(
    source=table_of(Webhook),
    document=webhook_json,
    columns={"created_at": Webhook.created_at},
    tie=Webhook.id,
    default_sort="created_at",
    filters={"user_id": Webhook.user_id == id_parameter("user_id")},
    always=(is_there(),),
)
DELIVERIES = Listing(
    source=table_of(Delivery),
    document=delivery_json,
    columns={"created_at": Delivery.created_at},
    tie=Delivery.id,
    default_sort="-created_at",
    filters={
        "webhook_id": Delivery.webhook_id == id_parameter("webhook_id"),
        "status": sa.cast(Delivery.status, sa.String) == sa.bindparam("status", type_=sa.String),
    },
)


def page(user_id: UUID, filters: Mapping[str, Any], **position: Any) -> Page:
    """A page of a user's webhooks."""
    return listing.page(WEBHOOKS, {**filters, "user_id": str(user_id)}, **position)


def find(user_id: UUID, webhook_id: UUID) -> str:
    """A webhook of a user. NotFound where they have none of that id."""
    rows = read(_webhook, user=str(user_id), id=str(webhook_id))
    if not rows:
        raise NotFound("There is no such webhook.")
    return str(rows[0][0])


def find_with_secret(user_id: UUID, webhook_id: UUID, secret: str) -> str:
    """The same with its secret, which is new and plain here only: the database has it encrypted."""
    return json.dumps(json.loads(find(user_id, webhook_id)) | {"secret": secret})


def _webhook() -> Select:
    return sa.select(sa.cast(webhook_json(), sa.Text)).where(
        Webhook.id == id_parameter("id"), Webhook.user_id == id_parameter("user"), is_there()
    )


def deliveries(user_id: UUID, webhook_id: UUID, filters: Mapping[str, Any], **position: Any) -> Page:
    """A page of what was sent, or is to be sent, to a webhook of a user."""
    find(user_id, webhook_id)
    filters = {name: str(value) for name, value in filters.items()}
    return listing.page(DELIVERIES, filters | {"webhook_id": str(webhook_id)}, **position)


def delivery(user_id: UUID, webhook_id: UUID, delivery_id: UUID) -> str:
    """A delivery to a webhook of a user, with its data. NotFound where there is none of that id."""
    rows = read(_delivery, user=str(user_id), webhook=str(webhook_id), id=str(delivery_id))
    if not rows:
        raise NotFound("There is no such delivery.")
    return str(rows[0][0])


def _delivery() -> Select:
    return (
        sa.select(sa.cast(delivery_json(with_data=True), sa.Text))
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(
            Delivery.id == id_parameter("id"),
            Delivery.webhook_id == id_parameter("webhook"),
            Webhook.user_id == id_parameter("user"),
            is_there(),
        )
    )
