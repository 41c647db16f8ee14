"""/api/v1/alerts: what somebody wants to be told of prices."""

from uuid import uuid4

import pytest

from aggregator.models import AlertKind
from tests.builders import make_alert, make_offer, make_product, make_user
from tests.conftest import signed_in

URL = "/api/v1/alerts"
KINDS = ", ".join(AlertKind)
RANGE = "Must be greater than or equal to {} and less than or equal to {}."


@pytest.fixture
def user_id(app):
    return make_user(app)


@pytest.fixture
def customer(app, user_id):
    """A client of somebody who is no admin."""
    return signed_in(app, user_id)


@pytest.fixture
def product_id(app):
    product_id = make_product(app)
    make_offer(app, product_id, price=1999)
    return str(product_id)


class TestCreate:
    def test_answers_with_the_alert_and_where_it_is(self, customer, product_id):
        response = customer.post(URL, json={"product_id": product_id, "kind": "below", "target": 1500})

        assert response.status_code == 201
        alert = response.json
        assert response.headers["Location"] == f"{URL}/{alert['id']}"
        assert customer.get(response.headers["Location"]).json == alert
        assert alert == {
            "id": alert["id"],
            "product_id": product_id,
            "category_id": None,
            "kind": "below",
            "target": 1500,
            "percent": None,
            "direction": None,
            "days": None,
            "cooldown_seconds": 0,
            "by_mail": True,
            "by_webhook": False,
            "active": True,
            "fired_at": None,
            "created_at": alert["created_at"],
            "updated_at": alert["created_at"],
        }

    @pytest.mark.parametrize(
        ("fields", "shown"),
        [
            ({"kind": "change", "percent": 12.5}, {"percent": 12.5, "direction": "both"}),
            ({"kind": "change", "percent": 0.07, "direction": "down"}, {"percent": 0.07, "direction": "down"}),
            ({"kind": "new_low", "days": 30}, {"days": 30}),
            ({"kind": "new_high"}, {"days": None}),
            ({"kind": "sold_out", "cooldown_seconds": 3600}, {"cooldown_seconds": 3600}),
            ({"kind": "back_in_stock", "by_mail": False, "by_webhook": True}, {"by_mail": False, "by_webhook": True}),
        ],
    )
    def test_keeps_what_each_kind_has(self, customer, product_id, fields, shown):
        alert = customer.post(URL, json={"product_id": product_id, **fields}).json

        assert {name: alert[name] for name in shown} == shown

    @pytest.mark.parametrize(
        ("fields", "errors"),
        [
            ({}, {"kind": ["Missing data for required field."]}),
            ({"kind": "cheap"}, {"kind": [f"Must be one of: {KINDS}."]}),
            ({"kind": "below"}, {"target": ["Needed for below."]}),
            ({"kind": "below", "target": -1}, {"target": [RANGE.format(0, 10**12)]}),
            ({"kind": "below", "target": 1.5}, {"target": ["Not a valid integer."]}),
            ({"kind": "change", "percent": 0}, {"percent": [RANGE.format(0.01, 10000.0)]}),
            ({"kind": "change", "percent": 0.125}, {"percent": ["No more than 2 decimals."]}),
            ({"kind": "new_low", "days": 0}, {"days": [RANGE.format(1, 3650)]}),
            ({"kind": "sold_out", "days": 5}, {"days": ["Not for sold_out."]}),
            ({"kind": "sold_out", "user_id": str(uuid4())}, {"user_id": ["Unknown field."]}),
            ({"kind": "sold_out", "fired_price": 1}, {"fired_price": ["Unknown field."]}),
            ({"kind": "sold_out", "product_id": str(uuid4())}, {"product_id": ["There is no such product."]}),
        ],
    )
    def test_refuses_what_makes_no_sense(self, customer, product_id, fields, errors):
        response = customer.post(URL, json={"product_id": product_id, **fields})

        assert response.status_code == 422
        assert response.json["errors"] == {"json": errors}

    def test_needs_somebody_to_be_told(self, customer, product_id):
        response = customer.post(URL, json={"product_id": product_id, "kind": "sold_out", "by_mail": False})

        assert (response.status_code, response.json["detail"]) == (
            422,
            "Set by_mail, by_webhook or both.",
        )

    def test_refuses_the_same_once_more(self, customer, product_id):
        alert = {"product_id": product_id, "kind": "change", "percent": 5}
        assert customer.post(URL, json=alert).status_code == 201

        response = customer.post(URL, json=alert | {"direction": "both", "by_webhook": True})

        assert (response.status_code, response.json["detail"]) == (409, "You have this alert already.")
        assert customer.post(URL, json=alert | {"direction": "down"}).status_code == 201
        assert len(customer.get(URL).json) == 2


class TestList:
    def test_shows_ones_own_the_newest_first(self, app, customer, user_id, product_id):
        mine = [str(make_alert(app, user_id, product_id, AlertKind.NEW_LOW, days=days)) for days in range(1, 4)]
        make_alert(app, make_user(app), product_id)

        assert [alert["id"] for alert in customer.get(URL).json] == mine[::-1]

    def test_finds_those_of_a_product_of_a_kind_and_those_that_are_on(self, app, customer, user_id, product_id):
        of_another = make_alert(app, user_id, make_product(app))
        low = make_alert(app, user_id, product_id, AlertKind.NEW_LOW)
        customer.patch(f"{URL}/{low}", json={"active": False})
        plain = make_alert(app, user_id, product_id)

        def found(**query: str) -> list[str]:
            return [alert["id"] for alert in customer.get(URL, query_string={"sort": "created_at", **query}).json]

        assert found(product_id=product_id) == [str(low), str(plain)]
        assert found(kind="new_low") == [str(low)]
        assert found(active="true") == [str(of_another), str(plain)]


class TestChange:
    def test_changes_what_is_named_and_nothing_else(self, app, customer, user_id, product_id):
        alert_id = make_alert(app, user_id, product_id, AlertKind.BELOW, target=1500)
        before = customer.get(f"{URL}/{alert_id}").json

        after = customer.patch(f"{URL}/{alert_id}", json={"target": 1200}).json

        assert after == before | {"target": 1200, "updated_at": after["updated_at"]}

    def test_of_nothing_changes_nothing(self, app, customer, user_id, product_id):
        alert_id = make_alert(app, user_id, product_id, AlertKind.BELOW, target=1500)
        before = customer.get(f"{URL}/{alert_id}").json

        assert customer.patch(f"{URL}/{alert_id}", json={}).json == before

    def test_that_makes_it_the_same_as_another_one_is_refused(self, app, customer, user_id, product_id):
        make_alert(app, user_id, product_id, AlertKind.BELOW, target=1500)
        alert_id = make_alert(app, user_id, product_id, AlertKind.BELOW, target=1400)

        response = customer.patch(f"{URL}/{alert_id}", json={"target": 1500})

        assert (response.status_code, response.json["detail"]) == (409, "You have this alert already.")
        assert customer.get(f"{URL}/{alert_id}").json["target"] == 1400

    @pytest.mark.parametrize("fields", [{"kind": "sold_out"}, {"product_id": str(uuid4())}, {"percent": 5}])
    def test_of_its_kind_or_product_is_not_possible(self, app, customer, user_id, product_id, fields):
        alert_id = make_alert(app, user_id, product_id, AlertKind.BELOW, target=1500)

        assert customer.patch(f"{URL}/{alert_id}", json=fields).status_code == 422


class TestDelete:
    def test_leaves_nothing(self, app, customer, user_id, product_id):
        alert_id = make_alert(app, user_id, product_id)

        assert customer.delete(f"{URL}/{alert_id}").status_code == 204
        assert customer.get(f"{URL}/{alert_id}").status_code == 404
        assert customer.delete(f"{URL}/{alert_id}").status_code == 404
