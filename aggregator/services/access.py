"""The access token's row and the circuits: what all processes share about the offers service."""

import random
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from aggregator.clients.offers import MAX_RETRY_AFTER, AccessToken
from aggregator.database import db
from aggregator.models import Access, Circuit, Endpoint
from aggregator.secret_box import SecretBox
from aggregator.sql import is_past, now_plus

LEASE_SECONDS = 15.0  # longer than a call to /auth may take
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 60.0
TOLERATED_FAILURES = 3
MOST_JITTER = 1.2


@dataclass(frozen=True)
class Pause:
    """A call that is not to be made now; until when, and why."""

    reason: str
    retry_at: datetime


@dataclass(frozen=True)
class Blame:
    """What a call has to its name: failures in a row, and why the last one failed."""

    failures: int
    reason: str


def stored_token(fingerprint: str, box: SecretBox) -> AccessToken | None:
    """The token in the row, where it belongs to the account of fingerprint and has not expired.

    UnreadableSecret where its key is not given any more.
    """
    row = db.session.execute(
        sa.select(Access.token, Access.expires_at).where(
            Access.fingerprint == fingerprint,
            Access.token.is_not(None),
            Access.in_doubt.is_(False),
            _is_dated(),
            sa.or_(Access.expires_at.is_(None), Access.expires_at > now_plus(0)),
        )
    ).first()
    return AccessToken(box.open(row.token), row.expires_at) if row else None


def take_lease(holder: str) -> bool:
    """Whether holder is now the one to ask for a token; nobody else is for LEASE_SECONDS."""
    lease = (
        sa.update(Access)
        .where(sa.or_(Access.leased_until.is_(None), is_past(Access.leased_until, LEASE_SECONDS)))
        .values(leased_by=holder, leased_until=now_plus(LEASE_SECONDS))
    )
    return db.session.execute(lease.returning(Access.id)).first() is not None


def give_back_lease(holder: str) -> None:
    """Let others ask for a token again."""
    db.session.execute(sa.update(Access).where(Access.leased_by == holder).values(leased_by=None, leased_until=None))


def store_token(fingerprint: str, token: AccessToken, box: SecretBox) -> None:
    """Make token the one that all processes use."""
    values = {"fingerprint": fingerprint, "token": box.seal(token.value), "expires_at": token.expires_at}
    db.session.execute(sa.update(Access).values(**values, obtained_at=now_plus(0), in_doubt=False))


def prolong_token(fingerprint: str, seconds: float, box: SecretBox) -> AccessToken | None:
    """The stored token, expired or in doubt, made good for some seconds at least.

    When the service says that a token is still valid, it is this one: our clock is ahead of the service's, or
    a call was refused by mistake. One that cannot be read is as good as none.
    """
    stored = _locked()
    if stored is None or not box.can_open(stored):
        return None
    lasts = sa.and_(_is_dated(), Access.expires_at > now_plus(seconds))
    expires_at = sa.case((lasts, Access.expires_at), else_=now_plus(seconds))
    obtained_at = sa.case((_is_dated(), Access.obtained_at), else_=now_plus(0))
    row = db.session.execute(
        sa.update(Access)
        .where(Access.fingerprint == fingerprint, Access.token.is_not(None))
        .values(expires_at=expires_at, obtained_at=obtained_at, in_doubt=False)
        .returning(Access.expires_at)
    ).first()
    return AccessToken(box.open(stored), row.expires_at) if row else None


def _is_dated() -> sa.ColumnElement[bool]:
    """Whether it can be said when the token expires; if not, the clock has gone back since it was stored."""
    return sa.or_(Access.obtained_at.is_(None), Access.obtained_at <= now_plus(0))


def drop_token(useless: str, box: SecretBox) -> None:
    """Forget a token that does not work, though the service holds one for valid: it is another that we lost."""
    if _is_stored(useless, box):
        db.session.execute(sa.update(Access).values(token=None, expires_at=None))


def doubt_token(rejected: str, box: SecretBox) -> None:
    """Have the token that was refused replaced, unless another process has done so already."""
    if _is_stored(rejected, box):
        db.session.execute(sa.update(Access).values(in_doubt=True))


def _is_stored(token: str, box: SecretBox) -> bool:
    """Whether this is the token in the row, which stays the one until the transaction ends.

    SQL cannot say so: encrypted twice, a token becomes two texts.
    """
    stored = _locked()
    return stored is not None and box.can_open(stored) and box.open(stored) == token


def _locked() -> str | None:
    return db.session.scalar(sa.select(Access.token).with_for_update())


def pauses() -> dict[Endpoint, Pause]:
    """The calls that are not to be made now."""
    rows = db.session.execute(sa.select(Circuit.endpoint, Circuit.reason, Circuit.retry_at).where(is_open()))
    return {row.endpoint: Pause(row.reason or "", row.retry_at) for row in rows}


def is_open() -> sa.ColumnElement[bool]:
    """Whether a call is not to be made now."""
    return sa.not_(is_past(Circuit.retry_at, MOST_JITTER * MAX_RETRY_AFTER))


def failing() -> set[Endpoint]:
    """The calls whose circuit was opened, and of which nobody knows yet that they work again."""
    return set(db.session.scalars(sa.select(Circuit.endpoint).where(Circuit.retry_at.is_not(None))))


def blamed() -> dict[Endpoint, Blame]:
    """The calls that have failures to their name, which the next success takes away."""
    rows = db.session.execute(sa.select(Circuit.endpoint, Circuit.failures, Circuit.reason).where(Circuit.failures > 0))
    return {row.endpoint: Blame(row.failures, row.reason or "") for row in rows}


def open_circuit(endpoint: Endpoint, reason: str, seconds: float | None = None) -> bool:
    """Keep all processes from endpoint for seconds, or for longer with each failure in a row.

    True where that begins now, and false where it goes on.
    """
    circuit = db.session.get_one(Circuit, endpoint, with_for_update=True)
    begins = circuit.retry_at is None
    circuit.failures += 1
    circuit.reason = reason
    pause = seconds or min(FIRST_PAUSE * 2 ** min(circuit.failures - 1, 10), LONGEST_PAUSE)
    circuit.retry_at = now_plus(jittered(pause))
    return begins


def count_failure(endpoint: Endpoint, reason: str, retry_after: float | None) -> bool:
    """Note that one call of endpoint failed; the circuit opens after a few, or when the service says so.

    True where it opens now.
    """
    circuit = db.session.get_one(Circuit, endpoint, with_for_update=True)
    if retry_after or circuit.failures + 1 >= TOLERATED_FAILURES:
        return open_circuit(endpoint, reason, retry_after)
    circuit.failures += 1
    circuit.reason = reason
    return False


def believe(endpoints: Collection[Endpoint]) -> None:
    """Let everybody make the calls again, though they still answer what their circuits were opened for."""
    db.session.execute(sa.update(Circuit).where(Circuit.endpoint.in_(endpoints)).values(retry_at=None))


def close_circuit(endpoint: Endpoint) -> bool:
    """Note that endpoint answers well; true where its circuit was open, or had been until somebody believed it."""
    circuit = db.session.get_one(Circuit, endpoint, with_for_update=True)
    was_open = circuit.retry_at is not None or circuit.failures >= TOLERATED_FAILURES
    if circuit.failures:
        circuit.failures, circuit.reason, circuit.retry_at = 0, None, None
    return was_open


def jittered(seconds: float) -> float:
    """About seconds, and not less: processes that failed together shall not come back together."""
    return seconds * random.uniform(1, MOST_JITTER)  # noqa: S311 - jitter
