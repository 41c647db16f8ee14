"""Webhooks: where users want to be told of events, and of which. The caller owns the transaction."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from secrets import token_bytes
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from aggregator.clients.addresses import AddressRules
from aggregator.database import db, dialect
from aggregator.errors import LastTestPending, LimitReached, NotFound, WebhookDisabled, WebhookRefused
from aggregator.models import Channel, Delivery, DeliveryStatus, Event, Subscription, User, Webhook
from aggregator.models.outbox import URL_LENGTH
from aggregator.models.types import GUID
from aggregator.secret_box import SecretBox
from aggregator.services import accounts, outbox
from aggregator.services.outbox import Message
from aggregator.sql import Rows

MAX_WEBHOOKS = 10
OLD_SECRET_LASTS = timedelta(hours=24)
ENDED_AT_ONCE = 1_000
EXPIRED_AT_ONCE = 1_000
DISABLED = "disabled"

Told = tuple[str, Mapping[str, Any]]  # a key, and the data


def add(
    user_id: UUID, fields: Mapping[str, Any], rules: AddressRules, box: SecretBox, now: datetime
) -> tuple[UUID, str]:
    """A new webhook of a user, and its secret. Conflict where they have as many as they may have."""
    accounts.get(user_id)  # locks: two requests at once must not both find room for one
    count = db.session.scalar(sa.select(sa.func.count()).where(Webhook.user_id == user_id, is_there()))
    if count is not None and count >= MAX_WEBHOOKS:
        raise LimitReached(f"You have {MAX_WEBHOOKS} webhooks already; delete one first.")
    secret = _new_secret()
    webhook = Webhook(
        id=uuid4(),
        user_id=user_id,
        url=_checked(fields["url"], rules),
        secret=box.seal(secret),
        created_at=now,
        updated_at=now,
    )
    db.session.add(webhook)
    db.session.flush()
    _subscribe(webhook.id, fields["events"])
    return webhook.id, secret


def change(user_id: UUID, webhook_id: UUID, fields: Mapping[str, Any], rules: AddressRules, now: datetime) -> None:
    """Change where a webhook leads, what it is told of, or whether it is enabled."""
    webhook = _get(user_id, webhook_id)
    if "url" in fields and (url := _checked(fields["url"], rules)) != webhook.url:
        webhook.url, webhook.failing_since, webhook.paused_until = url, None, None
    if fields.get("enabled") and not webhook.enabled:
        webhook.enabled, webhook.disabled_reason, webhook.failing_since = True, None, None
    if fields.get("enabled") is False:
        webhook.enabled = False
        end_pending(webhook_id, now)
    if "events" in fields:
        db.session.execute(sa.delete(Subscription).where(Subscription.webhook_id == webhook_id))
        _subscribe(webhook_id, fields["events"])
    if fields:
        webhook.updated_at = now
    db.session.flush()


def remove(user_id: UUID, webhook_id: UUID, now: datetime) -> None:
    """Delete a webhook, and what is still to be sent there; its log is not seen any more, and goes bit by bit.

    There may be a hundred thousand deliveries in it.
    """
    webhook = _get(user_id, webhook_id)
    webhook.enabled, webhook.deleted_at, webhook.updated_at = False, now, now
    webhook.secret, webhook.old_secret, webhook.old_secret_until = "", None, None
    db.session.execute(sa.delete(Subscription).where(Subscription.webhook_id == webhook_id))
    db.session.flush()
    end_pending(webhook_id, now)


def expire_log(_: datetime) -> int:
    """Forget some of what was sent to deleted webhooks, up to a batch, and count it."""
    deleted = sa.select(Webhook.id).where(Webhook.deleted_at.is_not(None))
    some = sa.select(Delivery.id).where(Delivery.webhook_id.in_(deleted)).limit(EXPIRED_AT_ONCE)
    return len(db.session.execute(sa.delete(Delivery).where(Delivery.id.in_(some)).returning(Delivery.id)).all())


def expire(_: datetime) -> int:
    """Forget some of the deleted webhooks to which nothing was sent that is still known, and count them."""
    known = sa.exists().where(Delivery.webhook_id == Webhook.id)
    some = sa.select(Webhook.id).where(Webhook.deleted_at.is_not(None), ~known).limit(EXPIRED_AT_ONCE)
    return len(db.session.execute(sa.delete(Webhook).where(Webhook.id.in_(some)).returning(Webhook.id)).all())


def rotate_secret(user_id: UUID, webhook_id: UUID, box: SecretBox, now: datetime) -> str:
    """Give a webhook another secret; for a day what is sent is signed with the one before, too, if it can be read."""
    webhook = _get(user_id, webhook_id)
    if box.can_open(webhook.secret):
        webhook.old_secret, webhook.old_secret_until = box.renewed(webhook.secret), now + OLD_SECRET_LASTS
    else:
        webhook.old_secret, webhook.old_secret_until = None, None
    secret = _new_secret()
    webhook.secret, webhook.updated_at = box.seal(secret), now
    db.session.flush()
    return secret


def send_test(user_id: UUID, webhook_id: UUID, now: datetime) -> UUID:
    """Have a message sent that says nothing. Conflict while the last one is under way, or where it would not go."""
    webhook = _get(user_id, webhook_id)
    _require_enabled(webhook)
    of_this = sa.and_(Delivery.webhook_id == webhook_id, Delivery.event == Event.TEST)
    if db.session.scalar(sa.select(Delivery.id).where(of_this, Delivery.status == DeliveryStatus.PENDING).limit(1)):
        raise LastTestPending
    key = f"test:{uuid4()}"
    outbox.queue([Message(Channel.WEBHOOK, Event.TEST, user_id, {"webhook_id": str(webhook_id)}, webhook_id, key)], now)
    return db.session.execute(sa.select(Delivery.id).where(Delivery.key == key)).scalar_one()


def redeliver(user_id: UUID, webhook_id: UUID, delivery_id: UUID) -> None:
    """Have a message sent once more and, should that fail, as often as a new one; it keeps its webhook-id."""
    _require_enabled(_get(user_id, webhook_id))
    if not outbox.again(delivery_id, webhook_id):
        raise NotFound("There is no such delivery.")


def messages(event: Event, told: Iterable[Told], user_id: UUID | None = None) -> list[Message]:
    """What to queue so that each enabled webhook with a subscription is told of an event: once for each key.

    With user_id, only that user's webhooks are told. Until the transaction ends, none of them can be deleted.
    """
    subscribed = _subscribed(event)
    if user_id is not None:
        subscribed = subscribed.where(Webhook.user_id == user_id)
    found = db.session.execute(subscribed).all()
    told = list(told) if found else []  # it need not even be written down where nobody wants to know
    return [
        Message(Channel.WEBHOOK, event, owner, data, webhook_id, f"{key}:{webhook_id}")
        for webhook_id, owner in found
        for key, data in told
    ]


def own_messages(event: Event, told: Mapping[UUID, Sequence[Told]]) -> list[Message]:
    """The same where each user is told something else."""
    if not told:
        return []
    rows, statement = _subscribed_of(event, dialect())
    found = db.session.connection().execute(statement, rows.parameters([str(user_id) for user_id in told])).all()
    return [
        Message(Channel.WEBHOOK, event, owner, data, webhook_id, f"{key}:{webhook_id}")
        for webhook_id, owner in found
        for key, data in told[owner]
    ]


@cache
def _subscribed_of(event: Event, dialect: str) -> tuple[Rows, sa.Executable]:
    rows = Rows(dialect, user_id=GUID())
    return rows, _subscribed(event).where(Webhook.user_id.in_(sa.select(rows.columns.user_id)))


def _subscribed(event: Event) -> sa.Select[UUID, UUID]:
    return (
        sa.select(Webhook.id, Webhook.user_id)
        .join(Subscription, Subscription.webhook_id == Webhook.id)
        .join(User, User.id == Webhook.user_id)
        .where(Subscription.event == event, Webhook.enabled, User.active)
        .order_by(Webhook.id)
        .with_for_update(read=True, key_share=True, of=Webhook)
    )


def end_pending(webhook_id: UUID, now: datetime) -> None:
    """End what waits for a webhook that is disabled or deleted, up to a batch; the rest ends when it is due."""
    pending = (
        sa.select(Delivery.id)
        .where(Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.PENDING)
        .order_by(Delivery.id)
        .limit(ENDED_AT_ONCE)
        .with_for_update()
    )
    db.session.execute(
        sa.update(Delivery)
        .where(Delivery.id.in_(pending))
        .values(status=DeliveryStatus.FAILED, error=DISABLED, done_at=now, claimed_by=None, claimed_until=None)
        .execution_options(synchronize_session=False)
    )


def is_there() -> sa.ColumnElement[bool]:
    """Whether a webhook has not been deleted."""
    return Webhook.deleted_at.is_(None)


def _get(user_id: UUID, webhook_id: UUID) -> Webhook:
    """A webhook of a user, locked until the transaction ends. NotFound where they have none of that id."""
    webhook = db.session.scalar(
        sa.select(Webhook)
        .where(Webhook.id == webhook_id, Webhook.user_id == user_id, is_there())
        .with_for_update(key_share=True)  # what is being queued for it need not wait
    )
    if webhook is None:
        raise NotFound("There is no such webhook.")
    return webhook


def _require_enabled(webhook: Webhook) -> None:
    if not webhook.enabled:
        raise WebhookDisabled


def _checked(url: str, rules: AddressRules) -> str:
    try:
        url = rules.checked(url)
        if len(url) > URL_LENGTH:  # of a name in another script the spelling has become longer
            raise ValueError(f"Must not exceed {URL_LENGTH} characters.")
    except ValueError as error:
        raise WebhookRefused(errors={"json": {"url": [str(error)]}}) from None
    return url


def _subscribe(webhook_id: UUID, events: Sequence[str]) -> None:
    rows = [{"webhook_id": webhook_id, "event": Event(event)} for event in sorted(set(events))]
    db.session.execute(sa.insert(Subscription), rows)


def _new_secret() -> str:
    return f"whsec_{b64encode(token_bytes(32)).decode()}"
