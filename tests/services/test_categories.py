"""The tree of categories."""

from threading import Barrier, Thread
from uuid import uuid4

import pytest

from aggregator.database import db, in_transaction, transaction
from aggregator.errors import CategoryTooDeep, Conflict, Invalid, NotFound
from aggregator.models import AlertState, Category, Product
from aggregator.services import catalog, categories, imports
from aggregator.services.product_rows import Row
from tests.builders import edit, make_alert, make_category, make_product, make_user, stored
from tests.waiting import while_open

pytestmark = pytest.mark.usefixtures("context")


def change(category_id, now, **fields) -> None:
    with transaction():
        categories.change(category_id, fields, now)


def remove(category_id) -> None:
    with transaction():
        categories.remove(category_id)


def errors(raised) -> dict:
    return raised.value.extra["errors"]["json"]


class TestSlugs:
    @pytest.mark.parametrize(
        ("name", "slug"),
        [
            ("Garden chairs", "garden-chairs"),
            ("  Café & Bar!", "cafe-bar"),
            ("Łódź", "lodz"),  # the stroke through a letter is no accent that could be left out
            ("Straße", "strasse"),
            ("A--B", "a-b"),
            ("漢字", ""),
            ("x" * 200, "x" * 120),
            ("x" * 119 + " y", "x" * 119),
        ],
    )
    def test_are_made_of_names(self, name, slug):
        assert categories.slug_of(name) == slug

    @pytest.mark.parametrize("slug", ["A", "a b", "-a", "a-", "a--b", "a_b", "ä", ""])
    def test_that_would_not_do_in_a_url_are_refused(self, slug, now):
        with pytest.raises(Invalid) as raised, transaction():
            categories.add({"name": "Chairs", "slug": slug}, now)

        assert list(errors(raised)) == ["slug"]

    def test_are_unique(self, app):
        make_category(app, "Chairs")

        with pytest.raises(Conflict, match="'chairs' already"):
            make_category(app, "Chairs")
        make_category(app, "Chairs", slug="other-chairs")
        assert sorted(category.slug for category in stored(app, Category)) == ["chairs", "other-chairs"]


class TestTheTree:
    @pytest.fixture
    def tree(self, app):
        """Furniture, which has seats, which have chairs."""
        furniture = make_category(app, "Furniture")
        seats = make_category(app, "Seats", parent_id=furniture)
        return furniture, seats, make_category(app, "Chairs", parent_id=seats)

    def test_knows_what_is_a_part_of_what(self, tree):
        furniture, seats, chairs = tree

        with transaction():
            found = categories.ancestors()
        assert found == {furniture: {furniture}, seats: {seats, furniture}, chairs: {chairs, seats, furniture}}

    @pytest.mark.parametrize("part", [0, 1, 2])
    def test_has_no_circles(self, app, tree, now, part):
        with pytest.raises(Invalid) as raised:
            change(tree[0], now, parent_id=tree[part])

        assert errors(raised) == {"parent_id": ["It is a part of this category itself."]}
        assert {c.id: c.parent_id for c in stored(app, Category)}[tree[0]] is None

    def test_has_no_circles_when_two_move_at_once(self, app, now):
        left, right = make_category(app, "Left"), make_category(app, "Right")
        both = Barrier(2)

        def move(category_id, parent_id) -> None:
            with app.app_context():
                both.wait()
                try:
                    in_transaction(lambda: categories.change(category_id, {"parent_id": parent_id}, now))
                except Invalid:
                    return

        threads = [Thread(target=move, args=pair) for pair in ((left, right), (right, left))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert sorted(category.parent_id is None for category in stored(app, Category)) == [False, True]

    def test_has_no_circles_when_each_of_two_moves_under_a_part_of_the_other(self, app, now):
        left, right = make_category(app, "Left"), make_category(app, "Right")
        parts = {root: make_category(app, f"Part of {root}", parent_id=root) for root in (left, right)}

        def move(category_id, parent_id):
            return lambda: categories.change(category_id, {"parent_id": parent_id}, now)

        error = while_open(app, move(left, parts[right]), move(right, parts[left]))

        assert isinstance(error, Invalid)
        assert error.extra["errors"]["json"] == {"parent_id": ["It is a part of this category itself."]}
        with transaction():
            assert categories.ancestors()[left] == {left, parts[right], right}

    def test_ends_at_a_depth_of_ten(self, app, now):
        parent_id = None
        for number in range(10):
            parent_id = make_category(app, f"Level {number}", parent_id=parent_id)

        with pytest.raises(CategoryTooDeep):
            make_category(app, "Too deep", parent_id=parent_id)
        above = make_category(app, "Above")
        root = next(category.id for category in stored(app, Category) if category.name == "Level 0")
        with pytest.raises(Invalid) as raised:
            change(root, now, parent_id=above)
        assert errors(raised) == {"parent_id": ["The tree would be more than 10 categories deep."]}

    def test_needs_a_parent_that_there_is(self, app):
        with pytest.raises(Invalid) as raised:
            make_category(app, "Chairs", parent_id=uuid4())

        assert errors(raised) == {"parent_id": ["There is no such category."]}

    def test_a_part_can_be_taken_out(self, app, tree, now):
        change(tree[2], now, parent_id=None)

        assert {c.id: c.parent_id for c in stored(app, Category)} == {tree[0]: None, tree[1]: tree[0], tree[2]: None}


class TestAlertsOfCategories:
    """They go by what has happened while a product was in them."""

    @pytest.fixture
    def told(self, app, now):
        """Makes a product in a category, and alerts that have seen it: of the category, and of the product itself."""

        def told(category_id, watched_id):
            user_id, product_id = make_user(app), make_product(app, category_id=category_id)
            of_category = make_alert(app, user_id, None, category_id=watched_id)
            of_product = make_alert(app, user_id, product_id)
            with transaction():
                db.session.add_all([AlertState(alert_id=id, product_id=product_id) for id in (of_category, of_product)])
            return product_id, of_category, of_product

        return told

    def seen(self, app) -> set:
        return {state.alert_id for state in stored(app, AlertState)}

    def test_begin_anew_with_a_product_that_moves(self, app, now, told):
        category_id, elsewhere = make_category(app), make_category(app)
        product_id, of_category, of_product = told(category_id, category_id)
        _, *others = told(category_id, elsewhere)

        with transaction():
            catalog.change(product_id, {"category_id": category_id, "name": "Lamp"}, now)
        assert self.seen(app) == {of_category, of_product, *others}
        with transaction():
            catalog.change(product_id, {"category_id": elsewhere}, now)
        assert self.seen(app) == {of_product, *others}

    def test_begin_anew_with_products_that_an_import_moves(self, app, now, told):
        category_id = make_category(app, "Chairs")
        product_id, of_category, of_product = told(category_id, category_id)

        for fields, seen in (({"stock": 5}, {of_category, of_product}), ({"category": None}, {of_product})):
            with transaction():
                imports.put([Row(1, {"id": product_id} | fields)], now)
            assert self.seen(app) == seen

    def test_begin_anew_with_all_that_is_in_a_category_that_moves(self, app, now, told):
        root, furniture, garden = make_category(app), make_category(app), make_category(app)
        seats = make_category(app, parent_id=furniture)
        _, _, of_product = told(make_category(app, parent_id=seats), root)
        _, _, of_another = told(seats, furniture)
        _, *elsewhere = told(furniture, furniture)

        before = self.seen(app)
        change(seats, now, name="Seats", parent_id=furniture)
        assert self.seen(app) == before
        change(seats, now, parent_id=garden)
        assert self.seen(app) == {of_product, of_another, *elsewhere}


class TestRemove:
    def test_leaves_nothing(self, app):
        remove(make_category(app))

        assert stored(app, Category) == []

    def test_of_one_in_use_says_what_is_in_it(self, app):
        category_id = make_category(app)
        make_category(app, parent_id=category_id)
        for _ in range(2):
            make_product(app, category_id=category_id)

        with pytest.raises(Conflict, match=r"^It holds 2 products, 1 part\.$"):
            remove(category_id)
        assert len(stored(app, Category)) == 2

    def test_forgets_it_where_only_deleted_products_were_in_it(self, app, now):
        category_id = make_category(app)
        product_id = make_product(app, category_id=category_id)
        with transaction():
            catalog.remove(product_id, now)

        remove(category_id)

        assert stored(app, Product)[0].category_id is None
        assert stored(app, Category) == []

    def test_of_none_is_not_found(self):
        with pytest.raises(NotFound):
            remove(uuid4())

    def test_is_told_of_a_product_that_comes_in_at_the_same_moment(self, app):
        category_id = make_category(app)
        product_id = make_product(app)
        edit(app, Product, Product.id == product_id, category_id=category_id)

        with pytest.raises(Conflict, match="It holds 1 product, 0 parts"):
            remove(category_id)
