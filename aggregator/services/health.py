"""How the whole is doing, read from the database so that every process answers alike."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from aggregator.clock import CLOCK
from aggregator.models import Access, Circuit, Feed, Product, Registration, Worker
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.reading import read
from aggregator.services.access import is_open
from aggregator.services.jobs import AT_ONCE_SECONDS, is_heard_of
from aggregator.services.stored_secrets import is_unreadable
from aggregator.sql import Select, json_time, now_plus

LATE_PENDING_SECONDS = 900.0
LATE_INTERVALS = 3  # a product whose last sync is older than so many intervals is late


@dataclass(frozen=True)
class Status:
    """What an operator wants to know at a glance; ages in seconds, None where there is nothing to age."""

    products: int
    registrations_pending: int
    registrations_refused: int
    oldest_pending_age: float | None
    oldest_sync_age: float | None
    syncs_failing: int
    rejected_rows: int  # of the latest answers about offers
    products_with_rejected_rows: int
    rejected_example: dict[str, str | None] | None  # of a row: its product_id, offer_id and the reason
    workers: int
    worker_heartbeat_age: float | None
    ahead: float | None  # by how much a moment lies ahead of the database's clock that cannot
    token: str  # valid, expired or missing; given, where it is a setting
    paused_calls: dict[str, str]  # the calls that are not made now, and why

    def problems(self, interval: float) -> list[str]:
        """What is not as it should be, in words; nothing of it makes the catalogue unready."""
        problems = [f"offers service, {call}: {reason}" for call, reason in self.paused_calls.items()]
        if not self.workers:
            problems.append("no worker is alive")
        if self.oldest_pending_age is not None and self.oldest_pending_age > LATE_PENDING_SECONDS:
            problems.append("a product has been waiting long to be registered")
        if self.syncs_failing:
            problems.append(f"products whose offers cannot be synced: {self.syncs_failing}")
        if self.registrations_refused:
            problems.append(f"products that the offers service refuses: {self.registrations_refused}")
        if self.rejected_example:
            problems.append(self._rejected())
        if self.ahead is not None:
            problems.append(f"the clock of the database has gone back: times lie {self.ahead:.0f} s ahead of it")
        if self.oldest_sync_age is not None and self.oldest_sync_age > LATE_INTERVALS * interval:
            problems.append("some offers have not been synced for long")
        return problems

    def _rejected(self) -> str:
        assert self.rejected_example
        product_id, offer_id, reason = self.rejected_example.values()
        rows, products = self.rejected_rows, self.products_with_rejected_rows
        count = f"rows of offers that were rejected: {rows}, of {products} product{'s' if products > 1 else ''}"
        return f"{count}; for example product {product_id}, offer {offer_id or 'without an id'}: {reason}"


def schema_revision() -> str | None:
    """The revision of the migration that the database is at."""
    rows = read(_revision)
    return str(rows[0][0]) if rows else None


def paused_calls() -> dict[str, str]:
    """The calls of the offers service that are not made now, and why."""
    return {endpoint: reason or "" for endpoint, reason in read(_pauses)}


def status(fingerprint: str, prefixes: tuple[str, ...]) -> Status:
    """The state of everything, of this moment; of the token, where the account is that of fingerprint.

    A token that is encrypted and begins with none of the prefixes cannot be read, and is missing.
    """
    (row,) = read(_status, prefixes, fingerprint=fingerprint)
    now = _moment(row.now)
    CLOCK.follow(now.replace(tzinfo=UTC))
    latest = max((_moment(text) for text in (row.latest_sync, row.heartbeat) if text), default=now)
    return Status(
        products=row.products,
        registrations_pending=row.pending,
        registrations_refused=row.refused,
        oldest_pending_age=_age(now, row.oldest_pending),
        oldest_sync_age=_age(now, row.oldest_sync),
        syncs_failing=row.failing,
        rejected_rows=row.rejected_rows or 0,
        products_with_rejected_rows=row.rejected_products,
        rejected_example=_example() if row.rejected_products else None,
        workers=row.workers,
        worker_heartbeat_age=_age(now, row.heartbeat),
        ahead=_ahead(now, latest),
        token=row.token,
        paused_calls=paused_calls(),
    )


def _example() -> dict[str, str | None] | None:
    """One row of an offer that was rejected."""
    rows = read(_first_rejected)
    return dict(zip(("product_id", "offer_id", "reason"), rows[0], strict=True)) if rows else None


def _first_rejected() -> Select:
    first = sa.select(sa.cast(Feed.product_id, sa.String), Feed.rejected_offer_id, Feed.rejected_reason)
    return first.where(Feed.rejected_rows > 0).order_by(Feed.product_id).limit(1)


def _moment(text: str) -> datetime:
    return datetime.strptime(text, TIMESTAMP_FORMAT)


def _age(now: datetime, since: str | None) -> float | None:
    return None if since is None else round((now - _moment(since)).total_seconds(), 1)


def _ahead(now: datetime, latest: datetime) -> float | None:
    ahead = (latest - now).total_seconds()
    return round(ahead, 1) if ahead > AT_ONCE_SECONDS else None


def _revision() -> Select:
    return sa.select(sa.column("version_num")).select_from(sa.table("alembic_version"))


def _pauses() -> Select:
    return sa.select(Circuit.endpoint, Circuit.reason).where(is_open())


def _status(prefixes: tuple[str, ...]) -> Select:
    def feeds(value: sa.ColumnElement[Any], *conditions: sa.ColumnElement[bool]) -> sa.ScalarSelect[Any]:
        return sa.select(value).select_from(Feed).where(*conditions).scalar_subquery()

    count, registered = sa.func.count(), Feed.status == Registration.REGISTERED
    pending = Feed.status == Registration.PENDING
    alive = sa.select(count).where(is_heard_of()).scalar_subquery()
    fingerprint = sa.bindparam("fingerprint", type_=sa.String)
    token = sa.case(
        (sa.or_(Access.token.is_(None), Access.in_doubt, Access.fingerprint != fingerprint), "missing"),
        (is_unreadable(Access.token, prefixes), "missing"),
        (sa.or_(Access.expires_at.is_(None), Access.expires_at > now_plus(0)), "valid"),
        else_="expired",
    )
    return sa.select(
        json_time(now_plus(0)).label("now"),
        feeds(count).label("products"),
        feeds(count, pending).label("pending"),
        feeds(count, Feed.status == Registration.REFUSED).label("refused"),
        feeds(count, Feed.failures > 0, registered).label("failing"),
        feeds(sa.func.sum(Feed.rejected_rows)).label("rejected_rows"),
        feeds(count, Feed.rejected_rows > 0).label("rejected_products"),
        feeds(json_time(sa.func.min(Product.created_at)), pending, Product.id == Feed.product_id).label(
            "oldest_pending"
        ),
        feeds(json_time(sa.func.min(sa.func.coalesce(Feed.synced_at, Feed.registered_at))), registered).label(
            "oldest_sync"
        ),
        feeds(json_time(sa.func.max(Feed.synced_at)), registered).label("latest_sync"),
        alive.label("workers"),
        sa.select(json_time(sa.func.max(Worker.beat_at))).scalar_subquery().label("heartbeat"),
        sa.select(token).scalar_subquery().label("token"),
    )
