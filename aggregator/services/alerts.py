"""Alerts: what users want to be told of prices, and the telling. The caller owns the transaction."""

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa

from aggregator.database import STAYS, db, dialect
from aggregator.errors import AlertExists, LimitReached, NotFound, ReferenceGone, ValidationFailed
from aggregator.models import Alert, AlertKind, AlertState, Category, Direction, Feed, Product
from aggregator.models.base import table_of
from aggregator.models.types import GUID
from aggregator.services import accounts, alert_watches, changes
from aggregator.sql import Rows

MAX_ALERTS = 100  # of one user
# What only some kinds have, and have to have.
BELONGS = {
    "target": {AlertKind.BELOW},
    "percent": {AlertKind.CHANGE},
    "direction": {AlertKind.CHANGE},
    "days": {AlertKind.NEW_LOW, AlertKind.NEW_HIGH},
}
NEEDS = {AlertKind.BELOW: "target", AlertKind.CHANGE: "percent"}
STATES = table_of(AlertState)
SUBJECT = ("product_id", "category_id", "kind")
PARAMETERS = ("target", "basis_points", "direction", "days")


def add(user_id: UUID, fields: Mapping[str, Any], now: datetime) -> UUID:
    """A new alert, ready for what comes next. Invalid for a product that there is not.

    Conflict for too many, and for one that waits for the same as another one.
    """
    _check(fields["kind"], fields)
    accounts.get(user_id)  # locks: two requests at once must not both find room for one
    if (db.session.scalar(sa.select(sa.func.count()).where(Alert.user_id == user_id)) or 0) >= MAX_ALERTS:
        raise LimitReached(f"You have {MAX_ALERTS} alerts already; delete one first.")
    _check_subject(fields.get("product_id"), fields.get("category_id"))
    alert = Alert(id=uuid4(), user_id=user_id, since_number=0, created_at=now, updated_at=now)
    if fields["kind"] is AlertKind.CHANGE:
        alert.direction = Direction.BOTH
    _set(alert, fields)
    _check_new(alert)
    _begin(alert)
    return alert.id


def change(user_id: UUID, alert_id: UUID, fields: Mapping[str, Any], now: datetime) -> None:
    """Edit an alert of a user. One that waits for something else from now on begins anew, as if it had just been made.

    NotFound if there is none; Conflict if there is another one that waits for the same.
    """
    accounts.get(user_id)
    alert = _of(user_id, alert_id)
    _check(alert.kind, fields, complete=False)
    changed = _set(alert, fields)
    if not changed:
        return
    alert.updated_at = now
    if changed & set(PARAMETERS):
        _check_new(alert)
    if changed & {*PARAMETERS, "active"}:
        _begin(alert)
    elif "cooldown_seconds" in changed:
        alert_watches.look_again(alert.id, now)


def remove(user_id: UUID, alert_id: UUID) -> None:
    """Delete an alert of a user. NotFound if there is none."""
    db.session.delete(_of(user_id, alert_id))


def _check_subject(product_id: UUID | None, category_id: UUID | None) -> None:
    """Return if there is what an alert is to watch, a product or a category; it stays until the transaction ends."""
    if (product_id is None) == (category_id is None):
        raise ValidationFailed("An alert watches one product or one category: product_id, or category_id.")
    if product_id is not None and db.session.get(Feed, product_id, with_for_update=STAYS) is None:
        raise ReferenceGone(errors={"json": {"product_id": ["There is no such product."]}})
    if category_id is not None and db.session.get(Category, category_id, with_for_update=STAYS) is None:
        raise ReferenceGone(errors={"json": {"category_id": ["There is no such category."]}})


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
        raise ValidationFailed(errors={"json": errors})


def _set(alert: Alert, fields: Mapping[str, Any]) -> set[str]:
    """Give an alert these fields, and return the names of its columns that are others now."""
    values = {name: value for name, value in fields.items() if name != "percent"}
    if "percent" in fields:
        values["basis_points"] = round(fields["percent"] * 100)
    changed = {name for name, value in values.items() if getattr(alert, name) != value}
    for name in changed:
        setattr(alert, name, values[name])
    if not (alert.by_mail or alert.by_webhook):
        raise ValidationFailed("Set by_mail, by_webhook or both.")
    return changed


def _check_new(alert: Alert) -> None:
    """Return if its user has no other alert that waits for the same."""
    same = [getattr(Alert, name).is_not_distinct_from(getattr(alert, name)) for name in (*SUBJECT, *PARAMETERS)]
    with db.session.no_autoflush:
        found = sa.select(Alert.id).where(Alert.user_id == alert.user_id, Alert.id != alert.id, *same).limit(1)
        if db.session.scalar(found) is not None:
            raise AlertExists


def _begin(alert: Alert) -> None:
    """Have an alert see what comes from now on, and forget what it has seen."""
    db.session.add(alert)
    db.session.flush()
    db.session.execute(sa.delete(AlertState).where(AlertState.alert_id == alert.id))
    alert.since_number = changes.last_number()


def forget_in_categories(product_ids: Collection[UUID]) -> None:
    """Have alerts of categories begin anew with products that are in another category now."""
    rows, statement = _forget_products(dialect())
    if product_ids:
        db.session.connection().execute(statement, rows.parameters([str(id) for id in product_ids]))


def forget_under(category_id: UUID) -> None:
    """Have alerts of categories begin anew with all products of a category, and of its parts, that has moved."""
    parts = sa.select(Category.id).where(Category.id == category_id).cte("parts", recursive=True)
    parts = parts.union_all(sa.select(Category.id).where(Category.parent_id == parts.c.id))
    products = sa.select(Product.id).where(Product.category_id.in_(sa.select(parts.c.id)))
    db.session.execute(_forget(products))


@cache
def _forget_products(dialect: str) -> tuple[Rows, sa.Executable]:
    rows = Rows(dialect, id=GUID())
    return rows, _forget(sa.select(rows.columns.id))


def _forget(product_ids: sa.Select[Any]) -> sa.Delete:
    of_categories = sa.exists().where(Alert.id == STATES.c.alert_id, Alert.category_id.is_not(None))
    return sa.delete(STATES).where(STATES.c.product_id.in_(product_ids), of_categories)
