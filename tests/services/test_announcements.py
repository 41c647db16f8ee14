"""Every change is announced once, whoever dies and however many are at it."""

import json
import threading
from collections import Counter
from contextlib import suppress
from datetime import timedelta

import pytest
import sqlalchemy as sa

from aggregator.clock import utcnow
from aggregator.database import db, dialect, in_transaction
from aggregator.models import AlertKind, Delivery, Event, Subscription, Webhook
from aggregator.services import announcements
from aggregator.services.changes import STEP
from tests.builders import make_alert, make_product, make_user, offer_id, stored, sync

pytestmark = pytest.mark.usefixtures("context")
EVENTS = (Event.PRODUCT_CREATED, Event.OFFERS_CHANGED, Event.PRICE_ALERT)


class Killed(BaseException):
    """What stands for a kill: nothing catches it."""


def announce(now) -> tuple[int, int]:
    return in_transaction(lambda: announcements.announce("EUR", now))


def make_webhook(now, user_id, *events: Event):
    webhook = Webhook(user_id=user_id, url="https://example.com", secret="whsec_", created_at=now, updated_at=now)

    def add() -> None:
        db.session.add(webhook)
        db.session.flush()
        db.session.add_all(Subscription(webhook_id=webhook.id, event=event) for event in events)

    in_transaction(add)
    return webhook.id


def queued(app) -> Counter:
    """What is queued, by its event and what it is about, each with how often."""
    deliveries = stored(app, Delivery)
    return Counter((str(each.event), str(each.channel), each.key) for each in deliveries)


@pytest.fixture
def a_busy_day(app, now):
    """Products that move, alerts that watch them, and webhooks that hear of everything."""
    user_id = make_user(app)
    make_webhook(now, user_id, *EVENTS)
    products = [make_product(app) for _ in range(3)]
    for product_id in products:
        sync(app, product_id, {offer_id(1): (100, 1)}, now)
        make_alert(app, user_id, product_id, AlertKind.ANY_CHANGE, by_webhook=True)
        make_alert(app, user_id, product_id, AlertKind.NEW_LOW)
    for step, price in enumerate((90, 95, 80), start=1):
        for product_id in products:
            sync(app, product_id, {offer_id(1): (price, 1)}, now + timedelta(minutes=step))
    return products


class TestAnnounce:
    def test_tells_of_each_change_once(self, app, now, a_busy_day):
        assert announcements.anything_new(utcnow())
        assert announce(now) == (12, 12 + 9 + 9 + 6)  # of offers, any change by mail and by webhook, new lows

        before = queued(app)
        assert not announcements.anything_new(utcnow())
        assert announce(now) == (0, 0)
        assert queued(app) == before

    def test_tells_webhooks_what_has_changed(self, app, now):
        webhook_id = make_webhook(now, make_user(app), Event.OFFERS_CHANGED)
        product_id = make_product(app)
        sync(app, product_id, {offer_id(1): (100, 1)}, now)
        announce(now)

        (delivery,) = stored(app, Delivery)
        payload = json.loads(delivery.payload)
        assert (delivery.event, delivery.webhook_id) == ("offers.changed", webhook_id)
        assert delivery.key == f"change:{payload['cursor'] // STEP}:{webhook_id}"
        assert payload == {
            "product_id": str(product_id),
            "at": "2026-05-04T12:30:15.250000Z",
            "cursor": payload["cursor"],
            "price_before": None,
            "lowest_price": 100,
            "offer_count": 1,
        }

    def test_tells_of_new_products(self, app, client, now):
        make_webhook(now, make_user(app), Event.PRODUCT_CREATED)
        product = client.post("/api/v1/products", json={"name": "Lamp", "description": ""}).json
        announce(now)

        assert [json.loads(each.payload)["product_id"] for each in stored(app, Delivery)] == [product["id"]]

    @pytest.mark.parametrize(
        ("limits", "at_once"),
        [
            ({"WATCHES_AT_ONCE": 4}, 2),  # of each change two alerts look at it,
            ({"WATCHES_AT_ONCE": 7}, 3),
            ({"MESSAGES_AT_ONCE": 8}, 2),  # and come to three messages, beside the one of the webhook itself
            ({"MESSAGES_AT_ONCE": 1}, 1),  # but one change has to be announced
            ({"CHANGES_AT_ONCE": 4}, 4),
            ({"ALERTS_AT_ONCE": 1}, 1),  # that are locked: as many as one change concerns
        ],
    )
    def test_reads_fewer_changes_where_there_is_much_to_tell(self, app, now, a_busy_day, monkeypatch, limits, at_once):
        for name, limit in limits.items():
            monkeypatch.setattr(announcements, name, limit)

        done = [announce(now) for _ in range(12 // at_once + 1)]

        assert [changes for changes, _ in done] == [at_once] * (12 // at_once) + [0]
        assert sum(messages for _, messages in done) == 12 + 9 + 9 + 6

    def test_knows_that_few_alerts_look_where_the_lowest_price_stays(self, app, now, a_busy_day, monkeypatch):
        while announce(now)[0]:
            pass
        monkeypatch.setattr(announcements, "WATCHES_AT_ONCE", 1)
        for step in range(4, 8):
            offers = {offer_id(1): (80, 1), offer_id(2): (90 + step, 1)}
            sync(app, a_busy_day[0], offers, now + timedelta(minutes=step))

        assert announce(now) == (4, 4)

    def test_leaves_them_to_whoever_is_at_them_already(self, app, now, a_busy_day):
        if dialect() == "sqlite":
            return  # has one writer at a time, whatever they write
        done = []

        def come_in_between() -> None:
            with app.app_context():
                done.append(announce(now))

        def announce_slowly() -> tuple[int, int]:
            told = announcements.announce("EUR", now)
            another = threading.Thread(target=come_in_between)
            another.start()
            another.join()
            return told

        announce(now)
        sync(app, a_busy_day[0], {offer_id(1): (70, 1)}, now + timedelta(minutes=9))
        assert in_transaction(announce_slowly)[0] == 1
        assert done == [(0, 0)]

    def test_killed_at_any_statement_loses_nothing_and_doubles_nothing(self, app, now, a_busy_day, monkeypatch):
        monkeypatch.setattr(announcements, "CHANGES_AT_ONCE", 4)
        statements = Counter()

        def kill_at(number: int):
            def count(*_) -> None:
                statements["seen"] += 1
                if statements["seen"] == number:
                    raise Killed

            return count

        number, died = 0, 0
        while announcements.anything_new(utcnow()):
            number += 1
            statements.clear()
            kill = kill_at(number)
            sa.event.listen(db.engine, "before_cursor_execute", kill)
            with suppress(Killed):
                announce(now)
                number = 0  # it got through: on to the next batch
            sa.event.remove(db.engine, "before_cursor_execute", kill)
            died += number > 0

        assert died > 20
        assert set(queued(app).values()) == {1}
        assert Counter(event for event, _, _ in queued(app)) == {"offers.changed": 12, "price.alert": 24}

    def test_workers_at_the_same_time_double_nothing(self, app, now, a_busy_day, monkeypatch):
        monkeypatch.setattr(announcements, "CHANGES_AT_ONCE", 1)
        done = []

        def work() -> None:
            with app.app_context():
                while announcements.anything_new(utcnow()):
                    done.append(announce(now))

        workers = [threading.Thread(target=work) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

        assert sum(changes for changes, _ in done) == 12
        assert set(queued(app).values()) == {1}
        assert Counter(event for event, _, _ in queued(app)) == {"offers.changed": 12, "price.alert": 24}
