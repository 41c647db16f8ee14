"""What two transactions at once do to one another's references and names: words for the second, and never a 500."""

from uuid import uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from aggregator.database import db, transaction
from aggregator.errors import Conflict, Invalid, NotFound
from aggregator.models import Alert, AlertKind, Base, Category, Product, Registration, Role, User
from aggregator.services import (
    accounts,
    alerts,
    carts,
    catalog,
    categories,
    constraints,
    images,
    imports,
    orders,
    samples,
)
from aggregator.services.orders import Purchase
from aggregator.services.passwords import NOBODYS
from aggregator.services.product_fields import CategoryName
from aggregator.services.product_rows import Rejected, Row
from tests.builders import claim, edit, make_category, make_product, make_user, stored
from tests.waiting import while_open

pytestmark = pytest.mark.usefixtures("context")

NO_CATEGORY, NO_PRODUCT = ["There is no such category."], ["There is no such product."]


def product(**fields):
    return {"name": f"Product {uuid4()}", "description": "", **fields}


def fields_of(error) -> dict:
    assert isinstance(error, Invalid), error
    return error.extra["errors"]["json"]


class TestACategoryThatIsDeletedMeanwhile:
    def test_has_no_new_product(self, app, now):
        category_id = make_category(app)

        error = while_open(
            app,
            lambda: categories.remove(category_id),
            lambda: catalog.add(uuid4(), product(category_id=category_id), now),
        )

        assert fields_of(error) == {"category_id": NO_CATEGORY}
        assert stored(app, Product) == stored(app, Category) == []

    def test_gets_no_product_from_elsewhere(self, app, now):
        category_id, product_id = make_category(app), make_product(app)

        error = while_open(
            app,
            lambda: categories.remove(category_id),
            lambda: catalog.change(product_id, {"category_id": category_id}, now),
        )

        assert fields_of(error) == {"category_id": NO_CATEGORY}

    @pytest.mark.parametrize("moved", [False, True])
    def test_gets_no_part(self, app, now, moved):
        category_id, other_id = make_category(app), make_category(app)

        error = while_open(
            app,
            lambda: categories.remove(category_id),
            lambda: (
                categories.change(other_id, {"parent_id": category_id}, now)
                if moved
                else categories.add({"name": "Part", "parent_id": category_id}, now)
            ),
        )

        assert fields_of(error) == {"parent_id": NO_CATEGORY}

    def test_gets_no_alert(self, app, now):
        category_id, user_id = make_category(app), make_user(app)
        wish = {"kind": AlertKind.ANY_CHANGE, "category_id": category_id, "by_mail": True, "by_webhook": False}

        error = while_open(app, lambda: categories.remove(category_id), lambda: alerts.add(user_id, wish, now))

        assert fields_of(error) == {"category_id": NO_CATEGORY}
        assert stored(app, Alert) == []

    def test_costs_an_import_the_row_that_names_it(self, app, now):
        category_id = make_category(app, "Chairs")
        rows = [Row(1, {"name": "Lamp", "category": CategoryName(slug="chairs")}), Row(2, {"name": "Table"})]

        done = while_open(app, lambda: categories.remove(category_id), lambda: imports.put(rows, now))

        rejected, _ = done.outcomes
        assert rejected == Rejected(1, ("category: There is no category 'chairs'.",))
        assert [product.name for product in stored(app, Product)] == ["Table"]

    def test_is_made_again_by_samples(self, app, now):
        category_id = make_category(app, "Home")

        def add() -> int:
            known = categories.add_missing(samples.CATEGORIES, now)
            return catalog.add_missing(list(samples.products(3, categories=known)), now)

        assert while_open(app, lambda: categories.remove(category_id), add) == 3


class TestACategoryThatIsReferredToMeanwhile:
    def test_stays_for_a_new_product(self, app, now):
        category_id = make_category(app)

        error = while_open(
            app,
            lambda: catalog.add(uuid4(), product(category_id=category_id), now),
            lambda: categories.remove(category_id),
        )

        assert isinstance(error, Conflict)
        assert error.detail == "It holds 1 product, 0 parts."

    def test_stays_for_a_new_part(self, app, now):
        category_id = make_category(app)

        error = while_open(
            app,
            lambda: categories.add({"name": "Part", "parent_id": category_id}, now),
            lambda: categories.remove(category_id),
        )

        assert isinstance(error, Conflict)
        assert error.detail == "It holds 0 products, 1 part."

    def test_stays_for_samples_until_their_products_are_there(self, app, now):
        home = make_category(app, "Home")

        def add() -> None:
            known = categories.add_missing(samples.CATEGORIES, now)
            catalog.add_missing(list(samples.products(12, categories=known)), now)

        error = while_open(app, add, lambda: categories.remove(home))

        assert isinstance(error, Conflict)
        assert error.detail == "It holds 0 products, 3 parts."


class TestAProductThatIsDeletedMeanwhile:
    def test_gets_no_alert(self, app, now):
        product_id, user_id = make_product(app), make_user(app)
        wish = {"kind": AlertKind.ANY_CHANGE, "product_id": product_id, "by_mail": True, "by_webhook": False}

        error = while_open(app, lambda: catalog.remove(product_id, now), lambda: alerts.add(user_id, wish, now))

        assert fields_of(error) == {"product_id": NO_PRODUCT}

    @pytest.fixture
    def withdrawn(self, app, now):
        """A product whose row goes, because the offers service has refused it, and what takes it back."""
        product_id = make_product(app, {"status": Registration.PENDING}, price=100, stock=5)
        (claimed,) = claim(app, product_id)
        return product_id, lambda: catalog.withdraw(claimed, now)

    def test_that_was_never_registered_gets_no_alert(self, app, now, withdrawn):
        product_id, withdraw = withdrawn
        user_id = make_user(app)
        wish = {"kind": AlertKind.ANY_CHANGE, "product_id": product_id, "by_mail": True, "by_webhook": False}

        error = while_open(app, withdraw, lambda: alerts.add(user_id, wish, now))

        assert fields_of(error) == {"product_id": NO_PRODUCT}

    def test_that_was_never_registered_goes_into_no_cart_and_no_order(self, app, now, withdrawn):
        product_id, withdraw = withdrawn
        user_id = make_user(app)

        def buy() -> None:
            with pytest.raises(Invalid) as raised:
                carts.add(user_id, product_id, 1, now)
            assert fields_of(raised.value) == {"product_id": NO_PRODUCT}
            orders.place(Purchase(user_id, "EUR", {product_id: 1}), now)

        assert fields_of(while_open(app, withdraw, buy)) == {"items": NO_PRODUCT}
        assert stored(app, Product) == []

    def test_that_was_never_registered_gets_no_image(self, app, now, withdrawn):
        product_id, withdraw = withdrawn

        assert isinstance(while_open(app, withdraw, lambda: images.add(uuid4(), product_id, now)), NotFound)


class TestANameThatIsTakenMeanwhile:
    def test_of_a_product(self, app, now):
        error = while_open(
            app,
            lambda: catalog.add(uuid4(), product(name="Lamp"), now),
            lambda: catalog.add(uuid4(), product(name="Lamp"), now),
        )

        assert isinstance(error, Conflict)
        assert error.detail == "There is a product named 'Lamp' already."

    def test_of_a_product_that_is_renamed(self, app, now):
        product_id = make_product(app)

        error = while_open(
            app,
            lambda: catalog.add(uuid4(), product(name="Lamp"), now),
            lambda: catalog.change(product_id, {"name": "Lamp"}, now),
        )

        assert isinstance(error, Conflict)

    def test_of_a_category(self, app, now):
        error = while_open(
            app, lambda: categories.add({"name": "Chairs"}, now), lambda: categories.add({"name": "Chairs"}, now)
        )

        assert isinstance(error, Conflict)
        assert error.detail == "There is a category with the slug 'chairs' already."

    @pytest.mark.parametrize(
        ("name", "email"), [("ADA", "other@example.com"), ("other", "Ada@example.com"), ("ada", "ada@example.com")]
    )
    def test_of_a_user(self, app, now, name, email):
        error = while_open(
            app,
            lambda: accounts.add("ada", "ada@example.com", NOBODYS, Role.CUSTOMER, now),
            lambda: accounts.add(name, email, NOBODYS, Role.CUSTOMER, now),
        )

        assert isinstance(error, Conflict)
        assert error.detail == "This name or address is taken."

    def test_of_an_address_that_another_user_wants(self, app, now):
        one, two = make_user(app), make_user(app)

        def want(user_id):
            return lambda: accounts.change_email(accounts.get(user_id), "ada@example.com", now)

        assert isinstance(while_open(app, want(one), want(two)), Conflict)
        assert sorted(user.email == "ada@example.com" for user in stored(app, User)) == [False, True]


class TestProblems:
    """The table that the last resort, an error of the database, is looked up in."""

    def broken(self, statement, **values) -> IntegrityError:
        with pytest.raises(IntegrityError) as raised, transaction():
            db.session.execute(statement, values)
        return raised.value

    def test_a_name_is_told_from_others_by_its_constraint_and_not_by_what_it_says(self, app, now):
        make_user(app, username="pk_products", email="products.id@example.com")
        row = {
            "id": uuid4(),
            "username": "other",
            "username_key": "pk_products",
            "email": "a@b.c",
            "email_key": "a@b.c",
        }
        row |= {"password_hash": "", "role": Role.CUSTOMER, "active": True, "created_at": now, "updated_at": now}

        error = self.broken(sa.insert(User), **row)

        assert constraints.broken(error) == "uq_users_username_key"
        problem = constraints.problem_of(error)
        assert isinstance(problem, Conflict)
        assert problem.detail == "This name or address is taken."

    def test_a_reference_to_nothing_names_the_field(self, app, backend):
        product_id = make_product(app)

        with pytest.raises(IntegrityError) as raised:
            edit(app, Product, Product.id == product_id, category_id=uuid4())

        problem = constraints.problem_of(raised.value)
        if backend == "postgresql":
            assert fields_of(problem) == {"category_id": NO_CATEGORY}
        else:  # which does not say what is broken
            assert isinstance(problem, Conflict)

    def test_a_row_that_is_not_possible_is_a_fault_of_ours(self, app):
        product_id = make_product(app)

        with pytest.raises(IntegrityError) as raised:
            edit(app, Product, Product.id == product_id, stock=-1)

        assert constraints.problem_of(raised.value) is None

    def test_every_name_in_the_table_is_a_constraint(self):
        unique = set(constraints._unique_names().values())
        foreign = {key.name for table in Base.metadata.sorted_tables for key in table.foreign_key_constraints}

        assert constraints.TAKEN.keys() <= unique
        assert constraints.FIELDS.keys() <= foreign


def test_removing_what_is_gone_is_not_found(app, now):
    category_id = make_category(app)

    error = while_open(app, lambda: categories.remove(category_id), lambda: categories.remove(category_id))

    assert isinstance(error, NotFound)
