"""Locks, and what waits for the disk: what two transactions at once would spoil without them."""

import pytest
import sqlalchemy as sa

from aggregator.database import db, transaction, tune_for_batches
from aggregator.models import Offer, Product
from aggregator.services import catalog, changes, imports, orders
from aggregator.services.orders import Purchase
from aggregator.services.product_rows import Row
from aggregator.services.sync import apply
from tests.builders import answer, claim, make_product, make_user, stored
from tests.flows.passes import assert_audited
from tests.waiting import while_open

pytestmark = pytest.mark.usefixtures("context")


def test_an_import_counts_from_the_stock_that_a_sale_has_left(app, now):
    product_id, user_id = make_product(app, name="Lamp", price=100, stock=10), make_user(app)
    sale = Purchase(user_id, "EUR", {product_id: 3})

    while_open(app, lambda: orders.place(sale, now), lambda: imports.put([Row(1, {"name": "Lamp", "stock": 50})], now))

    assert stored(app, Product)[0].stock == 50
    assert_audited(app)


def test_a_sale_counts_from_the_stock_that_an_import_has_left(app, now):
    product_id, user_id = make_product(app, name="Lamp", price=100, stock=10), make_user(app)
    sale = Purchase(user_id, "EUR", {product_id: 3})

    while_open(app, lambda: imports.put([Row(1, {"name": "Lamp", "stock": 50})], now), lambda: orders.place(sale, now))

    assert stored(app, Product)[0].stock == 47
    assert_audited(app)


def test_offers_that_are_being_written_while_their_product_is_deleted_are_closed(app, now):
    product_id = make_product(app)
    claimed = claim(app, product_id)

    while_open(
        app,
        lambda: apply([answer(product, {"a": (1000, 5)}) for product in claimed], now),
        lambda: catalog.remove(product_id, now),
    )

    (offer,) = stored(app, Offer)
    assert offer.last_seen_at is not None
    assert offer.items_in_stock == 0
    assert_audited(app)


def test_a_number_that_readers_may_have_seen_is_on_disk(app, backend, now):
    product_id = make_product(app)

    with transaction():
        tune_for_batches()
        before = waits()
        changes.record_offers([(str(product_id), None, 1000, 1)], now)
        assert (before, waits()) == ("off", "on") if backend == "postgresql" else (None, None)


def test_a_batch_without_a_change_does_not_wait(app, backend, now):
    with transaction():
        tune_for_batches()
        changes.record_offers([], now)
        assert waits() == ("off" if backend == "postgresql" else None)


def waits() -> str | None:
    """Whether the commit of the transaction waits for the disk, where the database has a choice."""
    if db.engine.dialect.name == "sqlite":
        return None
    return db.session.connection().scalar(sa.text("SHOW synchronous_commit"))
