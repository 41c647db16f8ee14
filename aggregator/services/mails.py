"""Whom mails go to, who is to get the daily one, and what is in it."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from aggregator.database import db, dialect
from aggregator.models import Channel, Delivery, Event, Feed, Product, ProductPricePoint, ToldDay, User
from aggregator.models.base import table_of
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.reading import read, read_at_length
from aggregator.services import outbox
from aggregator.services.outbox import Message
from aggregator.services.price_reads import percent
from aggregator.services.price_series import EPOCH
from aggregator.sql import Select, id_parameter, json_array, json_object, moment_parameter, upsert

DAILY_AT = time(8)
BATCH = 500
NEWS = timedelta(days=1)  # how far back the daily mail looks
SHORTLY = timedelta(minutes=10)  # longer than any transaction, and than clocks differ
SHOWN = 5  # of each kind of news

SINCE = moment_parameter("since")


@dataclass(frozen=True)
class Day:
    """A day by people's own clock."""

    date: date
    began_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Recipient:
    """Where to write to a user, and what they want to read."""

    email: str
    confirmed: bool
    confirmation_id: UUID | None  # which mail may ask for a confirmation
    alerts: bool
    daily: bool


def recipient(user_id: UUID) -> Recipient | None:
    """Where to write to a user; None where the user is not active."""
    rows = read(_recipient, user_id=str(user_id))
    if not rows:
        return None
    email, confirmed, confirmation_id, alerts, daily = rows[0]
    asked = UUID(str(confirmation_id)) if confirmation_id else None
    return Recipient(email, bool(confirmed), asked, bool(alerts), bool(daily))


def _recipient() -> Select:
    confirmation_id = sa.cast(User.confirmation_id, sa.String)
    wanted = (User.email_confirmed, confirmation_id, User.mail_alerts, User.mail_daily)
    return sa.select(User.email, *wanted).where(User.id == id_parameter("user_id"), User.active)


def day_of(now: datetime, zone: ZoneInfo) -> Day:
    """The day that it is, by people's own clock."""
    date = now.astimezone(zone).date()
    # Where clocks skip midnight or have it twice, these are the first moments that bear the dates.
    began_at, ends_at = (
        datetime.combine(each, time.min, zone).astimezone(UTC) for each in (date, date + timedelta(days=1))
    )
    return Day(date, began_at, ends_at)


def day_to_tell(now: datetime, zone: ZoneInfo) -> Day | None:
    """The day whose mail is to go out at now; None before eight in the morning."""
    return None if now.astimezone(zone).time() < DAILY_AT else day_of(now, zone)


def anybody_waits(day: Day) -> bool:
    """Whether somebody is to get the mail of a day who has not had it.

    Once everybody has been told, only those are looked at who have changed since: who has the mail keeps it, who
    registers now gets none today, and who is activated has changed.
    """
    began_at, beginning = (moment.strftime(TIMESTAMP_FORMAT) for moment in (day.began_at, EPOCH))
    date = day.date.isoformat()
    return bool(read(_somebody_waits, began_at=began_at, suffix=_suffix(day), date=date, beginning=beginning))


def _somebody_waits() -> Select:
    told = sa.select(ToldDay.everybody_by).where(ToldDay.date == sa.bindparam("date", type_=sa.String))
    changed = User.updated_at >= sa.func.coalesce(told.scalar_subquery(), moment_parameter("beginning"))
    waits = _waits(moment_parameter("began_at"), sa.bindparam("suffix", type_=sa.String))
    return sa.select(User.id).where(changed, waits).limit(1)


def note_told(day: Day, began_at: datetime) -> None:
    """Note that the mail of a day is queued for all who were to get it when somebody began to look at all users.

    Who was changed shortly before may have been committed only after the look, by a host whose clock differs.
    """
    told = upsert(table_of(ToldDay), dialect()).values(date=day.date.isoformat(), everybody_by=began_at - SHORTLY)
    new = {"everybody_by": told.excluded.everybody_by}
    db.session.execute(told.on_conflict_do_update(index_elements=["date"], set_=new))


def _waits(began_at: Any, suffix: Any) -> sa.ColumnElement[bool]:
    """Whoever registered before the day began and has not had its mail.

    Asked as a value, not as EXISTS: one look at the index of the keys for each user, however many mails are kept.
    """
    key = sa.literal("daily:") + sa.cast(User.id, sa.String) + suffix
    had = sa.select(Delivery.id).where(Delivery.key == key).scalar_subquery()
    wants = sa.and_(User.active, User.email_confirmed, User.mail_daily)
    return sa.and_(wants, User.created_at < began_at, had.is_(None))


def _suffix(day: Day) -> str:
    return f":{day.date.isoformat()}"


def queue_daily(day: Day, news: dict[str, Any], now: datetime, after: UUID | None = None) -> tuple[int, UUID | None]:
    """Queue the mail of a day for a batch of those who wait for it, and count those for whom it was new.

    Also says who was the last of the batch, for the next one to go on after; None where nobody was left.
    """
    waiting = sa.select(User.id).where(_waits(day.began_at, sa.literal(_suffix(day)))).order_by(User.id).limit(BATCH)
    users = db.session.scalars(waiting if after is None else waiting.where(User.id > after)).all()
    messages = [
        Message(Channel.MAIL, Event.DAILY, user_id, news, key=f"daily:{user_id}{_suffix(day)}") for user_id in users
    ]
    return outbox.queue(messages, now), users[-1] if users else None


def daily_news(day: Day, currency: str, now: datetime) -> dict[str, Any]:
    """What the mail of a day tells, the same for everybody: what is new, and which prices fell the most."""
    since = (now - NEWS).astimezone(UTC).strftime(TIMESTAMP_FORMAT)
    (row,) = read_at_length(_news().params(since=since))
    largest = _loaded(row["largest"])
    for drop in largest:
        drop["change_percent"] = percent(drop["price"] - drop["price_before"], drop["price_before"])
    return {
        "date": day.date.isoformat(),
        "currency": currency,
        "products": row["products"],
        "new": row["new"],
        "new_products": _loaded(row["newest"]),
        "drops": row["drops"],
        "largest_drops": largest,
    }


def _loaded(rows: Any) -> list[dict[str, Any]]:
    """What SQLite gives as text."""
    return list(json.loads(rows) if isinstance(rows, str) else rows)


def _news() -> Select:
    living, products = Product.deleted_at.is_(None), sa.select(sa.func.count()).select_from(Product)
    new, drops = sa.and_(living, Product.created_at > SINCE), _drops().c
    newest = (
        sa.select(json_object({"id": Product.id, "name": Product.name, "price": Feed.lowest_price}))
        .join(Feed, Feed.product_id == Product.id)
        .where(new)
        .order_by(Product.created_at.desc(), Product.id)
        .limit(SHOWN)
    )
    largest = (
        sa.select(
            json_object({"id": drops.id, "name": drops.name, "price": drops.price, "price_before": drops.price_before})
        )
        .order_by(sa.cast(drops.price, sa.Float) / drops.price_before, drops.sort_key, drops.id)
        .limit(SHOWN)
    )
    return sa.select(
        products.where(living).scalar_subquery().label("products"),
        products.where(new).scalar_subquery().label("new"),
        json_array(newest).label("newest"),
        sa.select(sa.func.count(drops.id)).scalar_subquery().label("drops"),
        json_array(largest).label("largest"),
    )


@cache
def _drops() -> sa.CTE:
    """The products that are to be had for less than at SINCE, then and now."""
    point = ProductPricePoint
    price_before = (
        sa.select(point.lowest_price)
        .where(point.product_id == Feed.product_id, point.observed_at <= SINCE)
        .order_by(point.observed_at.desc())
        .limit(1)
        .scalar_subquery()
    )
    both = (
        sa.select(
            Product.id,
            Product.name,
            Product.sort_key,
            Feed.lowest_price.label("price"),
            price_before.label("price_before"),
        )
        .join(Feed, Feed.product_id == Product.id)
        .where(Product.deleted_at.is_(None))
        .subquery("both")
    )
    return sa.select(both).where(both.c.price < both.c.price_before).cte("drops")
