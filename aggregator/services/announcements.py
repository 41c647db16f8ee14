"""Tells the outside what has changed: reads the changes in their order, and queues what is to be told of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aggregator.models import ChangeKind, Event
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.services import alert_firing, changes, outbox, webhooks
from aggregator.services.changes import Recorded
from aggregator.services.outbox import Message

READER = "announcements"
CHANGES_AT_ONCE = 500
EVENTS = {ChangeKind.CREATED: Event.PRODUCT_CREATED, ChangeKind.OFFERS: Event.OFFERS_CHANGED}


def anything_new() -> bool:
    """Whether there is a change that has not been announced."""
    return changes.anything_unread(READER)


def announce(currency: str, now: datetime) -> tuple[int, int]:
    """Queue what is to be told of the next changes: how many of them there were, and how many messages.

    All of it is one transaction. Whoever dies in the middle has read nothing and told nobody.
    """
    found = changes.unread(READER, CHANGES_AT_ONCE)
    messages = alert_firing.set_off(found, currency)
    for kind, event in EVENTS.items():
        messages += _messages(event, [change for change in found if change.kind is kind])
    return len(found), outbox.queue(messages, now)


def _messages(event: Event, found: Sequence[Recorded]) -> list[Message]:
    return webhooks.messages(event, [(f"change:{change.number}", _data(change)) for change in found]) if found else []


def _data(change: Recorded) -> dict[str, Any]:
    """What a webhook is told of a change; the cursor leads to it in the feed of changes."""
    told = {
        "product_id": str(change.product_id),
        "at": change.at.strftime(TIMESTAMP_FORMAT),
        "cursor": change.number,
    }
    if change.kind is ChangeKind.OFFERS:
        prices = {"price_before": change.price_before, "lowest_price": change.lowest_price}
        told |= {**prices, "offer_count": change.offer_count}
    return told
