"""Two workers, one of which is killed again and again: every alert is told once of every movement."""

import signal
import time
from collections import Counter
from contextlib import ExitStack

import pytest

from aggregator.models import Alert, AlertKind, Change, ChangeKind, Delivery, Event
from aggregator.sandbox import Registration as Known
from aggregator.sandbox.v2 import ACCOUNT
from aggregator.services import announcements
from aggregator.services.alert_rules import Movement, Past, Watch, goes_off
from aggregator.services.alert_watches import WISH
from tests.builders import make_alert, make_product, make_user, stored
from tests.flows.passes import assert_sound
from tests.scenarios.processes import environment, eventually, worker

PRODUCTS, KILLS = 30, 5
NEVER_ASKED = Past(lambda *_: None, {})  # by the kinds that are in use here


def expected(app) -> set[str]:
    """The keys of what has to be told, worked out from all changes in their order."""
    told = set()
    for alert in stored(app, Alert):
        changes = stored(app, Change, Change.product_id == alert.product_id, Change.kind == ChangeKind.OFFERS)
        wish = {name: getattr(alert, name) for name in ("id", "product_id", "since_number", *WISH)}
        watch = Watch(**wish)
        for change in changes:
            move = Movement(change.number, alert.product_id, change.at, change.price_before, change.lowest_price)
            if goes_off(watch, move, NEVER_ASKED):
                told.add(f"alert:{alert.id}:{change.number}")
    return told


@pytest.mark.evidence
def test_nothing_is_lost_and_nothing_doubled(app, sandbox, database_url, tmp_path):
    env = environment(database_url, sandbox.url) | {"SYNC_INTERVAL_SECONDS": "0.5"}
    user_id = make_user(app)
    for number in range(PRODUCTS):
        product_id = make_product(app)
        sandbox._service.products[ACCOUNT, str(product_id)] = Known(str(product_id), "", "")
        kinds = (
            (AlertKind.ANY_CHANGE, {}),
            (AlertKind.BELOW, {"target": 50_000 + 1000 * number}),
            (AlertKind.CHANGE, {"percent": 5.0}),
        )
        for kind, fields in kinds:
            make_alert(app, user_id, product_id, kind, **fields)

    with ExitStack() as stack:
        steady = stack.enter_context(worker(env, tmp_path / "steady.log"))
        for kill in range(KILLS):
            victim = stack.enter_context(worker(env, tmp_path / f"victim{kill}.log"))
            for _ in range(6):
                sandbox.advance()
                time.sleep(0.4 + kill / 20)
            victim.signal(signal.SIGKILL)
            victim.end()
        eventually(lambda: not unannounced(app), seconds=20)
        assert steady.stop() == 0

    keys = [delivery.key for delivery in stored(app, Delivery, Delivery.event == Event.PRICE_ALERT)]
    assert set(keys) == expected(app)
    assert Counter(keys).most_common(1)[0][1] == 1
    assert len(keys) > 10 * PRODUCTS
    assert_sound(app)


def unannounced(app) -> bool:
    with app.app_context():
        return announcements.anything_new()
