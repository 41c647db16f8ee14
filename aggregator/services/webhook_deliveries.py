"""Sending to webhooks: where a delivery goes, and what an attempt means for its webhook. The caller owns the
transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa

from aggregator.clients.webhooks import MAX_RETRY_AFTER
from aggregator.database import db
from aggregator.models import User, Webhook
from aggregator.models.types import UTCDateTime
from aggregator.secret_box import SecretBox, UnreadableSecret
from aggregator.services import outbox
from aggregator.services.outbox import Claimed
from aggregator.services.webhooks import DISABLED, end_pending
from aggregator.sql import now_plus

FAILS_AT_MOST = timedelta(days=5)
GONE = "gone"
FAILING = "failing"
NOBODYS = "user inactive"


@dataclass(frozen=True)
class Target:
    """Where to send, and with which secrets to sign, none where it cannot be read; refusal says why nothing is to be
    sent there."""

    webhook_id: UUID
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    failing: bool
    refusal: str | None
    pause: float = 0.0  # seconds for which nothing is to be sent there


@dataclass(frozen=True)
class Outcome:
    """What became of a delivery: with no error it has arrived."""

    delivery: Claimed
    url: str
    status: int | None = None
    error: str | None = None
    attempted: bool = True  # else it was not even tried, and never will be
    gone: bool = False  # the receiver wants to hear nothing any more
    retry_after: float | None = None  # seconds for which the receiver asks to be left alone


def targets(webhook_ids: Collection[UUID], now: datetime, box: SecretBox) -> dict[UUID, Target]:
    """Where the deliveries of these webhooks go."""
    rows = db.session.execute(
        sa.select(
            Webhook.id,
            Webhook.url,
            Webhook.secret,
            Webhook.old_secret,
            Webhook.old_secret_until,
            Webhook.failing_since,
            Webhook.enabled,
            User.active,
            Webhook.paused_until,
            now_plus(0),
        )
        .join(User, User.id == Webhook.user_id)
        .where(Webhook.id.in_(webhook_ids))
    )
    found = {}
    for id, url, secret, old, old_until, failing_since, enabled, active, paused_until, clock in rows:
        secrets = _opened(box, secret, old if old_until and old_until > now else None)
        refusal = (DISABLED if not enabled else None) or (NOBODYS if not active else None)
        pause = max((paused_until - clock).total_seconds(), 0.0) if paused_until else 0.0
        pause = 0.0 if pause > MAX_RETRY_AFTER else pause  # it was set before the clock went back
        found[id] = Target(id, url, secrets, failing_since is not None, refusal, pause)
    return found


def _opened(box: SecretBox, secret: str, old: str | None) -> tuple[str, ...]:
    """The secrets to sign with: none where the current one cannot be read."""
    try:
        current = box.open(secret)
    except UnreadableSecret:
        return ()
    return (current, box.open(old)) if old and box.can_open(old) else (current,)


def note(outcomes: Sequence[Outcome], now: datetime) -> list[tuple[UUID, str]]:
    """Write down what became of deliveries; which webhooks that has disabled, and why.

    Webhooks before deliveries, and both in the order of their ids: others lock them so, too.
    """
    last = {_webhook_id(outcome): outcome for outcome in outcomes if outcome.attempted}
    last |= {_webhook_id(outcome): outcome for outcome in outcomes if outcome.gone}
    _note_pauses(outcomes)
    reasons = {webhook_id: _note_health(outcome, now) for webhook_id, outcome in sorted(last.items())}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.delivery.id):
        if outcome.error is None:
            outbox.delivered(outcome.delivery, now, outcome.status)
        else:
            for_good = outcome.gone or not outcome.attempted
            pause = outcome.retry_after or 0.0
            outbox.failed(outcome.delivery, outcome.error, now, outcome.status, for_good, pause)
    disabled = [(webhook_id, reason) for webhook_id, reason in reasons.items() if reason]
    for webhook_id, _ in disabled:
        end_pending(webhook_id, now)
    return disabled


def _note_pauses(outcomes: Sequence[Outcome]) -> None:
    """Have nothing sent to receivers that ask to be left alone, unless the webhook leads somewhere else by now."""
    pauses: dict[tuple[UUID, str], float] = {}
    for outcome in outcomes:
        if outcome.retry_after:
            key = _webhook_id(outcome), outcome.url
            pauses[key] = max(pauses.get(key, 0.0), outcome.retry_after)
    for (webhook_id, url), seconds in sorted(pauses.items()):
        this = sa.update(Webhook).where(Webhook.id == webhook_id, Webhook.url == url)
        db.session.execute(this.values(paused_until=now_plus(seconds)))


def _webhook_id(outcome: Outcome) -> UUID:
    assert outcome.delivery.webhook_id is not None  # a CHECK of the table's
    return outcome.delivery.webhook_id


def _note_health(outcome: Outcome, now: datetime) -> str | None:
    """Note on the webhook how it is doing, unless it leads somewhere else by now; why it is disabled, if it is."""
    this = sa.update(Webhook).where(Webhook.id == _webhook_id(outcome), Webhook.url == outcome.url, Webhook.enabled)
    if outcome.error is None:
        db.session.execute(this.where(Webhook.failing_since.is_not(None)).values(failing_since=None))
        return None
    first = sa.func.coalesce(Webhook.failing_since, sa.literal(now, UTCDateTime()))
    since = db.session.scalar(this.values(failing_since=first).returning(Webhook.failing_since))
    if since is None:
        return None
    reason = GONE if outcome.gone else FAILING if now - since >= FAILS_AT_MOST else None
    if reason:
        db.session.execute(this.values(enabled=False, disabled_reason=reason, updated_at=now))
    return reason
