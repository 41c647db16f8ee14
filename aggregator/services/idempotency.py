"""Idempotency-Key: the same request sent twice is done once, and answered the same."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, dialect
from aggregator.errors import InProgress, KeyReused
from aggregator.models import IdempotencyKey
from aggregator.models.base import table_of
from aggregator.sql import upsert

KEPT = timedelta(hours=24)
EXPIRED_AT_ONCE = 5_000
# A first request that has not been answered after so long is not going to be: its process is gone.
ABANDONED = timedelta(seconds=15)


@dataclass(frozen=True)
class RequestKey:
    """A key, whose it is, and a digest of the request that came with it."""

    owner: str
    key: str
    digest: str


@dataclass(frozen=True)
class Earlier:
    """What the same request came to when it was first made."""

    resource_id: UUID
    answer: str | None  # None where the first process died before it could tell


def request_digest(method: str, path: str, body: Any) -> str:
    """Tells requests apart by what they ask for, not by how their JSON is spelled."""
    canonical = json.dumps([method, path, body], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


def begin(request: RequestKey, resource_id: UUID, now: datetime) -> Earlier | None:
    """Take the key for a request that will make resource_id, or find what it made earlier.

    Invalid where the key came with another request; InProgress where the first is still being worked on.
    """
    row = {"owner": request.owner, "key": request.key, "request_digest": request.digest}
    insert = upsert(table_of(IdempotencyKey), dialect()).values(**row, resource_id=resource_id, created_at=now)
    taken = db.session.execute(insert.on_conflict_do_nothing().returning(IdempotencyKey.key))
    if taken.first() is not None:
        return None
    found = db.session.get(IdempotencyKey, (request.owner, request.key))
    if found is None:
        raise InProgress  # the first request has just come to nothing, and this one may be made again
    if found.request_digest != request.digest:
        raise KeyReused
    if found.answer is None and timedelta(0) <= now - found.created_at < ABANDONED:
        raise InProgress
    return Earlier(found.resource_id, found.answer)


def finish(request: RequestKey, answer: str) -> None:
    """Keep the answer, to be given again."""
    db.session.execute(_where(sa.update(IdempotencyKey), request).values(answer=answer))


def forget(request: RequestKey) -> None:
    """Give the key back: the request came to nothing, and may be made again."""
    db.session.execute(_where(sa.delete(IdempotencyKey), request))


def expire(now: datetime) -> int:
    """Forget some of the keys that are older than a day, up to a batch, and count them."""
    names = sa.tuple_(IdempotencyKey.owner, IdempotencyKey.key)
    old = sa.select(IdempotencyKey.owner, IdempotencyKey.key).where(IdempotencyKey.created_at < now - KEPT)
    expired = sa.delete(IdempotencyKey).where(names.in_(old.limit(EXPIRED_AT_ONCE)))
    return len(db.session.execute(expired.returning(IdempotencyKey.key)).all())


def _where(statement: Any, request: RequestKey) -> Any:
    return statement.where(IdempotencyKey.owner == request.owner, IdempotencyKey.key == request.key)
