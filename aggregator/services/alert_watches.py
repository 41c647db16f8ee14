"""Which alerts watch which products, and how far each has come with each. The caller owns the transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, dialect
from aggregator.models import Alert, AlertKind, AlertState, Event, Product, Subscription, User, Webhook
from aggregator.models.base import table_of
from aggregator.models.types import GUID, TIMESTAMP_FORMAT
from aggregator.reading import read
from aggregator.services import categories
from aggregator.services.alert_rules import Movement, Watch
from aggregator.sql import Rows, Select, moment_parameter, upsert

ALERTS, STATES = table_of(Alert), table_of(AlertState)
WISH = ("user_id", "kind", "target", "basis_points", "direction", "days", "cooldown_seconds", "by_mail", "by_webhook")
STATE = (
    *("base_price", "fired_price", "cheapest", "extreme", "extreme_at", "fired_at"),
    *("missed_price", "due_at", "seen_price", "seen_cheapest"),
)

TAKES_MAILS = sa.and_(User.email_confirmed, User.mail_alerts).label("takes_mails")
NO_LIMIT = 2**62

Watches = dict[UUID, list[Watch]]
Load = tuple[int, int]  # what an announcement comes to at most: alerts that look at a movement, and messages


@dataclass(frozen=True)
class Subjects:
    """What movements are about: products, the categories that they are in, and which of both the lowest price moved."""

    moved: dict[UUID, bool]
    within: dict[UUID, set[UUID]]

    def parameters(self, rows: Rows) -> dict[str, Any]:
        """All of them as the rows of a statement."""
        ids, moved = zip(*self.moved.items(), strict=True)
        return rows.parameters([str(id) for id in ids], [int(each) for each in moved])


def subjects_of(movements: Sequence[Movement]) -> Subjects:
    """What movements are about."""
    moved: dict[UUID, bool] = {}
    for movement in movements:
        moved[movement.product_id] = moved.get(movement.product_id, False) or movement.has_moved
    within = _categories_of(moved)
    for product_id, category_ids in within.items():
        moved |= {id: moved.get(id, False) or moved[product_id] for id in category_ids}
    return Subjects(moved, within)


@dataclass(frozen=True)
class Concern:
    """The alerts that movements may set off, locked against edits, and what the movements are about."""

    subjects: Subjects
    alerts: Sequence[Any]

    def loads(self, movements: Sequence[Movement]) -> dict[int, Load]:
        """What the movements come to at most, by their numbers."""
        counted: dict[tuple[UUID, bool], Load] = {}
        for alert in self.alerts:
            key = (alert.product_id or alert.category_id, alert.kind is AlertKind.CHEAPEST_OFFER)
            watches, messages = counted.get(key, (0, 0))
            counted[key] = (watches + 1, messages + alert.by_mail + alert.hooks)
        return {movement.number: _load(movement, self.subjects, counted) for movement in movements}


def concern_of(movements: Sequence[Movement], at_most: int | None = None) -> Concern | None:
    """The alerts that movements concern; None where there are more than so many."""
    subjects = subjects_of(movements)
    if not subjects.moved:
        return Concern(subjects, [])
    rows, statement = _concerned(dialect())
    limit = {"limit": NO_LIMIT if at_most is None else at_most + 1}
    alerts = db.session.connection().execute(statement, subjects.parameters(rows) | limit).all()
    return None if at_most is not None and len(alerts) > at_most else Concern(subjects, alerts)


def _load(movement: Movement, subjects: Subjects, counted: Mapping[tuple[UUID, bool], Load]) -> Load:
    watches = messages = 0
    for id in (movement.product_id, *subjects.within.get(movement.product_id, ())):
        for compares in (True, False) if movement.has_moved else (True,):
            more = counted.get((id, compares), (0, 0))
            watches, messages = watches + more[0], messages + more[1]
    return watches, messages


def watching(concern: Concern) -> Watches:
    """The alerts that movements may set off, by the product, as far as they have come."""
    subjects = concern.subjects
    pairs = [
        (alert, product_id)
        for alert in concern.alerts
        for product_id in _watched(alert, subjects.within)
        if alert.kind is AlertKind.CHEAPEST_OFFER or subjects.moved[product_id]
    ]
    states = _states(pairs)
    watches: Watches = {}
    for number, (alert, product_id) in enumerate(pairs):
        watches.setdefault(product_id, []).append(_watch(alert, product_id, states.get(number, {})))
    return watches


def due(now: datetime, limit: int) -> list[Watch]:
    """Alerts that saw something in their silence, which has ended; up to a limit, and locked against edits."""
    pair = (STATES.c.alert_id, STATES.c.product_id)
    some = sa.select(*pair).where(STATES.c.due_at < now).order_by(STATES.c.due_at).limit(limit)
    pairs = db.session.execute(some).all()
    alert_columns = (ALERTS.c.id, ALERTS.c.since_number, *(ALERTS.c[name] for name in WISH))
    alerts = (
        sa.select(
            *alert_columns, sa.and_(User.active, ALERTS.c.active).label("can_be_told"), TAKES_MAILS.label("takes_mails")
        )
        .join_from(ALERTS, User, User.id == ALERTS.c.user_id)
        .where(ALERTS.c.id.in_({alert_id for alert_id, _ in pairs}))
        .order_by(ALERTS.c.id)
        .with_for_update(of=ALERTS)
    )
    known = {alert.id: alert for alert in db.session.execute(alerts)}
    found = [(known[alert_id], product_id) for alert_id, product_id in pairs if alert_id in known]
    states = _states(found)
    return [
        _watch(alert, product_id, states[number])
        for number, (alert, product_id) in enumerate(found)
        if number in states
    ]


def anything_due(now: datetime) -> bool:
    """Whether an alert's silence has ended in which it saw something."""
    return bool(read(_any_due, now=now.strftime(TIMESTAMP_FORMAT)))


def _any_due() -> Select:
    return sa.select(sa.literal(1)).select_from(AlertState).where(AlertState.due_at < moment_parameter("now")).limit(1)


def look_again(alert_id: UUID, now: datetime) -> None:
    """Have an alert whose silence is of another length looked at, where it saw something in it."""
    db.session.execute(
        sa.update(AlertState).where(AlertState.alert_id == alert_id, AlertState.due_at.is_not(None)).values(due_at=now)
    )


def _watch(alert: Any, product_id: UUID, state: Mapping[str, Any]) -> Watch:
    wish = {name: getattr(alert, name) for name in WISH}
    if not alert.can_be_told:  # it goes along all the same, so that it knows where it is when it can
        wish |= {"by_mail": False, "by_webhook": False}
    if not alert.takes_mails:
        wish["by_mail"] = False
    return Watch(id=alert.id, product_id=product_id, since_number=alert.since_number, **wish, **state)


def store(watches: Iterable[Watch]) -> None:
    """Write how far alerts have come."""
    columns = list(zip(*((str(watch.id), str(watch.product_id), *state(watch)) for watch in watches), strict=True))
    if columns:
        rows, statement = _put(dialect())
        db.session.connection().execute(statement, rows.parameters(*columns))


def state(watch: Watch) -> tuple[Any, ...]:
    """How far an alert has come."""
    return tuple(getattr(watch, name) for name in STATE)


def _categories_of(product_ids: Collection[UUID]) -> dict[UUID, set[UUID]]:
    """The categories that products are in, by the product: their own, and those that it is a part of."""
    if not product_ids:
        return {}
    rows, statement = _in_category(dialect())
    found = db.session.connection().execute(statement, rows.parameters([str(id) for id in product_ids])).all()
    if not found:
        return {}
    ancestors = categories.ancestors()
    # A category may have been deleted between the two statements.
    return {product_id: ancestors.get(category_id, set()) for product_id, category_id in found}


@cache
def _in_category(dialect: str) -> tuple[Rows, sa.Executable]:
    rows = Rows(dialect, id=GUID())
    product = table_of(Product).c
    both = sa.select(product.id, product.category_id).join_from(
        rows.table, product.id.table, product.id == rows.columns.id
    )
    return rows, both.where(product.category_id.is_not(None))


def _of_subjects(dialect: str) -> tuple[Rows, sa.ColumnElement[bool]]:
    """Products and categories, and whether an alert watches one of them and has something to look at."""
    rows = Rows(dialect, id=GUID(), moved=sa.Integer())
    subject, other = rows.columns, ALERTS.alias("other")
    has_to_look = sa.or_(subject.moved == 1, other.c.kind == AlertKind.CHEAPEST_OFFER)
    found = [
        sa.select(other.c.id).join_from(rows.table, other, column == subject.id).where(has_to_look)
        for column in (other.c.product_id, other.c.category_id)
    ]
    return rows, sa.and_(ALERTS.c.id.in_(sa.union_all(*found)), ALERTS.c.active)


@cache
def _concerned(dialect: str) -> tuple[Rows, sa.Executable]:
    rows, are_concerned = _of_subjects(dialect)
    columns = ("id", "product_id", "category_id", "since_number", *WISH)
    hooks = (
        sa.select(sa.func.count())
        .select_from(Webhook)
        .join(Subscription, Subscription.webhook_id == Webhook.id)
        .where(Webhook.user_id == ALERTS.c.user_id, Webhook.enabled, Subscription.event == Event.PRICE_ALERT)
        .correlate(ALERTS)
        .scalar_subquery()
    )
    told = sa.case((ALERTS.c.by_webhook, hooks), else_=0).label("hooks")
    return rows, (
        sa.select(
            *(ALERTS.c[name] for name in columns),
            User.active.label("can_be_told"),
            TAKES_MAILS.label("takes_mails"),
            told,
        )
        .join_from(ALERTS, User, User.id == ALERTS.c.user_id)
        .where(are_concerned)
        .order_by(ALERTS.c.id)
        .limit(sa.bindparam("limit", type_=sa.BigInteger))
        .with_for_update(of=ALERTS)
    )


def _watched(alert: Any, within: dict[UUID, set[UUID]]) -> list[UUID]:
    """The products that an alert watches, of those that something has happened to."""
    if alert.product_id is not None:
        return [alert.product_id]
    return [product_id for product_id, category_ids in within.items() if alert.category_id in category_ids]


def _states(pairs: Sequence[tuple[Any, UUID]]) -> dict[int, dict[str, Any]]:
    """How far the alerts of pairs have come, by the place of the pair."""
    if not pairs:
        return {}
    rows, statement = _known(dialect())
    columns = zip(*((n, str(alert.id), str(product_id)) for n, (alert, product_id) in enumerate(pairs)), strict=True)
    found = db.session.connection().execute(statement, rows.parameters(*columns))
    return {number: dict(zip(STATE, state, strict=True)) for number, *state in found}


@cache
def _known(dialect: str) -> tuple[Rows, sa.Executable]:
    rows = Rows(dialect, number=sa.Integer(), alert_id=GUID(), product_id=GUID())
    pair = rows.columns
    same = sa.and_(STATES.c.alert_id == pair.alert_id, STATES.c.product_id == pair.product_id)
    state = (STATES.c[name] for name in STATE)
    return rows, sa.select(pair.number, *state).join_from(rows.table, STATES, same)


@cache
def _put(dialect: str) -> tuple[Rows, sa.Executable]:
    rows = Rows(dialect, alert_id=GUID(), product_id=GUID(), **{name: STATES.c[name].type for name in STATE})
    new = rows.columns
    insert = upsert(STATES, dialect).from_select(list(new.keys()), sa.select(*new).where(sa.true()))
    return rows, insert.on_conflict_do_update(
        index_elements=["alert_id", "product_id"], set_={name: insert.excluded[name] for name in STATE}
    )
