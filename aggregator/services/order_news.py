"""What is told of an order: by mail, and to the webhooks of whose order it is. The caller owns the transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from aggregator.models import Channel, Event, OrderStatus
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.services import outbox, webhooks
from aggregator.services.outbox import Message

UNPAID = "unpaid"  # why an order was cancelled
Line = Mapping[str, Any]  # product_id, product_name, quantity, unit_price


def tell_placed(order: Mapping[str, Any], lines: Sequence[Line], now: datetime) -> None:
    """Tell that an order has been placed, and what is in it."""
    items = [
        {**line, "product_id": str(line["product_id"]), "total": line["unit_price"] * line["quantity"]}
        for line in lines
    ]
    _tell(Event.ORDER_PLACED, order, 1, {"items": items}, now)


def tell_status(
    order: Mapping[str, Any], number: int, status: OrderStatus, now: datetime, reason: str | None = None
) -> None:
    """Tell that an order has taken a status, as the event of that number in its history; why, where it is not plain."""
    _tell(Event.ORDER_STATUS, order, number, {"status": status.value} | ({"reason": reason} if reason else {}), now)


def _tell(event: Event, order: Mapping[str, Any], number: int, news: Mapping[str, Any], now: datetime) -> None:
    """Queue a mail and messages; there is one of each for each event of an order, whatever happens twice."""
    user_id: UUID = order["user_id"]
    payload = {
        "order_id": str(order["id"]),
        "code": order["code"],
        "total": order["total"],
        "currency": order["currency"],
        "at": now.strftime(TIMESTAMP_FORMAT),
        **news,
    }
    key = f"order:{order['id']}:{number}"
    mail = Message(Channel.MAIL, event, user_id, payload, key=key)
    outbox.queue([mail, *webhooks.messages(event, [(key, payload)], user_id)], now)
