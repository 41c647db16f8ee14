"""Keys that another version has left out of date, while it ran beside this one."""

from uuid import uuid4

import pytest
import sqlalchemy as sa

from aggregator.database import db, in_transaction, transaction
from aggregator.folding import sort_key
from aggregator.models import Category, Product, SearchWord, User
from aggregator.models.base import table_of
from aggregator.services import catalog_list, sort_keys
from aggregator.services.list_queries import parts_of, rows
from aggregator.services.paging import parse_sort
from tests.builders import make_category, make_product, make_user, stored

pytestmark = pytest.mark.usefixtures("context")


def write(model, **fields) -> None:
    """What a version without keys does: it knows the names, and not what is made of them."""
    with transaction():
        db.session.execute(sa.update(table_of(model)).values(**fields))


def test_are_mended_with_the_words_of_the_product(app, now):
    product = make_product(app, name="Lamp", brand="Castera")
    make_category(app, "Lamps")
    make_user(app, username="alice")
    with transaction():
        db.session.execute(sa.delete(SearchWord))
    write(Product, name="Rødlys", brand="Ärzte", sort_key="", brand_key=None)
    write(Category, name="Æbler")
    write(User, username="Zoë")

    assert in_transaction(lambda: sort_keys.mend(now)) == 3
    (mended,) = stored(app, Product)
    assert (mended.id, mended.sort_key, mended.brand_key) == (product, sort_key("Rødlys"), "ärzte")
    assert {word.word for word in stored(app, SearchWord)} == {"rodlys", "arzte"}
    assert [category.sort_key for category in stored(app, Category)] == [sort_key("Æbler")]
    assert [user.sort_key for user in stored(app, User)] == [sort_key("Zoë")]
    assert in_transaction(lambda: sort_keys.mend(now)) == 0


def test_that_are_right_are_left_alone(app, now):
    for name in ("A", "Éclair", "x" * 255, "co-op", "a\x1fb"):
        make_product(app, name=name, brand=None)
    make_product(app, brand="")

    assert in_transaction(lambda: sort_keys.mend(now)) == 0


@pytest.mark.parametrize("sort", ["name", "-name"])
@pytest.mark.parametrize("after", [False, True])
def test_of_products_are_read_in_the_order_of_an_index(app, backend, sort, after):
    (part,) = parts_of(catalog_list.PRODUCTS, parse_sort(sort, ["name"]))
    engine = app.extensions["reader"]
    query = rows(part, (), after, 50).compile(engine)
    values = query.params | ({"after_0": "x", "after_1": str(uuid4())} if after else {})
    with engine.connect() as connection:
        if backend == "postgresql":
            connection.exec_driver_sql("SET enable_sort = off; SET enable_seqscan = off")  # there are few rows
        given = values if query.positiontup is None else tuple(values[name] for name in query.positiontup)
        explain = "EXPLAIN" if backend == "postgresql" else "EXPLAIN QUERY PLAN"
        plan = str(connection.exec_driver_sql(f"{explain} {query.string}", given).all())
        connection.invalidate()

    assert "ix_products_sort_key_id" in plan
