"""The house's own stock, and the ledger that explains it."""

from uuid import UUID, uuid4

import pytest

from aggregator.database import db, transaction
from aggregator.errors import Conflict, Invalid
from aggregator.models import MAX_STOCK, Change, MovementKind, Product, StockMovement
from aggregator.services import catalog, stock
from aggregator.services.stock import Article
from tests.builders import LONG_AGO, claim, fill_cart, make_product, make_user, stored

pytestmark = pytest.mark.usefixtures("context")


def stocks(app) -> dict[UUID, int]:
    return {product.id: product.stock for product in stored(app, Product)}


def ledger(app) -> list[tuple[str, int]]:
    return [(movement.kind.value, movement.quantity) for movement in stored(app, StockMovement)]


class TestMove:
    def test_takes_and_gives_back_and_tells_what_was_taken_as_it_is_sold(self, app):
        lamp, chair = make_product(app, name="Lamp", price=500, stock=5), make_product(app, price=100, stock=1)
        with transaction():
            moved = stock.move({lamp: -5, chair: 3})

        assert moved == {lamp: Article("Lamp", 500)}
        assert stocks(app) == {lamp: 0, chair: 4}

    def test_counts_as_an_edit_so_that_nobody_overwrites_it_unseen(self, app):
        lamp = make_product(app, price=500, stock=5)
        with transaction():
            stock.move({lamp: -1})

        (product,) = stored(app, Product)
        assert (product.version, product.updated_at) == (2, LONG_AGO)

    def test_names_all_of_which_there_is_not_enough_and_takes_nothing(self, app):
        there = make_product(app, name="There", price=1, stock=9)
        few = make_product(app, name="Few", price=1, stock=2)
        out = make_product(app, name="Out", price=1, stock=0)
        free = make_product(app, name="Unpriced", stock=9)
        gone = make_product(app, name="Gone", price=1, stock=9, deleted_at=LONG_AGO)
        with pytest.raises(Conflict) as refusal, transaction():
            stock.move(dict.fromkeys((there, few, out, free, gone), -3))

        items = refusal.value.extra["errors"]["items"]
        assert {item["product_name"]: (item["quantity"], item["available"]) for item in items} == {
            "Few": (3, 2),
            "Out": (3, 0),
            "Unpriced": (3, 0),
            "Gone": (3, 0),
        }
        assert {UUID(item["product_id"]) for item in items} == {few, out, free, gone}
        words = {
            "'Few': only 2 left.",
            "'Out' is sold out.",
            "'Unpriced' is not sold here.",
            "'Gone' is not sold here.",
        }
        assert all(word in refusal.value.detail for word in words)
        assert stocks(app)[there] == 9

    def test_what_never_was_is_invalid(self, app):
        unknown, few = uuid4(), make_product(app, price=1, stock=2)
        with pytest.raises(Invalid, match=str(unknown)), transaction():
            stock.move({unknown: -1, few: -3})

    def test_gives_back_to_what_is_not_sold_any_more(self, app):
        gone = make_product(app, stock=1, deleted_at=LONG_AGO)
        with transaction():
            stock.move({gone: 2})

        assert stocks(app) == {gone: 3}

    def test_gives_back_no_more_than_can_be_counted(self, app):
        full = make_product(app, name="Sand", price=1, stock=MAX_STOCK)
        with pytest.raises(Conflict, match="The stock of 'Sand' would exceed 1000000000"), transaction():
            stock.move({full: 1})


class TestRequire:
    @pytest.mark.parametrize(("price", "quantity"), [(100, 3), (None, 1)])
    def test_refuses_what_could_not_be_sold_now(self, app, price, quantity):
        product = make_product(app, price=price, stock=2)

        with transaction():
            with pytest.raises(Conflict):
                stock.require(product, quantity)
            if price:
                stock.require(product, 2)

    def test_what_never_was_is_invalid(self):
        with pytest.raises(Invalid), transaction():
            stock.require(uuid4(), 1)


class TestTheCatalogue:
    def test_a_new_product_has_its_first_stock_in_the_ledger(self, app, now):
        with transaction():
            catalog.add(uuid4(), {"name": "Lamp", "description": "", "stock": 5}, now)
            catalog.add(uuid4(), {"name": "Chair", "description": ""}, now)

        assert ledger(app) == [("initial", 5)]

    def test_an_edit_of_the_stock_is_the_difference_to_what_there_was(self, app, now):
        product = make_product(app, stock=5)
        for number in (8, 8, 2):
            with transaction():
                catalog.change(product, {"stock": number}, now)

        assert ledger(app) == [("initial", 5), ("adjust", 3), ("adjust", -6)]

    def test_many_at_once_have_theirs_as_well(self, app, now):
        fields = [{"id": uuid4(), "name": f"P{stock}", "description": "", "stock": stock} for stock in (0, 3, 4)]
        with transaction():
            assert catalog.add_missing([*fields, fields[1]], now) == 3
            assert catalog.add_missing(fields, now) == 0

        assert sorted(ledger(app)) == [("initial", 3), ("initial", 4)]

    def test_a_product_that_is_withdrawn_takes_its_ledger_along(self, app, now):
        product = make_product(app, stock=5)
        (claimed,) = claim(app, product)
        with transaction():
            assert catalog.withdraw(claimed, now)

        assert (ledger(app), stocks(app)) == ([], {})

    def test_one_that_is_in_a_cart_already_is_deleted_instead(self, app, now):
        product = make_product(app, price=1, stock=5)
        fill_cart(app, make_user(app), {product: 1})
        (claimed,) = claim(app, product)
        with transaction():
            assert catalog.withdraw(claimed, now)

        assert stored(app, Product)[0].deleted_at == now
        assert ledger(app) == [("initial", 5)]
        assert [change.kind for change in stored(app, Change)] == ["product.deleted"]


def test_the_ledger_keeps_no_movement_of_nothing(app, now):
    product = make_product(app)
    with transaction():
        stock.note(MovementKind.ADJUST, {product: 0}, now)
        assert db.session.query(StockMovement).count() == 0
