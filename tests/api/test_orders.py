"""/api/v1/orders, and the checkout of the cart."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregator.clock import utcnow
from aggregator.errors import TooManyOrders
from aggregator.models import Order, OrderStatus, Product, Role, User
from aggregator.schemas.orders import OrderEventSchema, OrderItemSchema, OrderSchema
from aggregator.services import orders
from aggregator.services.order_limits import OrderLimits
from aggregator.services.orders import Purchase
from tests.api.pages import links, pagination
from tests.builders import LONG_AGO, edit, fill_cart, make_order, make_product, make_user, stored
from tests.conftest import signed_in
from tests.waiting import while_open

URL = "/api/v1/orders"
CHECKOUT = "/api/v1/cart/checkout"


@pytest.fixture
def user(app):
    return make_user(app, username="Ada")


@pytest.fixture
def customer(app, user):
    return signed_in(app, user)


@pytest.fixture
def admin(app):
    return signed_in(app, make_user(app, Role.ADMIN, username="Grace"))


@pytest.fixture
def lamp(app):
    return make_product(app, name="Lamp", price=1999, stock=5)


def line(product_id, quantity=1) -> dict:
    return {"product_id": str(product_id), "quantity": quantity}


def key(text: str = "k") -> dict:
    return {"Idempotency-Key": text}


class TestCheckout:
    def test_orders_the_cart_and_needs_no_body(self, app, customer, user, lamp):
        fill_cart(app, user, {lamp: 2})

        answer = customer.post(CHECKOUT)

        order = answer.json
        assert answer.status_code == 201
        assert answer.headers["Location"] == f"{URL}/{order['id']}"
        assert order == {
            "id": order["id"],
            "code": order["code"],
            "status": "placed",
            "items": [line(lamp, 2) | {"product_name": "Lamp", "unit_price": 1999, "total": 3998}],
            "total": 3998,
            "currency": "EUR",
            "created_at": order["created_at"],
            "history": [{"status": "placed", "at": order["created_at"], "by": "Ada"}],
        }
        assert customer.get(answer.headers["Location"]).json == order
        assert customer.get("/api/v1/cart").json["items"] == []
        assert customer.get(f"/api/v1/products/{lamp}").json["stock"] == 3

    def test_the_members_come_in_the_order_of_the_schema(self, customer, lamp):
        order = customer.post(URL, json={"items": [line(lamp)]}).json

        assert list(order) == list(OrderSchema().fields)
        assert list(order["items"][0]) == list(OrderItemSchema().fields)
        assert list(order["history"][0]) == list(OrderEventSchema().fields)

    def test_of_an_empty_cart_is_a_422(self, customer):
        assert customer.post(CHECKOUT, json={}).status_code == 422

    @pytest.mark.parametrize(("body", "content_type", "status"), [(b"", "application/json", 400), (b"x", None, 415)])
    def test_a_body_that_is_there_has_to_be_one(self, customer, body, content_type, status):
        assert customer.post(CHECKOUT, data=body, content_type=content_type).status_code == status

    def test_at_another_total_than_expected_is_a_409_with_the_new_one(self, app, customer, user, lamp):
        fill_cart(app, user, {lamp: 2})
        total = customer.get("/api/v1/cart").json["total"]
        edit(app, Product, price=2500)

        answer = customer.post(CHECKOUT, json={"expected_total": total})

        assert answer.status_code == 409
        assert answer.json["detail"] == "Prices have changed: the total is 5000 now."
        assert answer.json["errors"] == {"json": {"expected_total": ["It is 5000 now."]}, "total": 5000}
        assert customer.post(CHECKOUT, json={"expected_total": 5000}).status_code == 201

    def test_sent_twice_with_a_key_is_one_order(self, app, customer, user, lamp):
        fill_cart(app, user, {lamp: 2})
        first = customer.post(CHECKOUT, headers=key())
        fill_cart(app, user, {lamp: 1})

        again = customer.post(CHECKOUT, headers=key())

        assert (again.status_code, again.data) == (201, first.data)
        assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
        assert again.headers["Location"] == first.headers["Location"]
        assert customer.post(CHECKOUT, json={"expected_total": 1}, headers=key()).status_code == 422
        assert len(stored(app, Order)) == 1
        assert customer.get("/api/v1/cart").json["count"] == 1


class TestOrderingPastTheCart:
    def test_adds_up_what_is_named_twice(self, customer, lamp):
        order = customer.post(URL, json={"items": [line(lamp), line(lamp, 2)]}).json

        assert [(item["quantity"], item["total"]) for item in order["items"]] == [(3, 5997)]

    def test_names_all_that_is_short_at_once(self, app, customer, lamp):
        chair = make_product(app, name="Chair", price=1, stock=0)
        shelf = make_product(app, price=1, stock=9)

        answer = customer.post(URL, json={"items": [line(lamp, 6), line(shelf), line(chair)]})

        assert answer.status_code == 409
        found = {item["product_name"]: (item["quantity"], item["available"]) for item in answer.json["errors"]["items"]}
        assert found == {"Lamp": (6, 5), "Chair": (1, 0)}
        assert customer.get(f"/api/v1/products/{shelf}").json["stock"] == 9

    def test_what_is_not_there_is_a_422_that_names_it(self, customer, lamp):
        unknown = uuid4()

        answer = customer.post(URL, json={"items": [line(lamp), line(unknown)]})

        assert (answer.status_code, answer.json["detail"]) == (422, f"There is no product {unknown}.")

    @pytest.mark.parametrize(
        "items", [[], None, {}, [{}], [{"product_id": "x", "quantity": 1}], [line(uuid4(), 0)], [line(uuid4())] * 101]
    )
    def test_items_that_make_no_sense_are_a_422(self, customer, items):
        answer = customer.post(URL, json={"items": items})

        assert (answer.status_code, list(answer.json["errors"]["json"])) == (422, ["items"])

    def test_more_than_a_thousand_of_a_product_in_all_are_a_422(self, customer, lamp):
        answer = customer.post(URL, json={"items": [line(lamp, 600)] * 2})

        assert answer.json["errors"]["json"] == {"items": ["No more than 1000 of one product."]}

    def test_a_key_is_of_one_request(self, app, customer, admin, lamp):
        first = customer.post(URL, json={"items": [line(lamp)]}, headers=key())

        assert customer.post(URL, json={"items": [line(lamp)]}, headers=key()).data == first.data
        assert customer.post(URL, json={"items": [line(lamp, 2)]}, headers=key()).status_code == 422
        assert admin.post(URL, json={"items": [line(lamp)]}, headers=key()).json["id"] != first.json["id"]

    def test_a_sale_changes_the_tag_of_the_product_and_stops_an_edit_of_what_it_was(self, client, customer, lamp):
        url = f"/api/v1/products/{lamp}"
        tag = client.get(url).headers["ETag"]
        customer.post(URL, json={"items": [line(lamp)]})

        assert client.get(url, headers={"If-None-Match": tag}).json["stock"] == 4
        assert client.patch(url, json={"stock": 6}, headers={"If-Match": tag}).status_code == 412


class TestList:
    def test_of_ones_own_the_newest_first_by_pages(self, app, customer, user, lamp):
        orders = [str(make_order(app, user, {lamp: 1})) for _ in range(3)]
        make_order(app, make_user(app), {lamp: 1})

        first = customer.get(f"{URL}?page_size=2")

        assert [order["id"] for order in first.json] == [orders[2], orders[1]]
        assert pagination(first)["total"] == 3
        following = customer.get(links(first)["next"])
        assert following.json == [customer.get(f"{URL}/{orders[0]}").json]

    def test_admins_see_all_and_may_choose_whose(self, app, admin, user, lamp):
        mine, others = make_order(app, user, {lamp: 1}), make_order(app, make_user(app), {lamp: 2})

        assert [order["id"] for order in admin.get(URL).json] == [str(others), str(mine)]
        assert [order["id"] for order in admin.get(f"{URL}?user_id={user}").json] == [str(mine)]
        assert [order["id"] for order in admin.get(f"{URL}?sort=total").json] == [str(mine), str(others)]

    def test_customers_see_nobody_elses_whoever_they_name(self, app, customer, user, lamp):
        another = make_user(app)
        make_order(app, another, {lamp: 1})
        mine = make_order(app, user, {lamp: 1})

        assert customer.get(f"{URL}?user_id={another}").json == []
        assert [order["id"] for order in customer.get(f"{URL}?user_id={user}").json] == [str(mine)]

    def test_by_status_and_age(self, app, customer, user, lamp):
        old, new = (str(make_order(app, user, {lamp: 1})) for _ in range(2))
        edit(app, Order, Order.id == old, created_at=LONG_AGO, status=OrderStatus.PAID)

        def ids(query: str) -> list[str]:
            return [order["id"] for order in customer.get(f"{URL}?{query}").json]

        assert (ids("status=paid"), ids("status=placed"), ids("status=shipped")) == ([old], [new], [])
        after = (LONG_AGO + timedelta(1)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert ids(f"created_after={after}") == [new]
        assert customer.get(f"{URL}?status=lost").status_code == 422

    def test_what_has_not_changed_is_a_304(self, app, customer, user, lamp):
        order = make_order(app, user, {lamp: 1})
        for url in (URL, f"{URL}/{order}"):
            tag = customer.get(url).headers["ETag"]
            assert customer.get(url, headers={"If-None-Match": tag}).status_code == 304


class TestOne:
    def test_is_shown_to_whose_it_is_and_to_admins(self, app, customer, admin, user, lamp):
        order = make_order(app, user, {lamp: 1})

        assert customer.get(f"{URL}/{order}").json == admin.get(f"{URL}/{order}").json
        assert signed_in(app, make_user(app)).get(f"{URL}/{order}").status_code == 404
        assert customer.get(f"{URL}/{uuid4()}").status_code == 404

    def test_keeps_names_and_prices_whatever_becomes_of_the_product(self, app, customer, user, client, lamp):
        order = make_order(app, user, {lamp: 1})
        before = customer.get(f"{URL}/{order}").json
        client.patch(f"/api/v1/products/{lamp}", json={"name": "Torch", "price": 1})
        client.delete(f"/api/v1/products/{lamp}")

        assert customer.get(f"{URL}/{order}").json == before


class TestChange:
    def test_of_the_items_moves_the_stock(self, app, customer, user, lamp):
        order = make_order(app, user, {lamp: 3})

        answer = customer.patch(f"{URL}/{order}", json={"items": [line(lamp), line(lamp)]})

        assert (answer.status_code, answer.json["total"]) == (200, 3998)
        assert customer.get(f"/api/v1/products/{lamp}").json["stock"] == 3
        too_many = customer.patch(f"{URL}/{order}", json={"items": [line(lamp, 6)]})
        short = {name: too_many.json["errors"]["items"][0][name] for name in ("quantity", "available")}
        assert (too_many.status_code, short) == (409, {"quantity": 6, "available": 5})  # two of them are in the order

    def test_is_refused_at_another_total_than_was_seen(self, app, customer, user, lamp):
        order = make_order(app, user, {lamp: 1})

        answer = customer.patch(f"{URL}/{order}", json={"items": [line(lamp, 2)], "expected_total": 1})

        assert (answer.status_code, answer.json["errors"]["total"]) == (409, 3998)

    def test_of_the_status_is_told_with_who_and_when(self, app, admin, customer, user, lamp):
        order = make_order(app, user, {lamp: 1})
        for status in ("paid", "shipped", "delivered"):
            answer = admin.patch(f"{URL}/{order}", json={"status": status})
            assert (answer.status_code, answer.json["status"]) == (200, status)

        history = [(event["status"], event["by"]) for event in customer.get(f"{URL}/{order}").json["history"]]
        assert history == [("placed", "Ada"), ("paid", "admin"), ("shipped", "admin"), ("delivered", "admin")]
        names = [event["by"] for event in admin.get(f"{URL}/{order}").json["history"]]
        assert names == ["Ada", "Grace", "Grace", "Grace"]
        assert "Grace" not in customer.get(URL).text
        assert "Grace" in admin.get(URL).text
        assert admin.patch(f"{URL}/{order}", json={"status": "placed"}).status_code == 409

    def test_of_what_is_not_theirs_to_change_is_a_403(self, app, admin, customer, user, lamp):
        order = make_order(app, user, {lamp: 1})

        assert customer.patch(f"{URL}/{order}", json={"status": "paid"}).status_code == 403
        assert admin.patch(f"{URL}/{order}", json={"items": [line(lamp)]}).status_code == 403
        assert signed_in(app, make_user(app)).patch(f"{URL}/{order}", json={"status": "paid"}).status_code == 404

    def test_of_nothing_changes_nothing(self, app, customer, user, lamp):
        order = make_order(app, user, {lamp: 1})

        assert customer.patch(f"{URL}/{order}", json={}).json == customer.get(f"{URL}/{order}").json
        assert customer.patch(f"{URL}/{order}", json={"items": []}).status_code == 422

    def test_an_admin_may_do_both_to_an_order_of_their_own(self, app, admin, lamp):
        (grace,) = stored(app, User, User.username == "Grace")
        order = make_order(app, grace.id, {lamp: 1})

        answer = admin.patch(f"{URL}/{order}", json={"items": [line(lamp, 2)], "status": "cancelled"})

        assert (answer.json["status"], answer.json["total"]) == ("cancelled", 3998)
        assert admin.get(f"/api/v1/products/{lamp}").json["stock"] == 5


class TestLimits:
    def test_of_an_hour_and_a_day_say_when_the_next_order_may_come(self, app, make_app, lamp):
        app = make_app(orders_per_hour=2, orders_per_day=3)
        user = make_user(app)
        customer = signed_in(app, user)
        for _ in range(2):
            assert customer.post(URL, json={"items": [line(lamp)]}).status_code == 201
        customer.post(f"{URL}/{stored(app, Order)[0].id}/cancel")  # which is no way around it

        answer = customer.post(URL, json={"items": [line(lamp)]}, headers=key())
        assert (answer.status_code, answer.json["code"]) == (429, "too_many_orders")
        assert 3_500 < int(answer.headers["Retry-After"]) <= 3_600
        assert signed_in(app, make_user(app)).post(URL, json={"items": [line(lamp)]}).status_code == 201

        edit(app, Order, Order.user_id == user, created_at=utcnow() - timedelta(hours=2))
        fill_cart(app, user, {lamp: 1})
        assert customer.post(CHECKOUT, headers=key()).status_code == 201  # what was refused has left its key free
        answer = customer.post(URL, json={"items": [line(lamp)]})
        assert answer.status_code == 429
        assert 21 * 3_600 < int(answer.headers["Retry-After"]) <= 22 * 3_600

    def test_a_repeated_request_is_answered_whatever_the_limit(self, make_app, lamp):
        app = make_app(orders_per_hour=1)
        customer = signed_in(app, make_user(app))
        first, second = (customer.post(URL, json={"items": [line(lamp)]}, headers=key()) for _ in range(2))

        assert (first.status_code, second.status_code, second.json) == (201, 201, first.json)

    def test_two_at_once_do_not_both_find_room_for_one(self, make_app, now, lamp):
        app = make_app()
        user = make_user(app)
        one = Purchase(user, "EUR", {lamp: 1}, allowed=OrderLimits(per_hour=1))

        error = while_open(app, lambda: orders.place(one, now), lambda: orders.place(one, now))

        assert isinstance(error, TooManyOrders)
        assert len(stored(app, Order)) == 1

    def test_of_pieces_holds_for_new_and_for_edited_orders(self, make_app):
        app = make_app(order_pieces=10)
        lamp, table = (make_product(app, price=100, stock=100) for _ in range(2))
        user = make_user(app)
        customer = signed_in(app, user)
        order = customer.post(URL, json={"items": [line(lamp, 6), line(table, 4)]}).json["id"]
        larger = make_order(app, user, {lamp: 20})

        for items in ([line(lamp, 7), line(table, 4)], [line(lamp, 11)]):
            for answer in (
                customer.post(URL, json={"items": items}),
                customer.patch(f"{URL}/{order}", json={"items": items}),
            ):
                assert (answer.status_code, answer.json["code"]) == (409, "limit_reached")
                assert answer.json["detail"] == "No more than 10 pieces in one order; these are 11."
        assert customer.patch(f"{URL}/{larger}", json={"items": [line(lamp, 19)]}).status_code == 200

    def test_of_unpaid_orders_ends_when_one_is_paid_or_cancelled(self, make_app, admin, lamp):
        app = make_app(orders_unpaid=1)
        customer = signed_in(app, make_user(app))
        order = customer.post(URL, json={"items": [line(lamp)]}).json["id"]

        refused = customer.post(URL, json={"items": [line(lamp)]})
        assert (refused.status_code, refused.json["code"]) == (409, "limit_reached")
        admin.patch(f"{URL}/{order}", json={"status": "paid"})
        order = customer.post(URL, json={"items": [line(lamp)]}).json["id"]
        customer.post(f"{URL}/{order}/cancel")
        assert customer.post(URL, json={"items": [line(lamp)]}).status_code == 201


class TestCodes:
    @pytest.mark.parametrize("typed", ["0123-4567", "o l 2 3 4 5 6 7", " 0i234567 ", "0123 4567", "O1234567"])
    def test_are_found_as_people_type_them(self, app, customer, user, lamp, typed):
        order = make_order(app, user, {lamp: 1})
        edit(app, Order, Order.id == order, code="01234567")

        found = customer.get(URL, query_string={"code": typed}).json

        assert [each["id"] for each in found] == [str(order)]


class TestCancel:
    def test_gives_the_stock_back_once(self, app, customer, user, lamp):
        order = make_order(app, user, {lamp: 3})

        cancelled = customer.post(f"{URL}/{order}/cancel")

        assert (cancelled.status_code, cancelled.json["status"]) == (200, "cancelled")
        again = customer.post(f"{URL}/{order}/cancel")
        assert (again.status_code, again.json["detail"]) == (409, "The order is cancelled already.")
        assert customer.get(f"/api/v1/products/{lamp}").json["stock"] == 5

    def test_of_somebody_elses_is_a_404_but_for_admins(self, app, admin, user, lamp):
        order = make_order(app, user, {lamp: 3})

        assert signed_in(app, make_user(app)).post(f"{URL}/{order}/cancel").status_code == 404
        assert admin.post(f"{URL}/{order}/cancel").json["history"][1]["by"] == "Grace"
