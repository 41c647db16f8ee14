"""Who is signed in. The caller owns the transaction."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from uuid import UUID, uuid4

import sqlalchemy as sa
import structlog

from aggregator.clock import CLOCK
from aggregator.database import db
from aggregator.models import Role, SignIn, User
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.reading import read, read_often
from aggregator.sql import Select, id_parameter, json_time, now_plus

# Two tabs may use the same refresh token at the same moment: within so long both get the same new one.
GRACE = timedelta(seconds=10)
KEPT = timedelta(days=7)  # after they expired, for whoever has to find out what has happened
EXPIRED_AT_ONCE = 5_000

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Principal:
    """Who makes a request, and by which sign-in."""

    user_id: UUID
    role: Role
    sign_in_id: UUID


def begin(user: User, now: datetime, life: timedelta, network: str | None = None) -> SignIn:
    """Sign a user in, from a network."""
    sign_in = SignIn(id=uuid4(), user_id=user.id, generation=1, refreshed_at=now, expires_at=now + life)
    sign_in.network = _place(user.id, network)
    db.session.add(sign_in)
    return sign_in


def refresh(
    sign_in_id: UUID, user_id: UUID, generation: int, now: datetime, life: timedelta, network: str | None = None
) -> SignIn | None:
    """The sign-in with its next generation, in exchange for the last one; None where that buys nothing.

    An earlier generation has been used already, so somebody has stolen one of the two: the sign-in ends.
    """
    sign_in = db.session.get(SignIn, sign_in_id, with_for_update=True)
    if sign_in is None or sign_in.user_id != user_id or sign_in.ended_at or sign_in.expires_at <= now:
        return None
    if not db.session.scalar(sa.select(User.active).where(User.id == user_id)):
        return None
    if generation == sign_in.generation:
        sign_in.generation += 1
        sign_in.refreshed_at, sign_in.expires_at = now, now + life
        sign_in.network = _place(user_id, network) or sign_in.network
        return sign_in
    if generation == sign_in.generation - 1 and abs(now - sign_in.refreshed_at) <= GRACE:
        return sign_in
    sign_in.ended_at = now
    log.warning("refresh token reused", user_id=str(user_id), sign_in_id=str(sign_in_id))
    return None


def end(sign_in_id: UUID, now: datetime) -> None:
    """Sign out."""
    db.session.execute(sa.update(SignIn).where(SignIn.id == sign_in_id).values(ended_at=now))


def end_all(user_id: UUID, now: datetime, but: UUID | None = None) -> None:
    """Sign a user out everywhere, but for one sign-in."""
    theirs = sa.update(SignIn).where(SignIn.user_id == user_id, SignIn.ended_at.is_(None))
    db.session.execute((theirs if but is None else theirs.where(SignIn.id != but)).values(ended_at=now))


def principal(sign_in_id: UUID, user_id: UUID) -> Principal | None:
    """Who that is, with the role of this moment; None where they are signed out, or may not sign in any more."""
    found = read_often(_role, sign_in_id=str(sign_in_id), user_id=str(user_id))
    if not found:
        return None
    role, now = found[0]
    CLOCK.follow(_moment(now))
    return Principal(user_id, Role(role), sign_in_id)


def _role() -> Select:
    return (
        sa.select(sa.cast(User.role, sa.String), json_time(now_plus(0)))
        .join_from(SignIn, User, User.id == SignIn.user_id)
        .where(
            SignIn.id == id_parameter("sign_in_id"),
            User.id == id_parameter("user_id"),
            User.active,
            SignIn.ended_at.is_(None),
            SignIn.expires_at > now_plus(0),
        )
    )


def clock(sign_in_id: UUID) -> tuple[datetime, datetime]:
    """The database's clock, which utcnow() follows, and when a sign-in was last refreshed."""
    ((now, refreshed_at),) = read(_clock, sign_in_id=str(sign_in_id))
    CLOCK.follow(_moment(now))
    return _moment(now), _moment(refreshed_at) if refreshed_at else datetime.min.replace(tzinfo=UTC)


def _clock() -> Select:
    refreshed = sa.select(json_time(SignIn.refreshed_at)).where(SignIn.id == id_parameter("sign_in_id"))
    return sa.select(json_time(now_plus(0)), refreshed.scalar_subquery())


def _moment(text: str) -> datetime:
    return datetime.strptime(text, TIMESTAMP_FORMAT).replace(tzinfo=UTC)


def is_known(user_id: UUID, network: str) -> bool:
    """Whether a user has been signed in from a network, as far as sign-ins are kept."""
    return bool(read(_known, user_id=str(user_id), network=_place(user_id, network)))


def _known() -> Select:
    network = SignIn.network == sa.bindparam("network", type_=sa.String)
    return sa.select(sa.literal(1)).where(SignIn.user_id == id_parameter("user_id"), network).limit(1)


def _place(user_id: UUID, network: str | None) -> str | None:
    """A network as it is kept: enough to know it again, for this user alone."""
    return network and blake2b(f"{user_id} {network}".encode(), digest_size=16).hexdigest()


def expire(now: datetime) -> int:
    """Forget some of the sign-ins that ended long ago, up to a batch, and count them."""
    old = sa.select(SignIn.id).where(SignIn.expires_at < now - KEPT).limit(EXPIRED_AT_ONCE)
    return len(db.session.execute(sa.delete(SignIn).where(SignIn.id.in_(old)).returning(SignIn.id)).all())
