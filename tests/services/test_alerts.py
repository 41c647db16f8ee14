"""Alerts as users make and edit them."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregator.database import db, transaction
from aggregator.errors import Conflict, Invalid, NotFound
from aggregator.models import Alert, AlertKind, AlertState, Change, Direction
from aggregator.services import alerts
from tests.builders import make_alert, make_category, make_product, make_user, offer_id, stored, sync

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
        with pytest.raises(Invalid, match="Set by_mail"):
            add(user_id, now, product_id=product_id, kind=AlertKind.SOLD_OUT, by_mail=False)

    def test_is_refused_where_there_is_one_that_waits_for_the_same(self, app, user_id, product_id, now):
        waits_for = {"product_id": product_id, "kind": AlertKind.NEW_LOW, "days": 7}
        add(user_id, now, **waits_for)

        with pytest.raises(Conflict, match="You have this alert already"):
            add(user_id, now, **waits_for, by_webhook=True, cooldown_seconds=60)
        for another in ({"days": None}, {"kind": AlertKind.NEW_HIGH}, {"product_id": make_product(app)}):
            add(user_id, now, **waits_for | another)
        add(make_user(app), now, **waits_for)
        assert len(stored(app, Alert)) == 5

    def test_without_parameters_is_refused_where_there_is_one_without(self, app, user_id, product_id, now):
        add(user_id, now, product_id=product_id, kind=AlertKind.NEW_LOW)

        with pytest.raises(Conflict, match="You have this alert already"):
            add(user_id, now, product_id=product_id, kind=AlertKind.NEW_LOW, days=None)

    def test_ends_at_a_hundred(self, app, user_id, product_id, now, monkeypatch):
        assert alerts.MAX_ALERTS == 100
        monkeypatch.setattr(alerts, "MAX_ALERTS", 2)
        make_alert(app, make_user(app), product_id)
        for kind in (AlertKind.NEW_LOW, AlertKind.NEW_HIGH):
            make_alert(app, user_id, product_id, kind)

        with pytest.raises(Conflict, match="You have 2 alerts already"):
            add(user_id, now, product_id=product_id, kind=AlertKind.SOLD_OUT)


class Seen:
    """Makes the one alert there is, which has seen a movement of its product; another one has come since."""

    def __init__(self, app, user_id, product_id, now) -> None:
        self.app, self.user_id, self.product_id, self.now = app, user_id, product_id, now

    def __call__(self, kind: AlertKind, **fields):
        alert_id = add(self.user_id, self.now, product_id=self.product_id, kind=kind, **fields)
        with transaction():
            db.session.add(AlertState(alert_id=alert_id, product_id=self.product_id, fired_price=80))
        sync(self.app, self.product_id, {offer_id(1): (80, 1)}, self.now)
        return alert_id

    @property
    def last_number(self) -> int:
        return stored(self.app, Change)[-1].number

    def state_and_number(self) -> tuple[list, int]:
        return [state.fired_price for state in stored(self.app, AlertState)], the_alert(self.app).since_number


@pytest.fixture
def seen(app, user_id, product_id, now) -> Seen:
    return Seen(app, user_id, product_id, now)


class TestChange:
    @pytest.mark.parametrize(
        ("kind", "parameters", "fields"),
        [
            (AlertKind.BELOW, {"target": 100}, {"target": 90}),
            (AlertKind.CHANGE, {"percent": 5.0}, {"percent": 5.01}),
            (AlertKind.CHANGE, {"percent": 5.0}, {"direction": Direction.UP}),
            (AlertKind.NEW_LOW, {}, {"days": 7}),
            (AlertKind.SOLD_OUT, {}, {"active": False}),
        ],
    )
    def test_begins_anew_where_it_waits_for_something_else(self, seen, now, kind, parameters, fields):
        alert_id = seen(kind, **parameters)

        change(seen.user_id, alert_id, now + timedelta(1), **fields)

        assert seen.state_and_number() == ([], seen.last_number)

    @pytest.mark.parametrize(
        ("fields", "updated"),
        [
            ({}, False),
            ({"target": 100, "active": True, "by_mail": True, "cooldown_seconds": 0}, False),
            ({"by_webhook": True}, True),
            ({"by_mail": False, "by_webhook": True, "cooldown_seconds": 60}, True),
        ],
    )
    def test_of_anything_else_lets_it_go_on_where_it_was(self, app, seen, now, fields, updated):
        alert_id = seen(AlertKind.BELOW, target=100)

        change(seen.user_id, alert_id, now + timedelta(1), **fields)

        assert seen.state_and_number() == ([80], 0)
        assert the_alert(app).updated_at == (now + timedelta(1) if updated else now)

    def test_that_makes_it_the_same_as_another_one_is_refused(self, app, user_id, product_id, now):
        add(user_id, now, product_id=product_id, kind=AlertKind.BELOW, target=100)
        alert_id = add(user_id, now, product_id=product_id, kind=AlertKind.BELOW, target=90)

        with pytest.raises(Conflict, match="You have this alert already"):
            change(user_id, alert_id, now, target=100)
        change(user_id, alert_id, now, target=95)
        assert sorted(alert.target for alert in stored(app, Alert)) == [95, 100]

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
