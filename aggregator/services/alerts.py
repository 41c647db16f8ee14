"""Alerts: what users want to be told of prices, and the telling. The caller owns the transaction."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from aggregator.database import db
from aggregator.errors import Conflict, Invalid, NotFound
from aggregator.models import Alert, AlertKind, Direction, Feed, Offer
from aggregator.services import accounts, changes
from aggregator.services.offer_reads import OPEN

MAX_ALERTS = 100  # of one user
# What only some kinds have, and have to have.
BELONGS = {
    "target": {AlertKind.BELOW},
    "percent": {AlertKind.CHANGE},
    "direction": {AlertKind.CHANGE},
    "days": {AlertKind.NEW_LOW, AlertKind.NEW_HIGH},
}
NEEDS = {AlertKind.BELOW: "target", AlertKind.CHANGE: "percent"}


def add(user_id: UUID, fields: Mapping[str, Any], now: datetime) -> UUID:
    """A new alert, ready for what comes next. Invalid for a product that there is not; Conflict for too many."""
    _check(fields["kind"], fields)
    accounts.get(user_id)  # locks: two requests at once must not both find room for one
    if (db.session.scalar(sa.select(sa.func.count()).where(Alert.user_id == user_id)) or 0) >= MAX_ALERTS:
        raise Conflict(f"You have {MAX_ALERTS} alerts already; delete one first.")
    if db.session.get(Feed, fields["product_id"]) is None:
        raise Invalid(errors={"json": {"product_id": ["There is no such product."]}})
    alert = Alert(id=uuid4(), user_id=user_id, created_at=now)
    if fields["kind"] is AlertKind.CHANGE:
        alert.direction = Direction.BOTH
    _set(alert, fields, now)
    db.session.add(alert)
    return alert.id


def change(user_id: UUID, alert_id: UUID, fields: Mapping[str, Any], now: datetime) -> None:
    """Edit an alert of a user; it begins anew, as if it had just been made. NotFound if there is none."""
    alert = _of(user_id, alert_id)
    _check(alert.kind, fields, complete=False)
    _set(alert, fields, now)


def remove(user_id: UUID, alert_id: UUID) -> None:
    """Delete an alert of a user. NotFound if there is none."""
    db.session.delete(_of(user_id, alert_id))


def _of(user_id: UUID, alert_id: UUID) -> Alert:
    alert = db.session.get(Alert, alert_id, with_for_update=True)
    if alert is None or alert.user_id != user_id:
        raise NotFound("There is no such alert.")
    return alert


def _check(kind: AlertKind, fields: Mapping[str, Any], complete: bool = True) -> None:
    """Return if an alert of a kind can have these fields, and has what it needs; Invalid names all that will not do."""
    errors = {name: [f"Not for {kind}."] for name, kinds in BELONGS.items() if name in fields and kind not in kinds}
    needed = NEEDS.get(kind)
    if needed and fields.get(needed) is None and (complete or needed in fields):
        errors[needed] = [f"Needed for {kind}."]
    if errors:
        raise Invalid("Some of it will not do; errors says what.", {"json": errors})


def _set(alert: Alert, fields: Mapping[str, Any], now: datetime) -> None:
    for name, value in fields.items():
        if name == "percent":
            alert.basis_points = round(value * 100)
        else:
            setattr(alert, name, value)
    if not (alert.by_mail or alert.by_webhook):
        raise Invalid("Nobody would be told: by_mail, by_webhook, or both.")
    alert.updated_at = now
    _begin(alert)


def _begin(alert: Alert) -> None:
    """Have an alert see what comes from now on, beginning with the prices as they are."""
    alert.fired_price = alert.fired_at = None
    alert.cheapest = cheapest_offer(alert.product_id)
    alert.since_number = changes.last_number()
    # Only now: what is committed with a later number can not be in it, and everything with an earlier one is.
    alert.base_price = db.session.scalar(sa.select(Feed.lowest_price).where(Feed.product_id == alert.product_id))


def cheapest_offer(product_id: UUID) -> str | None:
    """The id of the cheapest offer of a product that is in stock; None where there is none."""
    in_stock = sa.and_(Offer.product_id == product_id, OPEN, Offer.items_in_stock > 0)
    return db.session.scalar(sa.select(Offer.upstream_id).where(in_stock).order_by(Offer.price, Offer.id).limit(1))
