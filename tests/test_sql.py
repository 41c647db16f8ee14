"""Pieces of SQL, the same on both databases."""

import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from aggregator.clock import utcnow
from aggregator.database import db, dialect, transaction
from aggregator.models import Product
from aggregator.models.base import Base
from aggregator.models.types import GUID, UTCDateTime, WholeNumber
from aggregator.reading import read
from aggregator.sql import (
    Rows,
    id_parameter,
    json_array,
    json_object,
    json_text,
    json_time,
    microseconds,
    moment_of,
    now_plus,
    sum_of_products,
    upsert,
)
from tests.builders import make_product

pytestmark = pytest.mark.usefixtures("context")
PRODUCTS = Base.metadata.tables["products"]
TEXTS = [
    "",
    " ",
    "a,b",
    "{}",
    "{a,b}",
    "NULL",
    "null",
    '"',
    "'",
    "\\",
    '\\"',
    "é 漢字 😀",
    "a\nb\tc",
    "%s :name ?",
    "[1]",
]
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)


def select(statement) -> list[tuple]:
    with transaction():
        return [tuple(row) for row in db.session.execute(statement)]


def value_of(expression: sa.ColumnElement) -> object:
    with transaction():
        return db.session.scalar(sa.select(expression))


class TestRows:
    def round_trip(self, *columns, **types) -> list[tuple]:
        rows = Rows(dialect(), **types)
        statement = sa.select(*rows.columns)
        with transaction():
            found = db.session.connection().execute(statement, rows.parameters(*columns))
            return [tuple(row) for row in found]

    @pytest.mark.parametrize(
        ("type_", "values"),
        [
            (sa.Integer(), [0, -1, 2**31 - 1, None]),
            (sa.BigInteger(), [2**63 - 1, -(2**63), 10**12, None]),
            (sa.Float(), [0.1, -2.5, 1e300, 1e-300, 3.0, None]),
            (sa.Text(), [*TEXTS, None]),
            (GUID(), [UUID(int=1), UUID(int=2**128 - 1)]),
            (UTCDateTime(), [MOMENT, datetime(2026, 1, 1, tzinfo=UTC), None]),
        ],
        ids=lambda value: type(value).__name__,
    )
    def test_every_type_comes_through_as_it_is(self, type_, values):
        given = [str(value) if isinstance(value, UUID) else value for value in values]

        assert self.round_trip(given, value=type_) == [(value,) for value in values]

    def test_columns_stay_side_by_side(self):
        found = self.round_trip(
            [1, 2, 3], ["a", None, "c"], [None, 2.5, 0.0], n=sa.Integer(), t=sa.Text(), f=sa.Float()
        )

        assert found == [(1, "a", None), (2, None, 2.5), (3, "c", 0.0)]

    def test_there_may_be_none(self):
        assert self.round_trip([], [], a=sa.Integer(), b=sa.Text()) == []

    def test_there_may_be_more_than_a_statement_has_parameters(self):
        found = self.round_trip(list(range(70_000)), ["x"] * 70_000, a=sa.Integer(), b=sa.Text())

        assert len(found) == 70_000
        assert found[-1] == (69_999, "x")

    def test_one_statement_serves_any_number_of_executions(self):
        rows = Rows(dialect(), a=sa.Integer())
        statement = sa.select(sa.func.sum(rows.columns.a))

        with transaction():
            connection = db.session.connection()
            sums = [connection.execute(statement, rows.parameters(list(range(n)))).scalar() for n in (2, 5, 9)]
        assert sums == [1, 10, 36]

    def test_they_can_be_joined_with_a_table(self, app):
        first, second = make_product(app, name="A"), make_product(app, name="B")
        rows = Rows(dialect(), id=GUID(), stock=sa.Integer())
        update = sa.update(PRODUCTS).where(PRODUCTS.c.id == rows.columns.id).values(stock=rows.columns.stock)
        with transaction():
            db.session.connection().execute(update, rows.parameters([str(first), str(second)], [7, 8]))

        assert select(sa.select(PRODUCTS.c.name, PRODUCTS.c.stock).order_by("name")) == [("A", 7), ("B", 8)]


class TestJson:
    @pytest.mark.parametrize("text", [*TEXTS, "\x01", "</script>", "\u2028"])
    def test_any_text_is_a_member(self, app, text):
        make_product(app, name="x", description=text)

        found = value_of(sa.cast(sa.select(json_object({"d": PRODUCTS.c.description})).scalar_subquery(), sa.Text))

        assert json.loads(found) == {"d": text}

    def test_numbers_nulls_and_objects_are_what_they_are(self, app):
        make_product(app, price=10**12, rating=4.3)
        inner = json_object({"brand": PRODUCTS.c.brand, "rating": PRODUCTS.c.rating})
        document = json_object({"price": PRODUCTS.c.price, "inner": inner, "id": PRODUCTS.c.id})

        ((text, product_id),) = select(sa.select(sa.cast(document, sa.Text), PRODUCTS.c.id))

        assert json.loads(text) == {
            "price": 10**12,
            "inner": {"brand": None, "rating": 4.3},
            "id": str(product_id),
        }

    def test_an_array_holds_the_rows_in_the_order_of_its_query(self, app):
        for name in ("b", "c", "a"):
            make_product(app, name=name)
        names = sa.select(json_object({"n": PRODUCTS.c.name}))

        def array(query) -> object:
            return json.loads(value_of(sa.cast(json_array(query), sa.Text)))

        assert array(names.order_by(PRODUCTS.c.name.desc())) == [{"n": "c"}, {"n": "b"}, {"n": "a"}]
        assert array(names.order_by(PRODUCTS.c.name).limit(1)) == [{"n": "a"}]
        assert array(names.where(sa.false())) == []

    @pytest.mark.parametrize(
        ("moment", "text"),
        [
            (MOMENT, "2026-01-02T03:04:05.678901Z"),
            (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000000Z"),
        ],
    )
    def test_a_moment_has_six_digits_and_a_z(self, app, moment, text):
        make_product(app, created_at=moment)

        assert value_of(json_time(PRODUCTS.c.created_at)) == text

    @pytest.mark.parametrize("text", ['{"a":[1,null,true,"\\u00e9 \\""]}', "[]", '"x"', "12"])
    def test_a_text_that_is_json_already_is_a_part_of_it(self, app, text):
        member = json_object({"data": json_text(sa.literal(text))})

        assert json.loads(value_of(sa.cast(member, sa.Text))) == {"data": json.loads(text)}

    def test_no_moment_is_null(self, app):
        make_product(app)

        assert value_of(json_time(PRODUCTS.c.deleted_at)) is None


class TestNowPlus:
    @pytest.mark.parametrize("seconds", [0, 0.5, 90, -3600, 86_400 * 365])
    def test_is_the_databases_clock_some_seconds_on(self, seconds):
        before = utcnow()
        found = value_of(now_plus(seconds))
        after = utcnow()

        slack = timedelta(milliseconds=2)  # SQLite's clock has milliseconds
        assert before - slack <= found - timedelta(seconds=seconds) <= after + slack
        assert found.tzinfo is UTC

    def test_the_seconds_may_come_from_a_column(self, app):
        make_product(app, stock=60)

        soon, later = select(sa.select(now_plus(0), now_plus(PRODUCTS.c.stock)))[0]

        assert timedelta(seconds=59) < later - soon < timedelta(seconds=61)

    def test_can_be_compared_with_what_is_stored(self, app):
        make_product(app, created_at=utcnow() - timedelta(seconds=5))

        ages = [now_plus(-4), now_plus(-6)]
        assert [value_of(sa.select(PRODUCTS.c.created_at < age).scalar_subquery()) for age in ages] == [True, False]


class TestMicroseconds:
    @pytest.mark.parametrize(
        "moment", [MOMENT, datetime(1970, 1, 1, tzinfo=UTC), datetime(2199, 12, 31, 23, 59, 59, 999_999, UTC)], ids=str
    )
    def test_are_a_moment_as_a_number_and_back(self, app, moment):
        make_product(app, created_at=moment)
        number = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)

        assert value_of(microseconds(PRODUCTS.c.created_at)) == number
        assert value_of(moment_of(microseconds(PRODUCTS.c.created_at) - 1 + 1)) == moment

    def test_of_no_moment_are_null_and_back(self, app):
        make_product(app)

        assert value_of(moment_of(microseconds(PRODUCTS.c.deleted_at))) is None


class TestSumOfProducts:
    def test_takes_numbers_that_are_too_large_for_a_database(self, app):
        rows = Rows(dialect(), a=WholeNumber(), b=sa.BigInteger())
        statement = sa.select(sum_of_products(rows.columns.a, rows.columns.b))
        with transaction():
            found = db.session.connection().execute(statement, rows.parameters([str(10**30), "3", None], [2, 5, 7]))

            assert found.scalar() == str(2 * 10**30 + 15)


def _by_id() -> sa.Select:
    return sa.select(Product.name).where(Product.id == id_parameter("id"))


@pytest.mark.parametrize("spell", [str, lambda id: str(id).upper()], ids=["lower", "upper"])
def test_an_id_parameter_takes_the_text_of_a_uuid(app, spell):
    product_id = make_product(app, name="Lamp")

    found = read(_by_id, id=str(UUID(spell(product_id))))

    assert [row.name for row in found] == ["Lamp"]


def test_an_upsert_knows_what_to_do_about_a_conflict(app):
    product_id = make_product(app, name="Lamp", stock=1)
    row = {"id": product_id, "name": "x", "description": "", "stock": 9, "version": 1}
    insert = upsert(PRODUCTS, dialect()).values(**row, created_at=MOMENT, updated_at=MOMENT)
    with transaction():
        nothing = db.session.execute(insert.on_conflict_do_nothing().returning(PRODUCTS.c.id)).all()
        update = insert.on_conflict_do_update(index_elements=["id"], set_={"stock": insert.excluded.stock})
        db.session.execute(update)

    assert nothing == []
    assert select(sa.select(PRODUCTS.c.name, PRODUCTS.c.stock)) == [("Lamp", 9)]
