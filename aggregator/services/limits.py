"""Counts tries in the database, which all processes share."""

from datetime import datetime, timedelta

import sqlalchemy as sa

from aggregator.database import database_now, db, dialect
from aggregator.models import RateLimit
from aggregator.models.base import table_of
from aggregator.sql import upsert
from aggregator.sql.pieces import WAITED_SECONDS

EXPIRED_AT_ONCE = 5_000


def hit(key: str, seconds: float) -> tuple[int, float]:
    """Count a try; the tries since the window began, and the seconds that are left of it."""
    now = database_now()
    limits = table_of(RateLimit)
    insert = upsert(limits, dialect()).values(key=key, tries=1, expires_at=now + timedelta(seconds=seconds))
    # A window that ends too late was begun before the clock went back. One that ends a little later than a new one
    # would is that of a transaction which began after this one, and got the row first.
    latest = now + timedelta(seconds=seconds + WAITED_SECONDS)
    is_over = sa.or_(limits.c.expires_at <= now, limits.c.expires_at > latest)
    counted = insert.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "tries": sa.case((is_over, 1), else_=limits.c.tries + 1),
            "expires_at": sa.case((is_over, insert.excluded.expires_at), else_=limits.c.expires_at),
        },
    ).returning(limits.c.tries, limits.c.expires_at)
    tries, expires_at = db.session.execute(counted).one()
    return tries, (expires_at - now).total_seconds()


def forget(key: str) -> None:
    """Begin a new window with the next try."""
    db.session.execute(sa.delete(RateLimit).where(RateLimit.key == key))


def expire(now: datetime) -> int:
    """Forget some of the windows that are over, up to a batch, and count them."""
    is_over = RateLimit.expires_at < now
    over = sa.select(RateLimit.key).where(is_over).limit(EXPIRED_AT_ONCE)
    # Looked at again, because a try may have begun the window anew while this waited for the row.
    expired = sa.delete(RateLimit).where(RateLimit.key.in_(over), is_over)
    return len(db.session.execute(expired.returning(RateLimit.key)).all())
