"""Alerts: what users want to be told of prices, and the telling. The caller owns the transaction."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from aggregator.database import db
from aggregator.errors import Conflict, Invalid, NotFound
from aggregator.models import Alert, AlertKind, AlertState, Category, Direction, Feed, Offer
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
    _check_subject(fields.get("product_id"), fields.get("category_id"))
    alert = Alert(id=uuid4(), user_id=user_id, since_number=0, created_at=now)
    if fields["kind"] is AlertKind.CHANGE:
        alert.direction = Direction.BOTH
    _set(alert, fields, now)
    return alert.id


def change(user_id: UUID, alert_id: UUID, fields: Mapping[str, Any], now: datetime) -> None:
    """Edit an alert of a user; it begins anew, as if it had just been made. NotFound if there is none."""
    alert = _of(user_id, alert_id)
    _check(alert.kind, fields, complete=False)
    _set(alert, fields, now)


def remove(user_id: UUID, alert_id: UUID) -> None:
    """Delete an alert of a user. NotFound if there is none."""
    db.session.delete(_of(user_id, alert_id))


def _check_subject(product_id: UUID | None, category_id: UUID | None) -> None:
    """Return if there is what an alert is to watch: a product, or a category."""
    if (product_id is None) == (category_id is None):
        raise Invalid("An alert watches one product or one category: product_id, or category_id.")
    if product_id is not None and db.session.get(Feed, product_id) is None:
        raise Invalid(errors={"json": {"product_id": ["There is no such product."]}})
    if category_id is not None and db.session.get(Category, category_id) is None:
        raise Invalid(errors={"json": {"category_id": ["There is no such category."]}})


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
    _begin(alert, now)


def _begin(alert: Alert, now: datetime) -> None:
    """Have an alert see what comes from now on, and forget what it has seen."""
    alert.updated_at = now
    db.session.add(alert)
    db.session.flush()
    db.session.execute(sa.delete(AlertState).where(AlertState.alert_id == alert.id))
    if alert.product_id is not None and alert.kind is AlertKind.CHEAPEST_OFFER:
        cheapest = cheapest_offers([alert.product_id]).get(alert.product_id)
        db.session.add(AlertState(alert_id=alert.id, product_id=alert.product_id, cheapest=cheapest))
    alert.since_number = changes.last_number()


def cheapest_offers(product_ids: Collection[UUID]) -> dict[UUID, str]:
    """The ids of the cheapest offers in stock of products, by the product."""
    if not product_ids:
        return {}
    rank = sa.func.row_number().over(partition_by=Offer.product_id, order_by=(Offer.price, Offer.id)).label("rank")
    in_stock = sa.and_(Offer.product_id.in_(product_ids), OPEN, Offer.items_in_stock > 0)
    ranked = sa.select(Offer.product_id, Offer.upstream_id, rank).where(in_stock).subquery()
    rows = db.session.execute(sa.select(ranked.c.product_id, ranked.c.upstream_id).where(ranked.c.rank == 1))
    return dict(rows.all())
