"""What is to leave the house: queued with what causes it, claimed, delivered, and kept for a while as a log."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from aggregator.clients.webhooks import MAX_RETRY_AFTER
from aggregator.database import database_now, db, dialect, once
from aggregator.models import Channel, Delivery, DeliveryStatus, Event
from aggregator.models.base import table_of
from aggregator.reading import read
from aggregator.sql import Select, is_past, now_plus, upsert

DELIVERIES = table_of(Delivery)
CLAIM_SECONDS = 120.0
# Seconds between one attempt and the next; after the last one it has failed for good.
PAUSES = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0)
LONGEST_PAUSE = max(PAUSES[-1], MAX_RETRY_AFTER) + 60.0
LATER_SECONDS = 60.0  # at most, until what was given back untried is due again
AT_ONCE_SECONDS = 1.0
KEPT = timedelta(days=30)
EXPIRED_AT_ONCE = 1_000
MAX_ERROR = 500


@dataclass(frozen=True)
class Message:
    """Something to be told to a user, by mail or to one of the user's webhooks."""

    channel: Channel
    event: Event
    user_id: UUID
    payload: Mapping[str, Any]
    webhook_id: UUID | None = None
    key: str | None = None  # of two messages with the same one, only the first is delivered
    due_at: datetime | None = None  # else at once


@dataclass(slots=True)
class Claimed:
    """A delivery that is ours to attempt until the claim runs out."""

    claim: str
    id: UUID
    event: Event
    user_id: UUID
    webhook_id: UUID | None
    payload: Any
    attempts: int  # with this one
    created_at: datetime


def queue(messages: Sequence[Message], now: datetime) -> int:
    """Have messages delivered as soon as the transaction is committed, and count those that were new."""
    due_at = database_now()
    payloads = {id(message.payload): message.payload for message in messages}  # several webhooks are told the same
    texts = {key: json.dumps(payload, separators=(",", ":")) for key, payload in payloads.items()}
    rows = [
        {
            "id": uuid4(),
            "key": message.key,
            "channel": message.channel,
            "event": message.event,
            "user_id": message.user_id,
            "webhook_id": message.webhook_id,
            "payload": texts[id(message.payload)],
            "status": DeliveryStatus.PENDING,
            "attempts": 0,
            "due_at": message.due_at or due_at,
            "created_at": now,
        }
        for message in messages
    ]
    insert = upsert(DELIVERIES, dialect()).on_conflict_do_nothing(index_elements=["key"])
    return len(db.session.execute(insert.returning(DELIVERIES.c.id), rows).all()) if rows else 0


def anything_due(channel: Channel) -> bool:
    """Whether a delivery is due that nobody is attempting."""
    return bool(read(_due, channel))


def _due(channel: Channel) -> Select:
    return sa.select(sa.literal(1)).select_from(Delivery).where(_is_due(channel)).limit(1)


def _is_due(channel: Channel) -> sa.ColumnElement[bool]:
    return sa.and_(
        Delivery.status == DeliveryStatus.PENDING,
        Delivery.channel == channel,
        sa.or_(*(Delivery.event == event for event in Event)),  # others are a newer version's, for its own workers
        sa.or_(is_past(Delivery.due_at, LONGEST_PAUSE), _is_misdated()),
        sa.or_(Delivery.claimed_until.is_(None), is_past(Delivery.claimed_until, CLAIM_SECONDS)),
    )


def _is_misdated() -> sa.ColumnElement[bool]:
    """Whether the clock has gone back since it was settled when a delivery is due, so that it would wait for long."""
    pauses = [(Delivery.attempts <= made, sa.literal(pause, sa.Float)) for made, pause in enumerate(PAUSES, 1)]
    pause = sa.case((Delivery.attempts == 0, LATER_SECONDS), *pauses, else_=PAUSES[-1])
    return sa.and_(Delivery.created_at > now_plus(AT_ONCE_SECONDS), Delivery.due_at > now_plus(pause))


def claim_due(claim: str, channel: Channel, limit: int, busy: Collection[UUID] = ()) -> list[Claimed]:
    """Up to limit deliveries that are due and that nobody is attempting, the longest due first.

    None of the busy webhooks': those have enough to do.
    """
    others = [Delivery.webhook_id.not_in(busy)] if busy else []
    due = (
        sa.select(Delivery.id)
        .where(_is_due(channel), *others)
        .order_by(Delivery.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    row = DELIVERIES.c
    claimed = db.session.execute(
        sa.update(DELIVERIES)
        .where(row.id.in_(once(due)))
        .values(claimed_by=claim, claimed_until=now_plus(CLAIM_SECONDS), attempts=row.attempts + 1)
        .returning(row.id, row.event, row.user_id, row.webhook_id, row.payload, row.attempts, row.created_at)
    )
    return [
        Claimed(claim, id, event, user_id, webhook_id, json.loads(payload), attempts, created_at)
        for id, event, user_id, webhook_id, payload, attempts, created_at in claimed
    ]


def payloads(texts: Iterable[str]) -> list[Any]:
    """What deliveries are about, of the texts that they are stored as."""
    return [json.loads(text) for text in texts]


def delivered(delivery: Claimed, now: datetime, status_code: int | None = None) -> bool:
    """Note that a delivery has arrived; false where the claim is lost."""
    return _end(delivery, status=DeliveryStatus.DELIVERED, done_at=now, status_code=status_code, error=None)


def failed(
    delivery: Claimed,
    error: str,
    now: datetime,
    status_code: int | None = None,
    for_good: bool = False,
    retry_after: float = 0.0,
) -> bool:
    """Note why an attempt has failed; the next one is due after a pause, which may have to be longer, or never.

    False where the claim is lost.
    """
    told = {"status_code": status_code, "error": error[:MAX_ERROR]}
    if for_good or delivery.attempts > len(PAUSES):
        return _end(delivery, status=DeliveryStatus.FAILED, done_at=now, **told)
    return _end(delivery, due_at=now_plus(max(PAUSES[delivery.attempts - 1], retry_after)), **told)


def release(deliveries: Sequence[Claimed], seconds: float = 0.0) -> None:
    """Give deliveries back that have not been attempted: they stay due, or are due in so many seconds."""
    row = DELIVERIES.c
    ours = [(delivery.id, delivery.claim) for delivery in deliveries]
    later = {"due_at": now_plus(seconds)} if seconds else {}
    db.session.execute(
        sa.update(DELIVERIES)
        .where(sa.tuple_(row.id, row.claimed_by).in_(ours), row.status == DeliveryStatus.PENDING)
        .values(claimed_by=None, claimed_until=None, attempts=row.attempts - 1, **later)
    )


def again(delivery_id: UUID, webhook_id: UUID) -> bool:
    """Have a webhook's delivery attempted at once; one that has ended begins anew. False where there is none."""
    row = DELIVERIES.c
    attempts = sa.case((row.status == DeliveryStatus.PENDING, row.attempts), else_=0)  # one may be under way
    due = (
        sa.update(DELIVERIES)
        .where(row.id == delivery_id, row.webhook_id == webhook_id)
        .values(status=DeliveryStatus.PENDING, attempts=attempts, due_at=now_plus(0), done_at=None)
        .returning(row.id)
    )
    return db.session.execute(due).first() is not None


def _end(delivery: Claimed, **values: Any) -> bool:
    row = DELIVERIES.c
    ended = db.session.execute(
        sa.update(DELIVERIES)
        .where(row.id == delivery.id, row.claimed_by == delivery.claim, row.status == DeliveryStatus.PENDING)
        .values(claimed_by=None, claimed_until=None, **values)
        .returning(row.id)
    )
    return ended.first() is not None


def expire(now: datetime) -> int:
    """Forget some of the deliveries that ended more than a month ago, up to a batch, and count them."""
    old = (
        sa.select(Delivery.id)
        .where(Delivery.created_at < now - KEPT, Delivery.status != DeliveryStatus.PENDING)
        .limit(EXPIRED_AT_ONCE)
    )
    return len(db.session.execute(sa.delete(Delivery).where(Delivery.id.in_(old)).returning(Delivery.id)).all())
