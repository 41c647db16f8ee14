"""Sets alerts off: takes the changes of offers to the alerts that watch them. The caller owns the transaction."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db
from aggregator.models import Alert, AlertKind, AlertState, ChangeKind, Channel, Event, Product
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.services import alert_history, alert_watches, price_reads, webhooks
from aggregator.services.alert_history import Answers, Question
from aggregator.services.alert_rules import Movement, Past, Watch, catch_up, goes_off, lacks_extreme
from aggregator.services.alert_watches import Concern, Watches, state, store, watching
from aggregator.services.changes import Recorded
from aggregator.services.outbox import Message

TEXTS = {
    AlertKind.BELOW: "The price is at your target, or below it.",
    AlertKind.CHANGE: "The price has moved as far as you wanted to know.",
    AlertKind.ANY_CHANGE: "The price has changed.",
    AlertKind.NEW_LOW: "The price is lower than it was before.",
    AlertKind.NEW_HIGH: "The price is higher than it was before.",
    AlertKind.BACK_IN_STOCK: "It is to be had again.",
    AlertKind.SOLD_OUT: "It is sold out.",
    AlertKind.CHEAPEST_OFFER: "Another offer is the cheapest now.",
}
Fired = list[tuple[Watch, Movement]]


def set_off(changes: Sequence[Recorded], concern: Concern, currency: str) -> list[Message]:
    """What is to be told of changes, which come in their order and concern some alerts, to those whose go off."""
    _retire([change.product_id for change in changes if change.kind is ChangeKind.DELETED])
    moved = movements(changes)
    watches = watching(concern)
    with _stored(chain.from_iterable(watches.values())):
        fired = _fired(moved, watches)
    return list(_messages(fired, currency))


def set_off_late(currency: str, now: datetime, limit: int) -> tuple[int, list[Message]]:
    """How many alerts were looked at whose silence has ended, up to a limit, and what they still have to say."""
    watches = alert_watches.due(now, limit)
    with _stored(watches):
        late = [(watch, catch_up(watch, now)) for watch in watches]
    return len(watches), list(_messages([(watch, news) for watch, news in late if news], currency))


@contextmanager
def _stored(watches: Iterable[Watch]) -> Iterator[None]:
    """Write how far alerts have come inside, where that is farther than before."""
    everybody = list(watches)
    before = [state(watch) for watch in everybody]
    yield
    store([watch for watch, was in zip(everybody, before, strict=True) if state(watch) != was])


def movements(changes: Iterable[Recorded]) -> list[Movement]:
    """Those of changes that may set alerts off."""
    return [
        Movement(change.number, change.product_id, change.at, change.price_before, change.lowest_price)
        for change in changes
        if change.kind is ChangeKind.OFFERS
    ]


def _fired(movements: Sequence[Movement], watches: Watches) -> Fired:
    """The alerts that go off, in the order of the movements; what one has to say late comes at its own moment.

    What one product does is nothing to another: the history is asked for the first movements of all of them at once,
    then for their second ones, and so on.
    """
    compared = {id for id, several in watches.items() if any(w.kind is AlertKind.CHEAPEST_OFFER for w in several)}
    cheapest = alert_history.cheapest([movement for movement in movements if movement.product_id in compared])
    fired: Fired = []
    for turn in _turns([movement for movement in movements if movement.product_id in watches]):
        pairs = [(watch, movement) for movement in turn for watch in watches[movement.product_id]]
        known = alert_history.extremes({_question(*pair) for pair in pairs if lacks_extreme(*pair)})
        past = Past(partial(_answer, known), cheapest)
        for watch, movement in pairs:
            if late := catch_up(watch, movement.at):
                fired.append((watch, late))
            if goes_off(watch, movement, past):
                fired.append((watch, movement))
    return sorted(fired, key=lambda each: each[1].at)


def _turns(movements: Sequence[Movement]) -> list[list[Movement]]:
    """The first movement of each product, then the second one of each that has one, and so on."""
    turns: list[list[Movement]] = []
    seen: Counter[UUID] = Counter()
    for movement in movements:
        if seen[movement.product_id] == len(turns):
            turns.append([])
        turns[seen[movement.product_id]].append(movement)
        seen[movement.product_id] += 1
    return turns


def _question(watch: Watch, movement: Movement) -> Question:
    return Question(movement.product_id, watch.kind is AlertKind.NEW_HIGH, watch.days, movement.at)


def _answer(known: Answers, watch: Watch, movement: Movement) -> tuple[int, datetime] | None:
    return known.get(_question(watch, movement))


def _retire(product_ids: Sequence[UUID]) -> None:
    if product_ids:
        db.session.execute(sa.update(Alert).where(Alert.product_id.in_(product_ids)).values(active=False))
        states = sa.update(AlertState).where(AlertState.product_id.in_(product_ids), AlertState.due_at.is_not(None))
        db.session.execute(states.values(due_at=None))


def _messages(fired: Fired, currency: str) -> Iterable[Message]:
    names = _names({movement.product_id for _, movement in fired})
    by_webhook: dict[UUID, list[tuple[str, dict[str, Any]]]] = {}
    for watch, movement in fired:
        key = f"alert:{watch.id}:{_occasion(movement)}"
        payload = _payload(watch, movement, names.get(movement.product_id, ""), currency)
        if watch.by_mail:
            yield Message(Channel.MAIL, Event.PRICE_ALERT, watch.user_id, payload, key=key)
        if watch.by_webhook:
            by_webhook.setdefault(watch.user_id, []).append((key, payload))
    yield from webhooks.own_messages(Event.PRICE_ALERT, by_webhook)


def _occasion(movement: Movement) -> str:
    """What tells a message of an alert from all its others."""
    if movement.late:
        return f"{movement.product_id}:{movement.at.strftime(TIMESTAMP_FORMAT)}"
    return str(movement.number)


def _names(product_ids: set[UUID]) -> dict[UUID, str]:
    if not product_ids:
        return {}
    rows = db.session.execute(sa.select(Product.id, Product.name).where(Product.id.in_(product_ids)))
    return dict(rows.all())


def _payload(watch: Watch, movement: Movement, name: str, currency: str) -> dict[str, Any]:
    price, before = movement.price, movement.before
    return {
        "alert_id": str(watch.id),
        "kind": watch.kind,
        "text": TEXTS[watch.kind],
        "product_id": str(movement.product_id),
        "product_name": name,
        "price": price,
        "price_before": before,
        "change_percent": None if price is None or before is None else price_reads.percent(price - before, before),
        "currency": currency,
        "at": movement.at.strftime(TIMESTAMP_FORMAT),
    }
