"""How many mails a user gets in a day; what exceeds that comes in one mail. The caller owns the transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db
from aggregator.models import Channel, Delivery, DeliveryStatus, Event, User
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.services import outbox
from aggregator.services.mails import Day
from aggregator.services.outbox import Claimed, Message
from aggregator.sql import now_plus

TOO_MANY = "too many mails today: it comes with others in one"
LIMITED = Event.PRICE_ALERT  # of orders there is a mail each, and of a day one
COLLECTED_FOR = timedelta(seconds=60)  # what comes in a burst is to be in one mail
SHOWN = 20


def hold_back(claimed: Sequence[Claimed], per_day: int, day: Day, now: datetime) -> list[Claimed]:
    """Those of claimed mails that may be sent today; the others are ended, and a digest is queued for them.

    The users are locked, so two workers do not both take the last that one of them may have.
    """
    by_user: dict[UUID, list[Claimed]] = defaultdict(list)
    for delivery in claimed:
        if delivery.event is LIMITED:
            by_user[delivery.user_id].append(delivery)
    if not by_user:
        return list(claimed)
    sent = _sent(by_user, day, [delivery.id for delivery in claimed])
    held: set[UUID] = set()
    for user_id, deliveries in by_user.items():
        deliveries.sort(key=lambda delivery: delivery.created_at)
        over = deliveries[max(per_day - sent.get(user_id, 0), 0) :]
        for delivery in over:
            outbox.failed(delivery, TOO_MANY, now, for_good=True)
        if over:
            _queue_digest(user_id, day, now)
        held |= {delivery.id for delivery in over}
    return [delivery for delivery in claimed if delivery.id not in held]


def _sent(user_ids: Iterable[UUID], day: Day, but: Sequence[UUID]) -> dict[UUID, int]:
    """How many mails users had on a day; those that another worker is sending just now count as sent."""
    ids = sorted(user_ids)
    db.session.execute(sa.select(User.id).where(User.id.in_(ids)).order_by(User.id).with_for_update())
    had = sa.and_(Delivery.status == DeliveryStatus.DELIVERED, Delivery.done_at >= day.began_at)
    under_way = sa.and_(Delivery.status == DeliveryStatus.PENDING, Delivery.claimed_until > now_plus(0))
    counted = (
        sa.select(Delivery.user_id, sa.func.count())
        .where(Delivery.user_id.in_(ids), Delivery.channel == Channel.MAIL, Delivery.event == LIMITED)
        .where(sa.or_(had, under_way), Delivery.id.not_in(but))
        .group_by(Delivery.user_id)
    )
    return dict(db.session.execute(counted).all())


def _queue_digest(user_id: UUID, day: Day, now: datetime) -> None:
    """Have the digest of a day sent in a minute; once that has been sent, a last one when the day is over."""
    key = f"digest:{user_id}:{day.date.isoformat()}"
    first = db.session.execute(
        sa.select(Delivery.status, Delivery.claimed_by, Delivery.done_at).where(Delivery.key == key)
    ).first()
    since, due_at = day.began_at, now + COLLECTED_FOR
    if first is not None:
        if first.status is DeliveryStatus.PENDING and first.claimed_by is None:
            return
        key, since, due_at = f"{key}:rest", first.done_at or now, max(day.ends_at, now)
    payload = {"since": since.strftime(TIMESTAMP_FORMAT), "date": day.date.isoformat()}
    outbox.queue([Message(Channel.MAIL, Event.DIGEST, user_id, payload, key=key, due_at=due_at)], now)


def digest(user_id: UUID, since: datetime) -> dict[str, Any]:
    """What a digest says: how many alerts were held back since a moment, and what the last of them were about."""
    held = sa.and_(
        Delivery.user_id == user_id,
        Delivery.channel == Channel.MAIL,
        Delivery.event == LIMITED,
        Delivery.error == TOO_MANY,
        Delivery.done_at >= since,
    )
    count = db.session.scalar(sa.select(sa.func.count()).select_from(Delivery).where(held)) or 0
    last = sa.select(Delivery.payload).where(held).order_by(Delivery.created_at.desc(), Delivery.id).limit(SHOWN)
    return {"count": count, "alerts": outbox.payloads(db.session.scalars(last))}
