"""/api/v1/cart: what somebody means to order."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregator.models import CartItem, Product
from aggregator.schemas.carts import CartItemSchema, CartSchema
from tests.builders import LONG_AGO, edit, fill_cart, make_product, make_user
from tests.conftest import signed_in

URL = "/api/v1/cart"
ITEMS = f"{URL}/items"
EMPTY = {"items": [], "count": 0, "total": 0, "currency": "EUR"}


@pytest.fixture
def user(app):
    return make_user(app)


@pytest.fixture
def customer(app, user):
    return signed_in(app, user)


@pytest.fixture
def lamp(app):
    return make_product(app, name="Lamp", price=1999, stock=5)


def line(product_id, quantity=1) -> dict:
    return {"product_id": str(product_id), "quantity": quantity}


def item(product_id, **fields) -> dict:
    lamp = {"name": "Lamp", "quantity": 1, "unit_price": 1999, "total": 1999, "available": 5}
    return {"product_id": str(product_id)} | lamp | fields


class TestShow:
    def test_there_is_an_empty_one_before_anything_is_in_it(self, customer):
        assert customer.get(URL).json == EMPTY

    def test_adds_up_in_the_order_in_which_it_was_filled(self, app, customer, user, lamp):
        chair = make_product(app, name="Chair", price=10**12, stock=1_000)
        fill_cart(app, user, {lamp: 2, chair: 1_000})
        edit(app, CartItem, CartItem.product_id == lamp, added_at=LONG_AGO)

        cart = customer.get(URL).json

        first = item(lamp, quantity=2, total=3_998)
        second = item(chair, name="Chair", quantity=1_000, unit_price=10**12, total=10**15, available=1_000)
        assert cart == {"items": [first, second], "count": 1_002, "total": 10**15 + 3_998, "currency": "EUR"}
        assert list(cart) == list(CartSchema().fields)
        assert list(cart["items"][0]) == list(CartItemSchema().fields)

    def test_has_prices_and_stocks_as_they_are_now(self, app, customer, user, lamp):
        fill_cart(app, user, {lamp: 2})
        tag = customer.get(URL).headers["ETag"]
        assert customer.get(URL, headers={"If-None-Match": tag}).status_code == 304
        edit(app, Product, price=5, stock=1)

        shown = customer.get(URL, headers={"If-None-Match": tag})

        assert shown.json["items"] == [item(lamp, quantity=2, unit_price=5, total=10, available=1)]

    @pytest.mark.parametrize("fields", [{"price": None}, {"deleted_at": LONG_AGO + timedelta(1)}])
    def test_what_is_not_sold_any_more_stays_in_sight(self, app, customer, user, lamp, fields):
        fill_cart(app, user, {lamp: 2})
        edit(app, Product, **fields)

        cart = customer.get(URL).json

        assert cart["items"] == [item(lamp, quantity=2, unit_price=None, total=0, available=0)]
        assert (cart["count"], cart["total"]) == (2, 0)
        assert customer.post(f"{URL}/checkout").status_code == 409
        assert customer.delete(f"{ITEMS}/{lamp}").status_code == 204


class TestAdd:
    def test_answers_with_the_cart(self, customer, lamp):
        customer.post(ITEMS, json=line(lamp))

        answer = customer.post(ITEMS, json=line(lamp, 2))

        assert (answer.status_code, answer.json) == (201, customer.get(URL).json)
        assert answer.json["items"] == [item(lamp, quantity=3, total=5_997)]

    def test_more_than_there_is_is_a_409_that_says_what_is_left(self, customer, lamp):
        customer.post(ITEMS, json=line(lamp, 3))

        answer = customer.post(ITEMS, json=line(lamp, 3))

        assert answer.status_code == 409
        assert answer.json["detail"] == "'Lamp': only 5 left."
        told = {"product_id": str(lamp), "product_name": "Lamp", "quantity": 6, "available": 5}
        assert answer.json["errors"] == {"items": [told]}
        assert customer.get(URL).json["count"] == 3

    def test_what_is_not_sold_is_a_409(self, app, customer):
        answer = customer.post(ITEMS, json=line(make_product(app, name="Show-piece", stock=5)))

        assert (answer.status_code, answer.json["detail"]) == (409, "'Show-piece' is not sold here.")

    def test_what_is_not_there_is_a_422(self, customer):
        answer = customer.post(ITEMS, json=line(uuid4()))

        assert answer.status_code == 422
        assert answer.json["errors"] == {"json": {"product_id": ["There is no such product."]}}

    @pytest.mark.parametrize("quantity", [0, -1, 1_001, 1.5, "1", None, True])
    def test_a_quantity_that_makes_no_sense_is_a_422(self, customer, lamp, quantity):
        answer = customer.post(ITEMS, json={"product_id": str(lamp), "quantity": quantity})

        assert (answer.status_code, list(answer.json["errors"]["json"])) == (422, ["quantity"])


class TestChange:
    @pytest.mark.parametrize("method", ["put", "patch"])
    def test_sets_how_many_there_are_to_be(self, customer, lamp, method):
        customer.post(ITEMS, json=line(lamp, 5))

        answer = getattr(customer, method)(f"{ITEMS}/{lamp}", json={"quantity": 2})

        assert (answer.status_code, answer.json["items"]) == (200, [item(lamp, quantity=2, total=3_998)])
        too_many = getattr(customer, method)(f"{ITEMS}/{lamp}", json={"quantity": 6})
        assert (too_many.status_code, too_many.json["errors"]["items"][0]["available"]) == (409, 5)

    def test_what_is_not_in_there_is_a_404(self, customer, lamp):
        for answer in (
            customer.put(f"{ITEMS}/{lamp}", json={"quantity": 2}),
            customer.patch(f"{ITEMS}/{uuid4()}", json={"quantity": 2}),
            customer.delete(f"{ITEMS}/{lamp}"),
        ):
            assert answer.status_code == 404

    def test_takes_out_one_or_all(self, app, customer, user, lamp):
        chair, shelf = (make_product(app, price=1, stock=1) for _ in range(2))
        fill_cart(app, user, {lamp: 1, chair: 1, shelf: 1})

        assert customer.delete(f"{ITEMS}/{chair}").status_code == 204
        assert {found["product_id"] for found in customer.get(URL).json["items"]} == {str(lamp), str(shelf)}
        assert customer.delete(URL).status_code == 204
        assert customer.get(URL).json == EMPTY
        assert customer.delete(URL).status_code == 204


def test_everybody_has_one_of_their_own(app, customer, lamp):
    customer.post(ITEMS, json=line(lamp))

    assert signed_in(app, make_user(app)).get(URL).json == EMPTY
