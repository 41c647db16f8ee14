"""Alerts as users make and edit them."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregator.database import db, transaction
from aggregator.errors import Conflict, Invalid, NotFound
from aggregator.models import Alert, AlertKind, AlertState, Change, Direction
from aggregator.services import alerts
from tests.builders import make_alert, make_category, make_offer, make_product, make_user, offer_id, stored, sync

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def user_id(app):
    return make_user(app)


@pytest.fixture
def product_id(app):
    return make_product(app)


def add(user_id, now, **fields):
    with transaction():
        return alerts.add(user_id, {"by_mail": True, "by_webhook": False, "cooldown_seconds": 0} | fields, now)


def change(user_id, alert_id, now, **fields) -> None:
    with transaction():
        alerts.change(user_id, alert_id, fields, now)


def the_alert(app) -> Alert:
    (alert,) = stored(app, Alert)
    return alert


class TestAdd:
    def test_keeps_what_is_wished_for(self, app, user_id, product_id, now):
        add(user_id, now, product_id=product_id, kind=AlertKind.CHANGE, percent=12.5)

        alert = the_alert(app)
        assert (alert.basis_points, alert.direction, alert.active) == (1250, Direction.BOTH, True)
        assert (alert.created_at, alert.updated_at) == (now, now)
        assert stored(app, AlertState) == []

    def test_of_the_cheapest_offer_begins_with_the_one_that_is(self, app, user_id, product_id, now):
        make_offer(app, product_id, offer_id(1), price=300)
        make_offer(app, product_id, offer_id(2), price=200)
        make_offer(app, product_id, offer_id(3), price=100, stock=0)

        add(user_id, now, product_id=product_id, kind=AlertKind.CHEAPEST_OFFER)

        assert [state.cheapest for state in stored(app, AlertState)] == [offer_id(2)]

    def test_sees_what_comes_after_it_only(self, app, user_id, product_id, now):
        sync(app, product_id, {offer_id(1): (100, 1)}, now)
        sync(app, product_id, {offer_id(1): (90, 1)}, now + timedelta(1))

        add(user_id, now, product_id=product_id, kind=AlertKind.ANY_CHANGE)

        assert the_alert(app).since_number == stored(app, Change)[-1].number

    def test_watches_a_product_or_a_category(self, app, user_id, product_id, now):
        category_id = make_category(app)
        add(user_id, now, category_id=category_id, kind=AlertKind.ANY_CHANGE)

        assert (the_alert(app).product_id, the_alert(app).category_id) == (None, category_id)
        for fields in ({}, {"product_id": product_id, "category_id": category_id}):
            with pytest.raises(Invalid, match="one product or one category"):
                add(user_id, now, kind=AlertKind.ANY_CHANGE, **fields)
        with pytest.raises(Invalid):
            add(user_id, now, category_id=uuid4(), kind=AlertKind.ANY_CHANGE)

    def test_is_not_for_a_product_that_there_is_not(self, app, user_id, now):
        with pytest.raises(Invalid) as error:
            add(user_id, now, product_id=uuid4(), kind=AlertKind.ANY_CHANGE)

        assert error.value.extra["errors"] == {"json": {"product_id": ["There is no such product."]}}

    @pytest.mark.parametrize(
        ("kind", "fields", "errors"),
        [
            (AlertKind.BELOW, {}, {"target": ["Needed for below."]}),
            (AlertKind.CHANGE, {}, {"percent": ["Needed for change."]}),
            (AlertKind.BELOW, {"target": 1, "percent": 5.0}, {"percent": ["Not for below."]}),
            (
                AlertKind.SOLD_OUT,
                {"target": 1, "days": 2},
                {"target": ["Not for sold_out."], "days": ["Not for sold_out."]},
            ),
            (AlertKind.ANY_CHANGE, {"direction": Direction.UP}, {"direction": ["Not for any_change."]}),
        ],
    )
    def test_needs_what_its_kind_needs_and_nothing_else(self, user_id, product_id, now, kind, fields, errors):
        with pytest.raises(Invalid) as error:
            add(user_id, now, product_id=product_id, kind=kind, **fields)

        assert error.value.extra["errors"] == {"json": errors}

    def test_has_to_be_told_to_somebody(self, user_id, product_id, now):
        with pytest.raises(Invalid, match="Nobody would be told"):
            add(user_id, now, product_id=product_id, kind=AlertKind.SOLD_OUT, by_mail=False)

    def test_ends_at_a_hundred(self, app, user_id, product_id, now, monkeypatch):
        assert alerts.MAX_ALERTS == 100
        monkeypatch.setattr(alerts, "MAX_ALERTS", 2)
        make_alert(app, make_user(app), product_id)
        for _ in range(2):
            make_alert(app, user_id, product_id)

        with pytest.raises(Conflict, match="You have 2 alerts already"):
            add(user_id, now, product_id=product_id, kind=AlertKind.SOLD_OUT)


class TestChange:
    def test_begins_anew(self, app, user_id, product_id, now):
        alert_id = add(user_id, now, product_id=product_id, kind=AlertKind.BELOW, target=100)
        with transaction():
            db.session.add(AlertState(alert_id=alert_id, product_id=product_id, fired_price=80))
        sync(app, product_id, {offer_id(1): (80, 1)}, now)

        change(user_id, alert_id, now + timedelta(1), target=90)

        alert = the_alert(app)
        assert (alert.target, alert.updated_at) == (90, now + timedelta(1))
        assert alert.since_number == stored(app, Change)[-1].number
        assert stored(app, AlertState) == []

    @pytest.mark.parametrize("fields", [{"percent": 5.0}, {"target": None}])
    def test_keeps_to_the_kind(self, app, user_id, product_id, now, fields):
        alert_id = add(user_id, now, product_id=product_id, kind=AlertKind.BELOW, target=100)

        with pytest.raises(Invalid):
            change(user_id, alert_id, now, **fields)
        assert the_alert(app).target == 100

    def test_is_for_its_owner(self, app, user_id, product_id, now):
        alert_id = add(user_id, now, product_id=product_id, kind=AlertKind.SOLD_OUT)

        with pytest.raises(NotFound):
            change(make_user(app), alert_id, now, active=False)
        assert the_alert(app).active


class TestRemove:
    def test_leaves_nothing(self, app, user_id, product_id, now):
        alert_id = add(user_id, now, product_id=product_id, kind=AlertKind.SOLD_OUT)

        with transaction():
            alerts.remove(user_id, alert_id)
        assert stored(app, Alert) == []

    def test_is_for_its_owner(self, app, user_id, product_id, now):
        alert_id = add(user_id, now, product_id=product_id, kind=AlertKind.SOLD_OUT)

        with pytest.raises(NotFound), transaction():
            alerts.remove(make_user(app), alert_id)
        assert the_alert(app).id == alert_id
