"""What a sync changes reaches the alerts that watch it."""

import json
from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask

from aggregator.database import db, in_transaction, transaction
from aggregator.models import Alert, AlertKind, AlertState, Category, Channel, Delivery, Product, User
from aggregator.services import alerts, announcements, catalog
from tests.alert_walks import IDS, SILENCE, WALKS
from tests.builders import edit, make_alert, make_product, make_user, make_webhook, offer_id, stored, sync

pytestmark = pytest.mark.usefixtures("context")
K = AlertKind
A, B = offer_id(1), offer_id(2)
DAY = 86_400


class Walk:
    """A product whose offers move, minute by minute."""

    def __init__(self, app: Flask, now, name: str = "Oak chair") -> None:
        self.app, self.now, self.product_id = app, now, make_product(app, name=name)

    def to(self, *prices: int | None, offer: str = A) -> None:
        for price in prices:
            self.offers({offer: (1, 0) if price is None else (price, 5)})

    def offers(self, offers: dict[str, tuple[int, int]]) -> None:
        self.now += timedelta(minutes=1)
        sync(self.app, self.product_id, offers, self.now)


@pytest.fixture
def walk(app, now) -> Walk:
    return Walk(app, now)


@pytest.fixture
def user_id(app) -> UUID:
    return make_user(app)


def announce(now) -> None:
    """All that there is to be announced."""
    for step in (announcements.announce, announcements.announce_late):
        while in_transaction(partial(step, "EUR", now))[0]:
            pass


def told(app, alert_id: UUID | None = None) -> list[dict]:
    """What has been queued, in the order in which it happened."""
    payloads = [json.loads(delivery.payload) for delivery in stored(app, Delivery)]
    mine = [each for each in payloads if alert_id is None or each["alert_id"] == str(alert_id)]
    return sorted(mine, key=lambda payload: payload["at"])


def prices(app, alert_id: UUID | None = None) -> list[tuple[int | None, int | None]]:
    return [(each["price_before"], each["price"]) for each in told(app, alert_id)]


class TestEveryKind:
    @pytest.mark.parametrize(
        ("kind", "fields", "expected"),
        [
            (K.BELOW, {"target": 90}, [(100, 90), (90, 80), (None, 85)]),
            (K.CHANGE, {"percent": 20.0}, [(90, 80), (85, 120)]),
            (K.CHANGE, {"percent": 20.0, "direction": "up"}, [(85, 120)]),
            (K.ANY_CHANGE, {}, [(100, 90), (90, 80), (None, 85), (85, 120)]),
            (K.NEW_LOW, {}, [(100, 90), (90, 80)]),
            (K.NEW_HIGH, {}, [(85, 120)]),
            (K.NEW_LOW, {"days": 1}, [(100, 90), (90, 80)]),
            (K.BACK_IN_STOCK, {}, [(None, 85)]),
            (K.SOLD_OUT, {}, [(80, None)]),
        ],
    )
    def test_is_told_of_what_it_waits_for(self, app, walk, user_id, kind, fields, expected):
        walk.to(100)
        make_alert(app, user_id, walk.product_id, kind, **fields)

        walk.to(90, 80, None, 85, 120)
        announce(walk.now)

        if kind is K.BELOW:  # 85 is no further low than 80
            expected = expected[:2]
        assert prices(app) == expected

    def test_a_cheapest_offer_is_told_of_when_it_is_another(self, app, walk, user_id):
        walk.offers({A: (100, 1), B: (110, 1)})
        make_alert(app, user_id, walk.product_id, K.CHEAPEST_OFFER)

        walk.offers({A: (90, 1), B: (110, 1)})
        announce(walk.now)
        assert told(app) == []
        walk.offers({A: (90, 0), B: (110, 1)})
        announce(walk.now)
        assert prices(app) == [(90, 110)]

    def test_a_cheapest_offer_is_told_of_at_the_same_price_too(self, app, walk, user_id):
        walk.offers({A: (100, 1), B: (100, 1)})
        make_alert(app, user_id, walk.product_id, K.CHEAPEST_OFFER)

        walk.offers({A: (101, 1), B: (100, 1)})
        announce(walk.now)

        assert prices(app) == [(100, 100)]

    @pytest.mark.parametrize("at_once", [True, False])
    @pytest.mark.parametrize(
        ("offers", "expected"),
        [
            # B takes over when A is sold out, not when A becomes dearer.
            ([{A: (90, 1), B: (110, 1)}, {A: (95, 1), B: (110, 1)}, {A: (95, 0), B: (110, 1)}], [(95, 110)]),
            # Nothing is to be had in between.
            ([{A: (90, 1), B: (110, 0)}, {A: (90, 0), B: (110, 0)}, {A: (90, 0), B: (110, 1)}], [(None, 110)]),
            # There and back again.
            (
                [{A: (90, 1), B: (110, 1)}, {A: (90, 1), B: (80, 1)}, {A: (70, 1), B: (80, 1)}],
                [(90, 80), (80, 70)],
            ),
            # A is closed, and comes back.
            ([{A: (90, 1), B: (110, 1)}, {B: (110, 1)}, {A: (90, 1), B: (110, 1)}], [(90, 110), (110, 90)]),
            # The first one there is is no news.
            ([{A: (90, 0)}, {A: (90, 1)}, {A: (90, 1), B: (80, 1)}], [(90, 80)]),
        ],
    )
    def test_a_cheapest_offer_is_that_of_the_movement_whenever_it_is_announced(
        self, app, walk, user_id, offers, expected, at_once
    ):
        walk.offers(offers[0])
        make_alert(app, user_id, walk.product_id, K.CHEAPEST_OFFER)

        for each in offers[1:]:
            walk.offers(each)
            if not at_once:
                announce(walk.now)
        announce(walk.now)

        assert prices(app) == expected

    def test_a_cheapest_offer_is_compared_with_the_one_before_the_first_movement(self, app, walk, user_id):
        walk.offers({A: (100, 1), B: (110, 1)})
        make_alert(app, user_id, walk.product_id, K.CHEAPEST_OFFER)

        walk.offers({A: (100, 1), B: (90, 1)})
        announce(walk.now)

        assert prices(app) == [(100, 90)]

    def test_a_new_low_of_some_days_does_not_see_what_was_before(self, app, walk, user_id):
        walk.to(50, 100)
        walk.now += timedelta(days=3)
        of_two_days = make_alert(app, user_id, walk.product_id, K.NEW_LOW, days=2)
        ever = make_alert(app, user_id, walk.product_id, K.NEW_LOW)

        walk.to(90)
        announce(walk.now)

        assert (prices(app, of_two_days), prices(app, ever)) == ([(100, 90)], [])


class TestNewsDuringTheSilence:
    """The table of tests/alert_walks.py, on a database."""

    def offers(self, value) -> dict[str, tuple[int, int]]:
        if value in ("a", "b", "c"):
            return {offer_id(n): (90 if name == value else 100, 1) for n, name in enumerate("abc", start=1)}
        return {offer_id(n): (1, 0) for n in (1, 2, 3)} if value is None else {A: (value, 5)}

    @pytest.mark.parametrize("at_once", [True, False])
    @pytest.mark.parametrize("each", WALKS, ids=IDS)
    def test_is_sent_when_the_silence_ends_where_it_is_still_news(self, app, walk, user_id, each, at_once):
        begin = walk.now
        for minute, value in each.steps.items():
            walk.now = begin + timedelta(minutes=minute - 1)
            walk.offers(self.offers(value))
            if minute == 0:
                make_alert(app, user_id, walk.product_id, each.kind, cooldown_seconds=SILENCE, **each.fields)
            if not at_once:
                announce(walk.now + timedelta(seconds=1))
        for later in (1, 20) if at_once else range(max(each.steps) + 1, 20):
            announce(begin + timedelta(minutes=later, seconds=1))

        sent = [
            ((datetime.fromisoformat(news["at"]) - begin) / timedelta(minutes=1), news["price_before"], news["price"])
            for news in told(app)
        ]
        assert sent == each.messages

    def after_silence(self, app, walk, user_id, **fields) -> UUID:
        """An alert that has sent 90 and seen 80."""
        walk.to(100)
        alert_id = make_alert(app, user_id, walk.product_id, K.NEW_LOW, cooldown_seconds=SILENCE, **fields)
        walk.to(90, 80)
        announce(walk.now)
        walk.now += timedelta(minutes=5)
        return alert_id

    def test_is_sent_once_however_often_somebody_looks(self, app, walk, user_id):
        self.after_silence(app, walk, user_id)

        for _ in range(3):
            announce(walk.now)

        assert prices(app) == [(100, 90), (90, 80)]
        assert not announcements.anything_new(walk.now + timedelta(days=1))

    def test_makes_the_alert_due(self, app, walk, user_id):
        self.after_silence(app, walk, user_id)

        assert announcements.anything_new(walk.now)
        assert not announcements.anything_new(walk.now - timedelta(minutes=5))

    def test_is_sent_after_the_changes_that_came_before_it(self, app, walk, user_id):
        self.after_silence(app, walk, user_id)
        end = walk.now
        walk.now -= timedelta(minutes=4)  # 80 is over before the silence is, which has not been announced
        walk.to(95)

        assert in_transaction(lambda: announcements.announce_late("EUR", end)) == (0, 0)
        announce(end)

        assert prices(app) == [(100, 90)]

    def test_is_sent_to_nobody_who_is_not_active(self, app, walk, user_id):
        self.after_silence(app, walk, user_id)
        edit(app, User, User.id == user_id, active=False)

        announce(walk.now)

        assert prices(app) == [(100, 90)]

    def test_is_nothing_of_a_product_that_was_deleted(self, app, walk, user_id):
        self.after_silence(app, walk, user_id)
        with transaction():
            catalog.remove(walk.product_id, walk.now)

        announce(walk.now)

        assert prices(app) == [(100, 90)]
        assert not announcements.anything_new(walk.now + timedelta(days=1))

    def test_is_sent_at_once_where_the_silence_is_made_shorter(self, app, walk, user_id):
        walk.to(100)
        alert_id = make_alert(app, user_id, walk.product_id, K.NEW_LOW, cooldown_seconds=DAY)
        walk.to(90, 80)
        announce(walk.now)
        walk.now += timedelta(minutes=5)

        with transaction():
            alerts.change(user_id, alert_id, {"cooldown_seconds": 0}, walk.now - timedelta(seconds=1))
        announce(walk.now)

        assert prices(app) == [(100, 90), (90, 80)]


class TestTheMessage:
    def test_says_what_happened_to_what(self, app, walk, user_id):
        walk.to(1999)
        alert_id = make_alert(app, user_id, walk.product_id, K.BELOW, target=1500)
        walk.to(1499)
        announce(walk.now)

        (delivery,) = stored(app, Delivery)
        assert (delivery.channel, delivery.event, delivery.user_id) == (Channel.MAIL, "price.alert", user_id)
        assert json.loads(delivery.payload) == {
            "alert_id": str(alert_id),
            "kind": "below",
            "text": "The price is at your target, or below it.",
            "product_id": str(walk.product_id),
            "product_name": "Oak chair",
            "price": 1499,
            "price_before": 1999,
            "change_percent": -25.01,
            "currency": "EUR",
            "at": "2026-05-04T12:32:15.250000Z",
        }

    def test_has_no_percentage_of_a_price_of_nothing(self, app, walk, user_id):
        walk.to(0)
        make_alert(app, user_id, walk.product_id)
        walk.to(5)
        announce(walk.now)

        assert [each["change_percent"] for each in told(app)] == [None]


class TestWhoIsTold:
    def test_everybody_who_watches_the_product_and_nobody_else(self, app, walk, user_id):
        other_product, other_user = make_product(app), make_user(app)
        walk.to(100)
        make_alert(app, user_id, walk.product_id)
        make_alert(app, other_user, walk.product_id)
        make_alert(app, user_id, other_product)
        walk.to(90)
        announce(walk.now)

        assert {delivery.user_id for delivery in stored(app, Delivery)} == {user_id, other_user}
        assert len(stored(app, Delivery)) == 2

    def test_nobody_whose_alert_or_account_is_switched_off(self, app, walk, user_id):
        gone = make_user(app)
        walk.to(100)
        off = make_alert(app, user_id, walk.product_id)
        make_alert(app, gone, walk.product_id)
        edit(app, Alert, Alert.id == off, active=False)
        edit(app, User, User.id == gone, active=False)
        walk.to(90)
        announce(walk.now)

        assert told(app) == []

    def test_nobody_of_what_was_before_the_alert(self, app, walk, user_id):
        walk.to(100, 90)
        make_alert(app, user_id, walk.product_id)  # before the last movement is announced
        announce(walk.now)

        assert told(app) == []

    def test_nobody_of_a_product_that_was_deleted(self, app, walk, user_id):
        walk.to(100)
        make_alert(app, user_id, walk.product_id, K.SOLD_OUT)
        with transaction():
            catalog.remove(walk.product_id, walk.now + timedelta(minutes=1))
        announce(walk.now)

        assert told(app) == []
        assert [alert.active for alert in stored(app, Alert)] == [False]
        assert stored(app, Product)[0].deleted_at is not None


class TestACategory:
    @pytest.fixture
    def seating(self, app, walk, now) -> UUID:
        """A category with a part that the product of the walk is in."""
        seating, chairs = Category(name="Seating", slug="seating"), Category(name="Chairs", slug="chairs")
        for category in (seating, chairs):
            category.created_at = category.updated_at = now
        with transaction():
            db.session.add(seating)
            db.session.flush()
            chairs.parent_id = seating.id
            db.session.add(chairs)
            db.session.flush()
            db.session.get_one(Product, walk.product_id).category_id = chairs.id
        return seating.id

    def test_is_watched_with_all_its_parts(self, app, walk, user_id, seating):
        walk.to(100)
        elsewhere = Walk(app, walk.now, "Pine chair")
        elsewhere.to(100)
        make_alert(app, user_id, None, K.CHANGE, category_id=seating, percent=10.0)

        walk.to(95, 90)
        elsewhere.to(50)
        announce(walk.now)

        assert prices(app) == [(95, 90)]

    def test_has_each_product_watched_by_itself(self, app, walk, user_id, seating):
        other = Walk(app, walk.now, "Pine chair")
        chairs = stored(app, Product, Product.id == walk.product_id)[0].category_id
        edit(app, Product, Product.id == other.product_id, category_id=chairs)
        walk.to(120)
        other.to(120)
        make_alert(app, user_id, None, K.BELOW, category_id=seating, target=100)

        walk.to(90, 85)
        other.to(95, 95)
        walk.to(95, 84)
        announce(walk.now)

        told_of = [(each["product_id"], each["price"]) for each in told(app)]
        ours, theirs = str(walk.product_id), str(other.product_id)
        assert sorted(told_of) == sorted([(ours, 90), (ours, 85), (ours, 84), (theirs, 95)])

    def test_knows_the_cheapest_offer_of_a_product_from_its_first_movement(self, app, walk, user_id, seating):
        walk.offers({A: (100, 1), B: (110, 1)})
        make_alert(app, user_id, None, K.CHEAPEST_OFFER, category_id=seating)

        walk.offers({A: (100, 1), B: (90, 1)})
        announce(walk.now)

        assert prices(app) == [(100, 90)]

    def test_begins_anew_with_a_product_that_comes_back(self, app, walk, user_id, seating):
        walk.to(120)
        make_alert(app, user_id, None, K.BELOW, category_id=seating, target=100)
        walk.to(90)
        announce(walk.now)
        chairs = stored(app, Product, Product.id == walk.product_id)[0].category_id

        for category_id, price in ((None, 150), (chairs, 95)):  # above the target while nobody looked
            with transaction():
                catalog.change(walk.product_id, {"category_id": category_id}, walk.now)
            walk.to(price)
            announce(walk.now)

        assert prices(app) == [(120, 90), (150, 95)]


class TestOverTime:
    def test_an_alert_goes_on_where_it_was(self, app, walk, user_id):
        walk.to(120)
        make_alert(app, user_id, walk.product_id, K.BELOW, target=100)
        for price in (90, 95, 85, 110, 99):
            walk.to(price)
            announce(walk.now)

        assert prices(app) == [(120, 90), (95, 85), (110, 99)]

    def test_it_is_the_same_whether_announced_at_once_or_one_by_one(self, app, walk, user_id):
        walk.to(120)
        make_alert(app, user_id, walk.product_id, K.BELOW, target=100)
        walk.to(90, 95, 85, 110, 99)
        announce(walk.now)

        assert prices(app) == [(120, 90), (95, 85), (110, 99)]

    @pytest.mark.parametrize("at_once", [True, False])
    def test_it_waits_for_the_price_to_move_whatever_else_the_offers_do(self, app, walk, user_id, at_once):
        walk.offers({A: (90, 1)})
        make_alert(app, user_id, walk.product_id, K.BELOW, target=100)
        for offers in ({A: (90, 1), B: (95, 1)}, {A: (85, 1), B: (95, 1)}):
            walk.offers(offers)
            if not at_once:
                announce(walk.now)
        announce(walk.now)

        assert prices(app) == [(90, 85)]

    def test_remembers_when_it_went_off(self, app, walk, user_id):
        walk.to(120)
        make_alert(app, user_id, walk.product_id, cooldown_seconds=120)
        walk.to(110, 100, 90)
        announce(walk.now)

        assert prices(app) == [(120, 110), (100, 90)]
        assert [state.fired_at for state in stored(app, AlertState)] == [walk.now]

    @pytest.mark.parametrize("at_once", [True, False])
    def test_a_low_of_some_days_is_the_same_when_it_falls_out_between_two_announced_at_once(
        self, app, walk, user_id, at_once
    ):
        walk.to(50, 100)
        alert_id = make_alert(app, user_id, walk.product_id, K.NEW_LOW, days=1)
        for hours, price in ((1, 80), (24, 70), (1, 75), (1, 60)):  # 50 is forgotten, then 80
            walk.now += timedelta(hours=hours)
            walk.to(price)
            if not at_once:
                announce(walk.now)
        announce(walk.now)

        assert prices(app, alert_id) == [(80, 70), (75, 60)]


class TestManyAtOnce:
    def test_ask_the_database_no_more_often_than_few(self, app, now):
        def statements(number: int) -> int:
            """How many it takes to announce a movement of so many products, each watched by as many users."""
            walks = [Walk(app, now, f"Chair {number} {each}") for each in range(number)]
            users = [make_user(app) for _ in range(number)]
            for user_id in users:
                make_webhook(app, user_id, events=["price.alert"])
            for walk in walks:
                walk.to(100)
                for user_id in users:
                    make_alert(app, user_id, walk.product_id, K.NEW_LOW, days=7, by_webhook=True)
                make_alert(app, users[0], walk.product_id, K.CHEAPEST_OFFER)
                walk.to(90)
            seen.clear()
            announce(now)
            return seen["statements"]

        def count(*_: object) -> None:
            seen.update(["statements"])

        seen, engines = Counter(), (db.engine, app.extensions["reader"])
        for engine in engines:
            sa.event.listen(engine, "before_cursor_execute", count)
        few, many = statements(1), statements(6)
        for engine in engines:
            sa.event.remove(engine, "before_cursor_execute", count)

        assert 0 < many <= few
        assert len(told(app)) == 2 * (1 + 36)
