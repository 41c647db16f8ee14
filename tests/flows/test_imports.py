"""Files that make the catalogue what they say."""

import json

import pytest

from aggregator.database import transaction
from aggregator.flows import imports
from aggregator.models import Change, Feed, MovementKind, Product, Registration, StockMovement
from aggregator.services import catalog, search
from aggregator.services.imports import Became
from aggregator.services.product_rows import Rejected, json_rows
from tests.builders import edit, make_category, make_product, stored

pytestmark = pytest.mark.usefixtures("context")
ADDED, UPDATED, UNCHANGED = Became


def run(*objects, how=imports.run, **options) -> list:
    """What became of the rows: in words, or the reasons against them."""
    outcomes = how(json_rows(json.dumps(each) for each in objects), **options)
    return [list(each.reasons) if isinstance(each, Rejected) else each[1] for each in outcomes]


def named(app) -> dict[str, Product]:
    return {product.name: product for product in stored(app, Product)}


class TestNewProducts:
    def test_are_there_with_all_that_belongs_to_them(self, app):
        category_id = make_category(app, "Lamps")
        row = {"name": "Lamp", "description": "Warm", "brand": "Aurelo", "category": "lamps", "price": 1999, "stock": 3}

        assert run(row) == [ADDED]

        (product,) = stored(app, Product)
        assert (product.name, product.brand, product.category_id) == ("Lamp", "Aurelo", category_id)
        assert (product.price, product.stock, product.rating, product.version) == (1999, 3, None, 1)
        assert [(feed.product_id, feed.status) for feed in stored(app, Feed)] == [(product.id, Registration.PENDING)]
        assert [(m.kind, m.quantity) for m in stored(app, StockMovement)] == [(MovementKind.IMPORT, 3)]
        assert [(change.kind, change.product_id) for change in stored(app, Change)] == [("product.created", product.id)]
        with transaction():
            assert search.of(product.id) == ["aurelo", "lamp", "warm"]

    def test_may_bring_an_id(self, app):
        id = "e262b9d9-687b-44d1-9202-6b0e85f84b4e"

        assert run({"id": id, "name": "Lamp"}) == [ADDED]
        assert run({"id": id, "name": "Lantern"}) == [UPDATED]
        assert str(named(app)["Lantern"].id) == id

    def test_need_a_name(self):
        assert run({"id": "e262b9d9-687b-44d1-9202-6b0e85f84b4e"}) == [["name: A new product needs one."]]


class TestProductsThatAreThere:
    def test_are_found_by_name_and_only_what_is_said_changes(self, app):
        make_product(app, {"status": "refused"}, name="Lamp", description="Warm", price=1, stock=5)

        assert run({"name": "Lamp", "price": 2, "stock": 3}) == [UPDATED]

        (product,) = stored(app, Product)
        assert (product.description, product.price, product.stock, product.version) == ("Warm", 2, 3, 2)
        assert [(m.kind, m.quantity) for m in stored(app, StockMovement)][-1] == (MovementKind.IMPORT, -2)
        assert stored(app, Feed)[0].status == Registration.PENDING  # a refused one gets another try

    def test_that_say_the_same_already_are_left_alone(self, app):
        make_product(app, name="Lamp", price=1)

        assert run({"name": "Lamp", "price": 1}) == [UNCHANGED]
        assert stored(app, Product)[0].version == 1
        assert stored(app, Change) == []

    def test_keep_their_names_to_themselves(self, app):
        lamp, chair = make_product(app, name="Lamp"), make_product(app, name="Chair")

        assert run({"id": str(lamp), "name": "Chair"}) == [["name: There is a product named 'Chair' already."]]
        assert run({"id": str(chair), "name": "Stool"}, {"id": str(lamp), "name": "Chair"}) == [UPDATED, UPDATED]
        assert named(app)["Chair"].id == lamp

    def test_that_were_deleted_stay_so(self, app, now):
        product_id = make_product(app, name="Lamp")
        with transaction():
            catalog.remove(product_id, now)

        assert run({"id": str(product_id), "name": "Lamp"}) == [["id: The product has been deleted."]]
        assert run({"name": "Lamp"}) == [ADDED]

    def test_are_in_categories_that_there_are(self, app):
        make_product(app, name="Lamp")

        assert run({"name": "Lamp", "category": "lamps"}) == [["category: There is no category 'lamps'."]]


class TestCategories:
    @pytest.fixture
    def lamp(self, app):
        category_id = make_category(app, "Kettles")
        make_product(app, name="Lamp", category_id=category_id)
        return str(category_id)

    def category(self, app) -> str:
        return str(named(app)["Lamp"].category_id)

    def test_with_an_id_and_no_slug_leave_a_product_where_it_is(self, app, lamp):
        assert run({"name": "Lamp", "category": {"id": lamp, "name": "Kettles"}}) == [UNCHANGED]
        assert self.category(app) == lamp

    def test_are_found_by_whatever_names_them(self, app, lamp):
        other = str(make_category(app, "Others"))
        unknown = "e262b9d9-687b-44d1-9202-6b0e85f84b4e"
        ways = ["others", other, {"id": other}, {"slug": "others"}, {"id": other, "slug": "gone"}]

        for way in [*ways, {"id": unknown, "slug": "others"}]:
            assert run({"name": "Lamp", "category": lamp}, {"name": "Lamp", "category": way})[-1] is UPDATED, way
            assert self.category(app) == other

    def test_that_contradict_themselves_are_refused(self, app, lamp):
        other = str(make_category(app, "Others"))

        assert run({"name": "Lamp", "category": {"id": other, "slug": "kettles"}}) == [
            ["category: Its id and its slug are of two categories."]
        ]
        assert self.category(app) == lamp


class TestSeveralRows:
    def test_about_the_same_product_come_one_after_the_other(self, app):
        rows = [{"name": "Lamp", "price": price} for price in (1, 2, 2)]

        assert run(*rows) == [ADDED, UPDATED, UNCHANGED]
        (product,) = stored(app, Product)
        assert (product.price, product.version) == (2, 1)

    def test_a_bad_one_costs_only_itself(self, app, monkeypatch):
        monkeypatch.setattr(imports, "BATCH", 2)
        rows = [{"name": "A"}, {"name": "B", "price": -1}, {"name": "C"}, {"colour": 1}, {"name": "D"}]

        assert [outcome if outcome is ADDED else "bad" for outcome in run(*rows)] == [ADDED, "bad", ADDED, "bad", ADDED]
        assert sorted(named(app)) == ["A", "C", "D"]

    def test_what_the_database_refuses_costs_only_itself(self, app):
        make_product(app, name="Taken")
        edit(app, Product, Product.name == "Taken", price=None)

        # The id of a product that is not living is not found by its name.
        product_id = str(stored(app, Product)[0].id)
        assert run({"name": "A"}, {"id": product_id, "price": 5}, {"name": "B"}) == [ADDED, UPDATED, ADDED]


class TestDryRun:
    def test_tells_what_would_be_and_does_nothing(self, app):
        make_product(app, name="Lamp", price=1)

        assert run({"name": "Lamp", "price": 2}, {"name": "Chair"}, dry_run=True) == [UPDATED, ADDED]
        assert {name: product.price for name, product in named(app).items()} == {"Lamp": 1}


class TestAllOrNothing:
    def test_does_all_where_nothing_is_wrong(self, app):
        assert run({"name": "A"}, {"name": "B"}, how=imports.run_whole) == [ADDED, ADDED]
        assert sorted(named(app)) == ["A", "B"]
        assert len(stored(app, Change)) == 2

    def test_does_nothing_where_one_row_is_wrong(self, app, monkeypatch):
        monkeypatch.setattr(imports, "BATCH", 2)
        rows = [{"name": "A"}, {"name": "B"}, {"name": "C", "category": "none"}, {"name": 5}]

        assert run(*rows, how=imports.run_whole) == [
            ["category: There is no category 'none'."],
            ["name: Must be a text of 1 to 255 characters."],
        ]
        assert (named(app), stored(app, Change)) == ({}, [])
