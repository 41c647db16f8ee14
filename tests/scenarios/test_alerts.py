"""Two workers, one of which is killed again and again: every alert is told once of every movement."""

import json
import signal
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import pytest

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.models import (
    Alert,
    AlertKind,
    Change,
    ChangeKind,
    Delivery,
    Event,
    Offer,
    PricePoint,
    Product,
    ProductPricePoint,
)
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.sandbox import Registration as Known
from aggregator.sandbox.v2 import ACCOUNT
from aggregator.services import announcements
from tests.builders import make_alert, make_product, make_user, stored
from tests.flows.passes import assert_sound
from tests.reference import alert_moments
from tests.scenarios.processes import environment, eventually, worker

PRODUCTS, KILLS = 30, 5
PERCENT = 1

Walk = list[tuple[datetime, Any]]  # what is so from a moment on; None for nothing


def prices(points: Iterable[tuple[datetime, int | None]]) -> Walk:
    """The prices of points, without what is the same as before; nothing is to be had before the first."""
    found: Walk = [(datetime.min, None)]
    for at, price in points:
        if price != found[-1][1]:
            found.append((at, price))
    return found


def cheapest_offers(offers: Mapping[int, Walk]) -> Walk:
    """The key of the offer with the lowest price, at each moment at which one of them has a point."""
    found: Walk = []
    for moment in sorted({at for points in offers.values() for at, _ in points}):
        now = {key: next((price for at, price in reversed(p) if at <= moment), None) for key, p in offers.items()}
        in_stock = [(price, key) for key, price in now.items() if price is not None]
        found.append((moment, min(in_stock)[1] if in_stock else None))
    return found


def expected(app) -> set[str]:
    """The keys of what has to be told, worked out from the points of the prices."""
    numbers = {(c.product_id, c.at): c.number for c in stored(app, Change, Change.kind == ChangeKind.OFFERS)}
    keys = set()
    for product in stored(app, Product):
        points = stored(app, ProductPricePoint, ProductPricePoint.product_id == product.id)
        lowest = prices((point.observed_at, point.lowest_price) for point in points)
        offers = {
            offer.id: [(p.observed_at, p.price) for p in stored(app, PricePoint, PricePoint.offer_id == offer.id)]
            for offer in stored(app, Offer, Offer.product_id == product.id)
        }
        for alert in stored(app, Alert, Alert.product_id == product.id):
            walk = cheapest_offers(offers) if alert.kind is AlertKind.CHEAPEST_OFFER else lowest
            silence = timedelta(seconds=alert.cooldown_seconds)
            moments = alert_moments(alert.kind, walk, silence, alert.target, PERCENT)
            late = {at for at in moments if (product.id, at) not in numbers}
            keys |= {f"alert:{alert.id}:{numbers[product.id, at]}" for at in moments if at not in late}
            keys |= {f"alert:{alert.id}:{product.id}:{at.strftime(TIMESTAMP_FORMAT)}" for at in late}
    return keys


@pytest.mark.evidence
def test_nothing_is_lost_and_nothing_doubled(app, sandbox, database_url, tmp_path):
    env = environment(database_url, sandbox.url) | {"SYNC_INTERVAL_SECONDS": "0.5"}
    for number in range(PRODUCTS):
        user_id = make_user(app)
        product_id = make_product(app)
        sandbox._service.products[ACCOUNT, str(product_id)] = Known(str(product_id), "", "")
        parameters = {
            AlertKind.BELOW: {"target": 50_000 + 1000 * number},
            AlertKind.CHANGE: {"percent": float(PERCENT)},
            AlertKind.NEW_LOW: {"days": 1},
        }
        for kind in AlertKind:
            silence = number % 3  # seconds
            make_alert(app, user_id, product_id, kind, cooldown_seconds=silence, **parameters.get(kind, {}))

    with ExitStack() as stack:
        steady = stack.enter_context(worker(env, tmp_path / "steady.log"))
        for kill in range(KILLS):
            victim = stack.enter_context(worker(env, tmp_path / f"victim{kill}.log"))
            for step in range(6):
                sandbox.faults = ["empty:0.4@offers"] if step == kill else []  # of some products there is nothing then
                sandbox.advance(3)
                time.sleep(0.4 + kill / 20)
            victim.signal(signal.SIGKILL)
            victim.end()
        eventually(lambda: not unannounced(app), seconds=20)
        assert steady.stop() == 0
    time.sleep(2.5)  # until nobody is silent
    announce_the_rest(app)

    deliveries = stored(app, Delivery, Delivery.event == Event.PRICE_ALERT)
    keys = [delivery.key for delivery in deliveries]
    assert set(keys) == expected(app)
    assert Counter(keys).most_common(1)[0][1] == 1
    kinds = Counter(json.loads(delivery.payload)["kind"] for delivery in deliveries)
    assert kinds.keys() == {*AlertKind}
    assert len(keys) > 10 * PRODUCTS
    assert_sound(app)


def announce_the_rest(app) -> None:
    """What a sync has written just before the worker was stopped."""
    with app.app_context():
        for step in (announcements.announce, announcements.announce_late):
            while in_transaction(lambda step=step: step("EUR", utcnow()))[0]:
                pass


def unannounced(app) -> bool:
    with app.app_context():
        return announcements.anything_new(utcnow())
