"""Tells the outside what has changed: reads the changes in their order, and queues what is to be told of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from aggregator.database import db
from aggregator.models import ChangeKind, Event, Subscription, User, Webhook
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.services import alert_firing, alert_watches, changes, outbox, webhooks
from aggregator.services.alert_watches import Concern, concern_of
from aggregator.services.changes import Recorded
from aggregator.services.outbox import Message

READER = "announcements"
# Of one transaction. It holds what it has locked, and on PostgreSQL each of its statements has ten seconds.
CHANGES_AT_ONCE = 500
WATCHES_AT_ONCE = MESSAGES_AT_ONCE = 5_000
ALERTS_AT_ONCE = 4 * WATCHES_AT_ONCE  # locked: some of them may be left for the next transaction
EVENTS = {ChangeKind.CREATED: Event.PRODUCT_CREATED, ChangeKind.OFFERS: Event.OFFERS_CHANGED}


def anything_new(now: datetime) -> bool:
    """Whether there is a change that has not been announced, or an alert's silence has ended in which it saw one."""
    return changes.anything_unread(READER) or alert_watches.anything_due(now)


def announce(currency: str, now: datetime) -> tuple[int, int]:
    """Queue what is to be told of the next changes: how many of them there were, and how many messages.

    All of it is one transaction. Whoever dies in the middle has read nothing and told nobody. There are none for
    whoever comes while somebody else is at it.
    """
    unread = changes.unread(READER, CHANGES_AT_ONCE)
    if not unread:
        return 0, 0
    found, concern = _as_many_as_fit(unread)
    messages = alert_firing.set_off(found, concern, currency)
    for kind, event in EVENTS.items():
        messages += _messages(event, [change for change in found if change.kind is kind])
    queued = outbox.queue(messages, now)
    changes.have_read(READER, found[-1].number)
    return len(found), queued


def announce_late(currency: str, now: datetime) -> tuple[int, int]:
    """Queue what alerts saw in their silence and is still news: how many were looked at, and how many messages.

    None while there are changes to announce: those come first, so that what is sent is still so.
    """
    if not changes.has_read_all(READER):
        return 0, 0
    looked_at, messages = alert_firing.set_off_late(currency, now, WATCHES_AT_ONCE)
    return looked_at, outbox.queue(messages, now)


def _as_many_as_fit(found: Sequence[Recorded]) -> tuple[Sequence[Recorded], Concern]:
    """The first of some changes, as many as one transaction can tell of, one at least; and the alerts they concern."""
    if len(found) == 1:
        return found, _concern_of(found)
    concern = concern_of(alert_firing.movements(found), ALERTS_AT_ONCE)
    if concern is None:
        return _as_many_as_fit(found[: len(found) // 2])
    fitting = _fitting(found, concern)
    return (found, concern) if len(fitting) == len(found) else (fitting, _concern_of(fitting))


def _concern_of(found: Sequence[Recorded]) -> Concern:
    concern = concern_of(alert_firing.movements(found))
    assert concern is not None
    return concern


def _fitting(found: Sequence[Recorded], concern: Concern) -> Sequence[Recorded]:
    loads, subscribers = concern.loads(alert_firing.movements(found)), _subscribers()
    watches = messages = 0
    for count, change in enumerate(found):
        event = EVENTS.get(change.kind)
        load = loads.get(change.number, (0, 0))
        watches, messages = watches + load[0], messages + load[1] + (subscribers.get(event, 0) if event else 0)
        if count and (watches > WATCHES_AT_ONCE or messages > MESSAGES_AT_ONCE):
            return found[:count]
    return found


def _subscribers() -> dict[Event, int]:
    """How many webhooks are told of each event."""
    each = (
        sa.select(Subscription.event, sa.func.count())
        .join(Webhook, Webhook.id == Subscription.webhook_id)
        .join(User, User.id == Webhook.user_id)
        .where(Subscription.event.in_(EVENTS.values()), Webhook.enabled, User.active)
        .group_by(Subscription.event)
    )
    return dict(db.session.execute(each).all())


def _messages(event: Event, found: Sequence[Recorded]) -> list[Message]:
    return webhooks.messages(event, ((f"change:{change.number}", _data(change)) for change in found)) if found else []


def _data(change: Recorded) -> dict[str, Any]:
    """What a webhook is told of a change; the cursor leads to it in the feed of changes."""
    told = {
        "product_id": str(change.product_id),
        "at": change.at.strftime(TIMESTAMP_FORMAT),
        "cursor": change.cursor,
    }
    if change.kind is ChangeKind.OFFERS:
        prices = {"price_before": change.price_before, "lowest_price": change.lowest_price}
        told |= {**prices, "offer_count": change.offer_count}
    return told
