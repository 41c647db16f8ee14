"""Sets alerts off: takes the changes of offers to the alerts that watch them. The caller owns the transaction."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db
from aggregator.models import Alert, AlertKind, ChangeKind, Channel, Event, Product
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.services import alerts, price_reads, price_series, webhooks
from aggregator.services.alert_rules import Movement, Past, Watch, goes_off
from aggregator.services.alert_watches import state, store, watching
from aggregator.services.changes import Recorded
from aggregator.services.outbox import Message
from aggregator.services.price_series import Series, microsecond

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
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


def set_off(changes: Sequence[Recorded], currency: str) -> list[Message]:
    """What is to be told of changes, which come in their order, to those whose alerts they set off."""
    _retire([change.product_id for change in changes if change.kind is ChangeKind.DELETED])
    movements = [
        Movement(change.number, change.product_id, change.at, change.price_before, change.lowest_price)
        for change in changes
        if change.kind is ChangeKind.OFFERS
    ]
    watches = watching(movements)
    everybody = list(chain.from_iterable(watches.values()))
    before = [state(watch) for watch in everybody]
    compared = {watch.product_id for watch in everybody if watch.kind is AlertKind.CHEAPEST_OFFER}
    past = Past(_extreme, alerts.cheapest_offers(compared))
    fired = [(watch, m) for m in movements for watch in watches.get(m.product_id, ()) if goes_off(watch, m, past)]
    store([watch for watch, was in zip(everybody, before, strict=True) if state(watch) != was])
    return list(_messages(fired, currency))


def _retire(product_ids: Sequence[UUID]) -> None:
    if product_ids:
        db.session.execute(sa.update(Alert).where(Alert.product_id.in_(product_ids)).values(active=False))


def _extreme(watch: Watch, movement: Movement) -> tuple[int, datetime] | None:
    """The lowest price before a movement, or the highest, as far back as an alert looks, and when it was asked."""
    highest, series = watch.kind is AlertKind.NEW_HIGH, Series.of_product(movement.product_id)
    since = EPOCH if watch.days is None else movement.at - timedelta(days=watch.days)
    begin, end = microsecond(since), microsecond(movement.at)
    found = [(begin, price_series.price_at(series, begin)), price_series.extreme(series, begin, end, highest)]
    known = [(price, at) for at, price in filter(None, found) if price is not None]
    if not known:
        return None
    price, at = (max if highest else min)(known)
    return price, price_series.moment(at)


def _messages(fired: Fired, currency: str) -> Iterable[Message]:
    names = _names({movement.product_id for _, movement in fired})
    by_webhook: dict[UUID, list[tuple[str, dict[str, Any]]]] = {}
    for watch, movement in fired:
        key = f"alert:{watch.id}:{movement.number}"
        payload = _payload(watch, movement, names.get(movement.product_id, ""), currency)
        if watch.by_mail:
            yield Message(Channel.MAIL, Event.PRICE_ALERT, watch.user_id, payload, key=key)
        if watch.by_webhook:
            by_webhook.setdefault(watch.user_id, []).append((key, payload))
    for user_id, told in by_webhook.items():
        yield from webhooks.messages(Event.PRICE_ALERT, told, user_id)


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
