"""Carts: what users mean to order."""

from uuid import uuid4

import pytest

from aggregator.database import transaction
from aggregator.errors import Conflict, Invalid, NotFound
from aggregator.models import Cart, CartItem, Product
from aggregator.models.orders import MAX_LINES
from aggregator.services import carts
from tests.builders import edit, fill_cart, make_product, make_user, stored

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def user(app):
    return make_user(app)


@pytest.fixture
def lamp(app):
    return make_product(app, name="Lamp", price=500, stock=2_000)


def do(work, *arguments):
    with transaction():
        return work(*arguments)


def lines(app) -> dict:
    return {(item.user_id, item.product_id): item.quantity for item in stored(app, CartItem)}


class TestAdd:
    def test_what_is_in_there_already_counts(self, app, user, lamp, now):
        do(carts.add, user, lamp, 2, now)
        do(carts.add, user, lamp, 3, now)

        assert lines(app) == {(user, lamp): 5}
        assert [cart.updated_at for cart in stored(app, Cart)] == [now]

    def test_no_more_than_there_is_of_all_of_it_together(self, app, user, now):
        few = make_product(app, name="Few", price=1, stock=3)
        do(carts.add, user, few, 2, now)

        with pytest.raises(Conflict, match="'Few': only 3 left"):
            do(carts.add, user, few, 2, now)
        assert lines(app) == {(user, few): 2}

    def test_nothing_is_reserved(self, app, now):
        last = make_product(app, price=1, stock=1)
        for _ in range(2):
            do(carts.add, make_user(app), last, 1, now)

        assert len(lines(app)) == 2

    def test_no_more_than_a_thousand_of_a_product(self, app, user, lamp, now):
        do(carts.add, user, lamp, 1_000, now)

        with pytest.raises(Conflict, match="No more than 1000"):
            do(carts.add, user, lamp, 1, now)

    def test_no_more_than_a_hundred_products(self, app, user, lamp, now):
        products = [make_product(app, price=1, stock=1) for _ in range(MAX_LINES)]
        with transaction():
            for product in products:
                carts.add(user, product, 1, now)

        with pytest.raises(Conflict, match="100 products"):
            do(carts.add, user, lamp, 1, now)

    def test_what_never_was_is_invalid(self, user, now):
        with pytest.raises(Invalid):
            do(carts.add, user, uuid4(), 1, now)


class TestSetQuantity:
    def test_says_how_many_there_are_to_be(self, app, user, lamp, now):
        do(carts.add, user, lamp, 5, now)
        do(carts.set_quantity, user, lamp, 2, now)

        assert lines(app) == {(user, lamp): 2}

    def test_of_what_is_in_there_only(self, user, lamp, now):
        with pytest.raises(NotFound):
            do(carts.set_quantity, user, lamp, 2, now)

    def test_no_more_than_there_is(self, user, lamp, now):
        do(carts.add, user, lamp, 5, now)

        with pytest.raises(Conflict):
            do(carts.set_quantity, user, lamp, 2_001, now)


class TestRemoveAndEmpty:
    def test_a_product_that_is_not_sold_any_more_can_be_taken_out(self, app, user, lamp, now):
        do(carts.add, user, lamp, 5, now)
        edit(app, Product, price=None)
        do(carts.remove, user, lamp, now)

        assert lines(app) == {}
        with pytest.raises(NotFound):
            do(carts.remove, user, lamp, now)

    def test_everything_at_once_and_only_of_the_user(self, app, user, lamp, now):
        another, chair = make_user(app), make_product(app, price=1, stock=9)
        fill_cart(app, another, {lamp: 1})
        fill_cart(app, user, {lamp: 2, chair: 3})

        assert do(carts.empty, user, now) == {lamp: 2, chair: 3}
        assert do(carts.empty, user, now) == {}
        assert lines(app) == {(another, lamp): 1}
