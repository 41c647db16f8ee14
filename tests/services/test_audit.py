"""What must be true of the data, and that it is seen where it is not: one row is broken, and one rule says so."""

from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from aggregator.clock import utcnow
from aggregator.database import db, transaction
from aggregator.models import (
    Cart,
    CartItem,
    Channel,
    Delivery,
    Event,
    Feed,
    IdempotencyKey,
    MovementKind,
    Offer,
    Order,
    OrderEvent,
    OrderItem,
    OrderStatus,
    PricePoint,
    Product,
    ProductPricePoint,
    Role,
    StockMovement,
)
from aggregator.models.base import MAX_STOCK
from aggregator.services import audit
from tests.builders import (
    LONG_AGO,
    edit,
    make_delivery,
    make_order,
    make_product,
    make_user,
    make_webhook,
    stored,
    sync,
)
from tests.conftest import signed_in


def broken(app: Flask) -> dict[str, int]:
    """The rules that are broken, and in how many places."""
    with app.app_context():
        found = {rule.name: len(audit.violations(rule)) for rule in audit.RULES}
    return {name: count for name, count in found.items() if count}


def add(app: Flask, *rows: object) -> None:
    """Put rows into the database, past all rules."""
    with app.app_context(), transaction():
        db.session.add_all(rows)


def drop(app: Flask, model: type, *where: object) -> None:
    """Take rows out of the database, past all rules."""
    with app.app_context(), transaction():
        db.session.execute(sa.delete(model).where(*where))


def event(order_id: UUID, number: int, status: OrderStatus, by: UUID) -> OrderEvent:
    return OrderEvent(order_id=order_id, number=number, status=status, at=LONG_AGO, by=by)


class Shop:
    """A shop in which everything has happened, as it should."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.user, self.another = make_user(app), make_user(app)
        self.product = make_product(app, price=500, stock=50)
        sync(app, self.product, {"a": (900, 3), "b": (700, 0)})
        sync(app, self.product, {"a": (800, 3), "b": (700, 2)})
        self.order = make_order(app, self.user, {self.product: 3}, key="k")
        self.cancelled = make_order(app, self.user, {self.product: 2})
        customer, admin = signed_in(app, self.user), signed_in(app, make_user(app, Role.ADMIN))
        customer.post(f"/api/v1/orders/{self.cancelled}/cancel")
        delivered = make_order(app, self.another, {self.product: 1})
        for status in ("paid", "shipped", "delivered"):
            admin.patch(f"/api/v1/orders/{delivered}", json={"status": status})
        line = {"product_id": str(self.product), "quantity": 1}
        customer.patch(f"/api/v1/orders/{self.order}", json={"items": [line]})
        customer.post("/api/v1/cart/items", json=line)
        make_delivery(app, make_webhook(app, self.user), event=Event.TEST)
        key = f"daily:{self.user}:2026-05-04"
        add(app, self.mail(key))

    def mail(self, key: str | None) -> Delivery:
        told = {"channel": Channel.MAIL, "event": Event.DAILY, "payload": "{}", "due_at": LONG_AGO}
        return Delivery(user_id=self.user, key=key, created_at=LONG_AGO, **told)

    def move(self, quantity: int, order: UUID | None = None, kind: MovementKind = MovementKind.ADJUST) -> StockMovement:
        return StockMovement(product_id=self.product, kind=kind, quantity=quantity, order_id=order, at=LONG_AGO)


@pytest.fixture
def shop(app: Flask) -> Shop:
    return Shop(app)


@contextmanager
def without_checks(app: Flask):
    """Lets the stock be negative, which the database forbids."""
    with app.app_context():
        name, table = "ck_products_stock", Product.__tablename__
        rule = f"stock BETWEEN 0 AND {MAX_STOCK}"
        sqlite = db.engine.dialect.name == "sqlite"
        before = "PRAGMA ignore_check_constraints = ON" if sqlite else f"ALTER TABLE {table} DROP CONSTRAINT {name}"
        with db.engine.connect() as connection:
            connection.exec_driver_sql(before)
            connection.commit()
            connection.execute(sa.update(Product).values(stock=-1))
            connection.commit()
        try:
            yield
        finally:
            with db.engine.connect() as connection:
                connection.execute(sa.update(Product).values(stock=0))
                if not sqlite:
                    connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({rule})")
                connection.commit()


def cancel_twice(shop: Shop) -> None:
    add(shop.app, shop.move(1, shop.cancelled, MovementKind.CANCEL))
    edit(shop.app, Product, stock=Product.stock + 1)


def take_more_than_ordered(shop: Shop) -> None:
    add(shop.app, shop.move(-1, shop.order, MovementKind.SALE))
    edit(shop.app, Product, stock=Product.stock - 1)


def ordered_more_than_taken(shop: Shop) -> None:
    """The lines come to the same total."""
    edit(shop.app, OrderItem, OrderItem.order_id == shop.order, quantity=2, unit_price=250)


def never_given_back(shop: Shop) -> None:
    drop(shop.app, StockMovement, StockMovement.kind == MovementKind.CANCEL)
    edit(shop.app, Product, stock=Product.stock - 2)


def an_order_without_lines(shop: Shop) -> None:
    order = Order(id=uuid4(), code="X", user_id=shop.user, total=0, currency="EUR")
    order.created_at = order.updated_at = LONG_AGO
    add(shop.app, order)
    add(shop.app, event(order.id, 1, OrderStatus.PLACED, shop.user))


def a_jump_in_history(shop: Shop) -> None:
    add(shop.app, event(shop.order, 2, OrderStatus.DELIVERED, shop.user))
    edit(shop.app, Order, Order.id == shop.order, status=OrderStatus.DELIVERED)


def a_gap_in_history(shop: Shop) -> None:
    add(shop.app, event(shop.order, 3, OrderStatus.PAID, shop.user))
    edit(shop.app, Order, Order.id == shop.order, status=OrderStatus.PAID)


def a_history_that_begins_later(shop: Shop) -> None:
    edit(shop.app, OrderEvent, OrderEvent.order_id == shop.order, status=OrderStatus.PAID)
    edit(shop.app, Order, Order.id == shop.order, status=OrderStatus.PAID)


def cancelled_on_the_way(shop: Shop) -> None:
    """What it took has been given back."""
    later = enumerate((OrderStatus.PAID, OrderStatus.SHIPPED, OrderStatus.CANCELLED), 2)
    add(shop.app, *(event(shop.order, number, status, shop.user) for number, status in later))
    edit(shop.app, Order, Order.id == shop.order, status=OrderStatus.CANCELLED)
    add(shop.app, shop.move(1, shop.order, MovementKind.CANCEL))
    edit(shop.app, Product, stock=Product.stock + 1)


def a_key_for_two(shop: Shop) -> None:
    key = IdempotencyKey(owner=str(shop.user), key="other", request_digest="", resource_id=shop.order)
    key.created_at = LONG_AGO
    add(shop.app, key)


def a_cart_of_101_lines(shop: Shop) -> None:
    add(shop.app, Cart(user_id=shop.another, updated_at=LONG_AGO))
    products = [make_product(shop.app) for _ in range(101)]
    lines = [CartItem(user_id=shop.another, product_id=id, quantity=1, added_at=LONG_AGO) for id in products]
    add(shop.app, *lines)


def a_point_without_a_change(shop: Shop) -> None:
    last = stored(shop.app, PricePoint)[-1]
    later = last.observed_at + timedelta(seconds=1)
    add(shop.app, PricePoint(offer_id=last.offer_id, price=last.price, observed_at=later))


def sold_out_twice_in_a_row(shop: Shop) -> None:
    """Before all else, so that it has a price again afterwards."""
    first = stored(shop.app, PricePoint)[0]
    moments = (first.observed_at - timedelta(seconds=seconds) for seconds in (2, 1))
    add(shop.app, *(PricePoint(offer_id=first.offer_id, observed_at=moment) for moment in moments))


def an_offer_without_a_history(shop: Shop) -> None:
    last = stored(shop.app, PricePoint)[-1]
    drop(shop.app, PricePoint, PricePoint.offer_id == last.offer_id)


def a_last_point_of_another_price(shop: Shop) -> None:
    last = stored(shop.app, PricePoint)[-1]
    later = last.observed_at + timedelta(seconds=1)
    add(shop.app, PricePoint(offer_id=last.offer_id, price=1, observed_at=later))


def a_summary_of_no_offers(shop: Shop) -> None:
    """The history of the product agrees with the wrong summary."""
    edit(shop.app, Feed, lowest_price=1)
    add(shop.app, ProductPricePoint(product_id=shop.product, observed_at=utcnow(), lowest_price=1, offer_count=2))


def a_summary_that_counts_too_many(shop: Shop) -> None:
    """The history of the product agrees with the wrong summary."""
    edit(shop.app, Feed, offer_count=3)
    add(shop.app, ProductPricePoint(product_id=shop.product, observed_at=utcnow(), lowest_price=700, offer_count=3))


def a_history_that_counts_too_many(shop: Shop) -> None:
    add(shop.app, ProductPricePoint(product_id=shop.product, observed_at=utcnow(), lowest_price=700, offer_count=3))


def a_history_of_another_summary(shop: Shop) -> None:
    add(shop.app, ProductPricePoint(product_id=shop.product, observed_at=utcnow(), lowest_price=1, offer_count=2))


def a_webhook_told_without_a_key(shop: Shop) -> None:
    edit(shop.app, Delivery, Delivery.channel == Channel.WEBHOOK, event=Event.PRICE_ALERT)


def a_webhook_told_with_the_key_of_another(shop: Shop) -> None:
    told = {"event": Event.PRICE_ALERT, "key": f"alert:1:{uuid4()}"}
    edit(shop.app, Delivery, Delivery.channel == Channel.WEBHOOK, **told)


BREAK: dict[str, tuple[str, Callable[[Shop], object]]] = {
    "a stock that nobody can explain": ("stock-explained", lambda shop: edit(shop.app, Product, stock=0)),
    "a movement that moved nothing": ("stock-explained", lambda shop: add(shop.app, shop.move(7))),
    "an order without lines": ("order-has-lines", an_order_without_lines),
    "a total of something else": ("order-total", lambda shop: edit(shop.app, Order, Order.id == shop.order, total=1)),
    "more taken than ordered": ("order-took-its-stock", take_more_than_ordered),
    "more ordered than taken": ("order-took-its-stock", ordered_more_than_taken),
    "given back twice": ("cancelled-gave-back", cancel_twice),
    "never given back": ("cancelled-gave-back", never_given_back),
    "a status that is not in the history": (
        "order-status",
        lambda shop: edit(shop.app, Order, Order.id == shop.order, status=OrderStatus.PAID),
    ),
    "no history": ("order-status", lambda shop: drop(shop.app, OrderEvent, OrderEvent.order_id == shop.order)),
    "delivered without having been paid": ("order-history", a_jump_in_history),
    "a history with a gap": ("order-history", a_gap_in_history),
    "a history that begins later": ("order-history", a_history_that_begins_later),
    "cancelled after it was shipped": ("order-history", cancelled_on_the_way),
    "two keys for one order": ("order-key", a_key_for_two),
    "a key of somebody else": ("order-key", lambda shop: edit(shop.app, IdempotencyKey, owner=str(shop.another))),
    "a cart of 101 lines": ("cart-lines", a_cart_of_101_lines),
    "a deleted product with a feed": ("product-fed", lambda shop: edit(shop.app, Product, deleted_at=LONG_AGO)),
    "a living product without a feed": ("product-fed", lambda shop: drop(shop.app, Feed)),
    "a point without a change": ("price-points", a_point_without_a_change),
    "sold out twice in a row": ("price-points", sold_out_twice_in_a_row),
    "a last point of another price": ("offer-price", a_last_point_of_another_price),
    "an offer without a history": ("offer-price", an_offer_without_a_history),
    "a price of what is not to be had": (
        "offer-price",
        lambda shop: edit(shop.app, Offer, Offer.price == 800, items_in_stock=0),
    ),
    "a summary of no offers": ("product-summary", a_summary_of_no_offers),
    "a summary that counts too many": ("product-summary", a_summary_that_counts_too_many),
    "a history of another summary": ("product-points", a_history_of_another_summary),
    "a history that counts too many": ("product-points", a_history_that_counts_too_many),
    "a daily mail without a key": ("daily-mail", lambda shop: add(shop.app, shop.mail(None))),
    "a daily mail with the key of nobody": ("daily-mail", lambda shop: add(shop.app, shop.mail("daily:x:2026-05-04"))),
    "a daily mail of no day": ("daily-mail", lambda shop: add(shop.app, shop.mail(f"daily:{shop.user}:today"))),
    "a webhook that is told without a key": ("delivery-key", a_webhook_told_without_a_key),
    "a webhook that is told with the key of another": ("delivery-key", a_webhook_told_with_the_key_of_another),
}


def test_nothing_is_wrong_where_everything_has_happened_as_it_should(app, shop):
    assert broken(app) == {}
    assert {row.status for row in stored(app, Order)} == {"placed", "cancelled", "delivered"}
    assert len(stored(app, PricePoint)) == 3
    assert {o.items_in_stock for o in stored(app, Offer)} == {3, 2}


@pytest.mark.parametrize("case", BREAK)
def test_each_rule_sees_where_it_is_broken_and_no_other_does(app, shop, case):
    name, breaks = BREAK[case]
    breaks(shop)

    assert broken(app) == {name: 1}


def test_a_negative_stock_is_seen_though_the_database_forbids_it(app):
    product = make_product(app)
    add(app, StockMovement(product_id=product, kind=MovementKind.ADJUST, quantity=-1, at=LONG_AGO))

    with without_checks(app):
        assert broken(app) == {"stock-not-negative": 1}


def test_every_rule_has_been_broken_here():
    assert {name for name, _ in BREAK.values()} | {"stock-not-negative"} == {rule.name for rule in audit.RULES}


def test_no_more_than_some_places_are_shown(app):
    for _ in range(audit.SHOWN + 1):
        make_product(app, stock=1)
    drop(app, StockMovement)

    assert broken(app) == {"stock-explained": audit.SHOWN}


def test_a_violation_names_the_rule_and_the_ids(app):
    product = make_product(app, stock=4)
    drop(app, StockMovement)

    with app.app_context():
        (found,) = audit.violations(audit.STOCK[1])

    assert str(found) == (
        f"stock-explained: product {product}, stock 4, movements 0. The stock of a product is the sum of its movements."
    )


def test_what_lines_come_to_is_seen(app, shop):
    edit(app, OrderItem, OrderItem.order_id == shop.order, unit_price=1)

    assert broken(app) == {"order-total": 1}
