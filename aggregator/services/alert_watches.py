"""Which alerts watch which products, and how far each has come with each. The caller owns the transaction."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, dialect
from aggregator.models import Alert, AlertKind, AlertState, Product, User
from aggregator.models.base import table_of
from aggregator.models.types import GUID
from aggregator.services import categories
from aggregator.services.alert_rules import Movement, Watch
from aggregator.sql import Rows, upsert

ALERTS, STATES = table_of(Alert), table_of(AlertState)
WISH = ("user_id", "kind", "target", "basis_points", "direction", "days", "cooldown_seconds", "by_mail", "by_webhook")
STATE = ("base_price", "fired_price", "cheapest", "extreme", "extreme_at", "fired_at")

Watches = dict[UUID, list[Watch]]


def watching(movements: Sequence[Movement]) -> Watches:
    """The alerts that movements may set off, by the product, locked against edits."""
    touched = {movement.product_id for movement in movements}
    if not touched:
        return {}
    moved = {movement.product_id for movement in movements if movement.before != movement.price}
    within = _categories_of(touched)
    alerts = _alerts(moved, touched, set().union(*within.values()))
    pairs = [
        (alert, product_id)
        for alert in alerts
        for product_id in _watched(alert, within)
        if product_id in (touched if alert.kind is AlertKind.CHEAPEST_OFFER else moved)
    ]
    states = _states(pairs)
    watches: Watches = {}
    for alert, product_id in pairs:
        wish = {name: getattr(alert, name) for name in WISH}
        if not alert.can_be_told:  # it goes along all the same, so that it knows where it is when it can
            wish |= {"by_mail": False, "by_webhook": False}
        state = states.get((alert.id, product_id), {})
        watch = Watch(id=alert.id, product_id=product_id, since_number=alert.since_number, **wish, **state)
        watches.setdefault(product_id, []).append(watch)
    return watches


def store(watches: Iterable[Watch]) -> None:
    """Write how far alerts have come."""
    columns = list(zip(*((str(watch.id), str(watch.product_id), *state(watch)) for watch in watches), strict=True))
    if columns:
        rows, statement = _put(dialect())
        db.session.connection().execute(statement, rows.parameters(*columns))


def state(watch: Watch) -> tuple[Any, ...]:
    """How far an alert has come."""
    return tuple(getattr(watch, name) for name in STATE)


def _categories_of(product_ids: Iterable[UUID]) -> dict[UUID, set[UUID]]:
    """The categories that products are in, by the product: their own, and those that it is a part of."""
    in_some = sa.and_(Product.id.in_(product_ids), Product.category_id.is_not(None))
    rows = db.session.execute(sa.select(Product.id, Product.category_id).where(in_some)).all()
    if not rows:
        return {}
    ancestors = categories.ancestors()
    return {product_id: ancestors[category_id] for product_id, category_id in rows if category_id is not None}


def _alerts(moved: set[UUID], touched: set[UUID], category_ids: set[UUID]) -> Sequence[Any]:
    compares = sa.and_(Alert.product_id.in_(touched - moved), Alert.kind == AlertKind.CHEAPEST_OFFER)
    concerned = sa.or_(Alert.product_id.in_(moved), compares, Alert.category_id.in_(category_ids))
    columns = ("id", "product_id", "category_id", "since_number", *WISH)
    return db.session.execute(
        sa.select(*(ALERTS.c[name] for name in columns), User.active.label("can_be_told"))
        .join_from(Alert, User, User.id == Alert.user_id)
        .where(concerned, Alert.active)
        .order_by(Alert.id)
        .with_for_update(of=Alert)
    ).all()


def _watched(alert: Any, within: dict[UUID, set[UUID]]) -> list[UUID]:
    """The products that an alert watches, of those that something has happened to."""
    if alert.product_id is not None:
        return [alert.product_id]
    return [product_id for product_id, category_ids in within.items() if alert.category_id in category_ids]


def _states(pairs: Sequence[tuple[Any, UUID]]) -> dict[tuple[UUID, UUID], dict[str, Any]]:
    alert_ids, product_ids = {alert.id for alert, _ in pairs}, {product_id for _, product_id in pairs}
    known = sa.and_(AlertState.alert_id.in_(alert_ids), AlertState.product_id.in_(product_ids))
    rows = db.session.execute(sa.select(STATES).where(known)).mappings()
    return {(row["alert_id"], row["product_id"]): {name: row[name] for name in STATE} for row in rows}


@cache
def _put(dialect: str) -> tuple[Rows, sa.Executable]:
    rows = Rows(dialect, alert_id=GUID(), product_id=GUID(), **{name: STATES.c[name].type for name in STATE})
    new = rows.columns
    insert = upsert(STATES, dialect).from_select(list(new.keys()), sa.select(*new).where(sa.true()))
    return rows, insert.on_conflict_do_update(
        index_elements=["alert_id", "product_id"], set_={name: insert.excluded[name] for name in STATE}
    )
