"""Orders: placing, editing and cancelling them."""

import json
import re
from contextlib import nullcontext
from uuid import UUID, uuid4

import pytest

from aggregator.database import transaction
from aggregator.errors import Conflict, Forbidden, Invalid, NotFound
from aggregator.models import (
    CartItem,
    Change,
    Channel,
    Delivery,
    Event,
    IdempotencyKey,
    Order,
    OrderEvent,
    OrderItem,
    OrderStatus,
    Product,
    Role,
    StockMovement,
)
from aggregator.services import order_reads, orders
from aggregator.services.idempotency import RequestKey
from aggregator.services.orders import Purchase, Revision
from aggregator.services.sign_ins import Principal
from tests.builders import LONG_AGO, edit, fill_cart, make_order, make_product, make_user, make_webhook, stored

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def user(app):
    return make_user(app)


@pytest.fixture
def lamp(app):
    return make_product(app, name="Lamp", price=500, stock=10)


@pytest.fixture
def chair(app):
    return make_product(app, name="Chair", price=30, stock=10)


def place(user, now, lines=None, **fields):
    with transaction():
        return orders.place(Purchase(user, "EUR", lines, **fields), now)


def change(by, order, now, lines=None, status=None):
    with transaction():
        orders.change(by, order, Revision(lines, status=status), now)


def cancel(by, order, now):
    with transaction():
        orders.cancel(by, order, now)


def customer(user) -> Principal:
    return Principal(user, Role.CUSTOMER, uuid4())


@pytest.fixture
def admin(app) -> Principal:
    return Principal(make_user(app, Role.ADMIN), Role.ADMIN, uuid4())


def stocks(app) -> dict[UUID, int]:
    return {product.id: product.stock for product in stored(app, Product)}


def ledger(app) -> list[tuple[str, int]]:
    return [(movement.kind.value, movement.quantity) for movement in stored(app, StockMovement)]


def items(app) -> dict[UUID, tuple[str, int, int]]:
    return {item.product_id: (item.product_name, item.quantity, item.unit_price) for item in stored(app, OrderItem)}


def told(app, channel=Channel.MAIL) -> list[tuple[str, dict]]:
    found = sorted(stored(app, Delivery, Delivery.channel == channel), key=lambda row: row.key)
    return [(row.event.value, json.loads(row.payload)) for row in found]


class TestPlace:
    def test_takes_the_stock_and_keeps_names_and_prices_as_they_are(self, app, user, lamp, chair, now):
        placed = place(user, now, {lamp: 2, chair: 3})
        edit(app, Product, price=1, name=Product.name + "!")

        assert stocks(app) == {lamp: 8, chair: 7}
        assert items(app) == {lamp: ("Lamp", 2, 500), chair: ("Chair", 3, 30)}
        (order,) = stored(app, Order)
        assert (order.id, order.user_id, order.total, order.currency) == (placed.order_id, user, 1_090, "EUR")
        assert (order.status, order.created_at, order.updated_at) == (OrderStatus.PLACED, now, now)
        assert [(e.number, e.status, e.at, e.by) for e in stored(app, OrderEvent)] == [(1, "placed", now, user)]
        assert sorted(ledger(app)) == [("initial", 10), ("initial", 10), ("sale", -3), ("sale", -2)]
        assert {change.product_id for change in stored(app, Change, Change.kind == "product.updated")} == {lamp, chair}

    def test_of_a_cart_leaves_it_empty(self, app, user, lamp, now):
        fill_cart(app, user, {lamp: 2})
        place(user, now)

        assert stored(app, CartItem) == []
        assert stocks(app) == {lamp: 8}

    def test_past_the_cart_leaves_it_as_it_is(self, app, user, lamp, chair, now):
        fill_cart(app, user, {lamp: 2})
        place(user, now, {chair: 1})

        assert [(line.product_id, line.quantity) for line in stored(app, CartItem)] == [(lamp, 2)]

    def test_of_an_empty_cart_is_invalid(self, user, now):
        with pytest.raises(Invalid, match="nothing in your cart"):
            place(user, now)

    def test_all_of_it_or_nothing(self, app, user, lamp, chair, now):
        fill_cart(app, user, {lamp: 2, chair: 3})
        edit(app, Product, Product.id == chair, stock=1)
        before = stored(app, StockMovement)

        with pytest.raises(Conflict, match="'Chair': only 1 left"):
            place(user, now, key=RequestKey(str(user), "k", "digest"))

        assert stocks(app) == {lamp: 10, chair: 1}
        assert len(stored(app, CartItem)) == 2
        assert len(stored(app, StockMovement)) == len(before)
        assert [stored(app, model) for model in (Order, Delivery, IdempotencyKey)] == [[], [], []]

    def test_at_no_other_price_than_was_seen(self, app, user, lamp, now):
        with pytest.raises(Conflict, match="the total is 1000 now") as refusal:
            place(user, now, {lamp: 2}, expected_total=999)

        assert refusal.value.extra["errors"]["total"] == 1000
        assert stocks(app) == {lamp: 10}
        place(user, now, {lamp: 2}, expected_total=1000)

    def test_what_costs_nothing_can_be_ordered(self, app, user, now):
        place(user, now, {make_product(app, price=0, stock=1): 1}, expected_total=0)

        assert [order.total for order in stored(app, Order)] == [0]


class TestTheKey:
    def test_the_same_request_again_gives_the_same_answer_and_orders_nothing(self, app, user, lamp, admin, now):
        key = RequestKey(str(user), "k", "digest")
        first = place(user, now, {lamp: 2}, key=key)
        change(admin, first.order_id, now, status=OrderStatus.PAID)
        again = place(user, now, {lamp: 2}, key=key)

        assert (again.order_id, again.text, again.replayed) == (first.order_id, first.text, True)
        assert not first.replayed
        assert stocks(app) == {lamp: 8}

    def test_the_answer_is_that_of_the_order_as_it_is_read(self, user, lamp, now):
        placed = place(user, now, {lamp: 2}, key=RequestKey(str(user), "k", "digest"))

        assert json.loads(placed.text) == json.loads(order_reads.find(user, placed.order_id))

    def test_another_request_with_it_is_invalid(self, user, lamp, now):
        place(user, now, {lamp: 2}, key=RequestKey(str(user), "k", "digest"))

        with pytest.raises(Invalid):
            place(user, now, {lamp: 2}, key=RequestKey(str(user), "k", "other"))

    def test_is_everybodys_own(self, app, user, lamp, now):
        for somebody in (user, make_user(app)):
            place(somebody, now, {lamp: 1}, key=RequestKey(str(somebody), "k", "digest"))

        assert stocks(app) == {lamp: 8}

    def test_a_refusal_does_not_use_it_up(self, app, user, lamp, now):
        key = RequestKey(str(user), "k", "digest")
        with pytest.raises(Conflict):
            place(user, now, {lamp: 11}, key=key)
        edit(app, Product, stock=11)

        assert not place(user, now, {lamp: 11}, key=key).replayed


class TestTheCode:
    def test_is_short_and_has_no_character_that_looks_like_another(self):
        codes = {orders.new_code() for _ in range(500)}

        assert len(codes) == 500
        assert all(re.fullmatch("[0-9A-HJKMNP-TV-Z]{8}", code) for code in codes)

    def test_one_that_is_taken_is_made_anew(self, app, user, lamp, now, monkeypatch):
        codes = iter(["AAAAAAAA", "AAAAAAAA", "AAAAAAAA", "BBBBBBBB"])
        monkeypatch.setattr(orders, "new_code", lambda: next(codes))
        for _ in range(2):
            place(user, now, {lamp: 1})

        assert sorted(order.code for order in stored(app, Order)) == ["AAAAAAAA", "BBBBBBBB"]

    def test_where_none_is_left_nothing_is_ordered(self, app, user, lamp, now, monkeypatch):
        monkeypatch.setattr(orders, "new_code", lambda: "AAAAAAAA")
        place(user, now, {lamp: 1})

        with pytest.raises(RuntimeError):
            place(user, now, {lamp: 1})
        assert stocks(app) == {lamp: 9}


class TestMerged:
    def test_the_lines_of_a_product_are_one(self, lamp, chair):
        listed = [(lamp, 1), (chair, 2), (lamp, 3)]

        assert orders.merged({"product_id": id, "quantity": n} for id, n in listed) == {lamp: 4, chair: 2}

    def test_of_no_more_than_a_thousand(self, lamp):
        with pytest.raises(Invalid):
            orders.merged([{"product_id": lamp, "quantity": 600}] * 2)


class TestEdit:
    def test_moves_the_stock_by_the_difference(self, app, user, lamp, chair, now):
        shelf = make_product(app, name="Shelf", price=7, stock=10)
        order = place(user, now, {lamp: 4, chair: 1}).order_id
        change(customer(user), order, now, {lamp: 1, shelf: 2})

        assert stocks(app) == {lamp: 9, chair: 10, shelf: 8}
        assert items(app) == {lamp: ("Lamp", 1, 500), shelf: ("Shelf", 2, 7)}
        assert [order.total for order in stored(app, Order)] == [514]
        assert sorted(ledger(app)[-3:]) == [("edit", -2), ("edit", 1), ("edit", 3)]

    def test_what_stays_or_shrinks_keeps_its_price_and_what_grows_has_todays(self, app, user, lamp, chair, now):
        order = place(user, now, {lamp: 3}).order_id
        edit(app, Product, price=Product.price + 1, name=Product.name + "!")
        change(customer(user), order, now, {lamp: 2, chair: 1})
        assert items(app) == {lamp: ("Lamp", 2, 500), chair: ("Chair!", 1, 31)}

        change(customer(user), order, now, {lamp: 4, chair: 1})
        assert items(app) == {lamp: ("Lamp!", 4, 501), chair: ("Chair!", 1, 31)}

    def test_to_another_total_than_was_seen_changes_nothing(self, app, user, lamp, now):
        order = place(user, now, {lamp: 1}).order_id
        with pytest.raises(Conflict, match="the total is 1000 now"), transaction():
            orders.change(customer(user), order, Revision({lamp: 2}, expected_total=999), now)

        assert (stocks(app)[lamp], items(app)) == (9, {lamp: ("Lamp", 1, 500)})

    def test_the_same_lines_again_change_nothing(self, app, user, lamp, now):
        order = place(user, now, {lamp: 1}).order_id
        change(customer(user), order, now, {lamp: 1})

        assert ledger(app) == [("initial", 10), ("sale", -1)]

    def test_to_more_than_there_is_changes_nothing(self, app, user, lamp, chair, now):
        order = place(user, now, {lamp: 4}).order_id
        with pytest.raises(Conflict, match="'Chair': only 10 left"):
            change(customer(user), order, now, {chair: 11})

        assert stocks(app) == {lamp: 6, chair: 10}
        assert items(app) == {lamp: ("Lamp", 4, 500)}

    def test_fewer_of_what_is_not_sold_any_more(self, app, user, lamp, now):
        order = place(user, now, {lamp: 4}).order_id
        edit(app, Product, price=None, deleted_at=LONG_AGO)
        change(customer(user), order, now, {lamp: 1})

        assert stocks(app) == {lamp: 9}
        with pytest.raises(Conflict, match="not sold here"):
            change(customer(user), order, now, {lamp: 2})

    @pytest.mark.parametrize("status", ["paid", "cancelled"])
    def test_only_while_it_is_placed(self, app, user, lamp, admin, now, status):
        order = place(user, now, {lamp: 4}).order_id
        change(admin, order, now, status=OrderStatus(status))

        with pytest.raises(Conflict, match=f"The order is {status}"):
            change(customer(user), order, now, {lamp: 1})

    def test_not_by_an_admin_and_not_by_others(self, app, user, lamp, admin, now):
        order = place(user, now, {lamp: 4}).order_id

        with pytest.raises(Forbidden):
            change(admin, order, now, {lamp: 1})
        with pytest.raises(NotFound):
            change(customer(make_user(app)), order, now, {lamp: 1})


class TestStatus:
    ALLOWED = {
        *(("placed", "paid"), ("paid", "shipped"), ("shipped", "delivered")),
        *(("placed", "cancelled"), ("paid", "cancelled")),
    }

    @pytest.mark.parametrize("before", OrderStatus)
    def test_goes_one_way(self, app, user, lamp, admin, now, before):
        came = []
        for after in OrderStatus:
            order = make_order(app, user, {lamp: 1})
            edit(app, Order, Order.id == order, status=before)
            refused = (before.value, after.value) not in self.ALLOWED
            words = f"The order is {before} {'already' if before is after else f'and cannot become {after}'}."
            with pytest.raises(Conflict, match=words) if refused else nullcontext():
                change(admin, order, now, status=after)
            came.append(stored(app, Order, Order.id == order)[0].status)

        assert came == [after if (before.value, after.value) in self.ALLOWED else before for after in OrderStatus]

    def test_remembers_who_and_when(self, app, user, lamp, admin, now):
        order = place(user, LONG_AGO, {lamp: 1}).order_id
        change(admin, order, now, status=OrderStatus.PAID)
        cancel(customer(user), order, now)

        events = [(event.number, event.status.value, event.at, event.by) for event in stored(app, OrderEvent)]
        assert events == [(1, "placed", LONG_AGO, user), (2, "paid", now, admin.user_id), (3, "cancelled", now, user)]
        assert [order.updated_at for order in stored(app, Order)] == [now]

    def test_is_for_admins_to_give(self, user, lamp, now):
        order = place(user, now, {lamp: 1}).order_id

        with pytest.raises(Forbidden):
            change(customer(user), order, now, status=OrderStatus.PAID)

    def test_of_what_is_not_there(self, admin, now):
        with pytest.raises(NotFound):
            change(admin, uuid4(), now, status=OrderStatus.PAID)


class TestCancel:
    def test_gives_everything_back_once(self, app, user, lamp, chair, now):
        order = place(user, now, {lamp: 4, chair: 1}).order_id
        change(customer(user), order, now, {lamp: 2, chair: 1})
        cancel(customer(user), order, now)
        with pytest.raises(Conflict):
            cancel(customer(user), order, now)

        assert stocks(app) == {lamp: 10, chair: 10}
        assert sorted(ledger(app)[-2:]) == [("cancel", 1), ("cancel", 2)]
        assert len(stored(app, Change, Change.kind == "product.updated")) == 5

    def test_by_an_admin_too_and_not_by_others(self, app, user, lamp, admin, now):
        order = place(user, now, {lamp: 4}).order_id

        with pytest.raises(NotFound):
            cancel(customer(make_user(app)), order, now)
        cancel(admin, order, now)
        assert stocks(app) == {lamp: 10}

    @pytest.mark.parametrize("status", [OrderStatus.SHIPPED, OrderStatus.DELIVERED])
    def test_not_once_it_is_shipped(self, app, user, lamp, now, status):
        order = place(user, now, {lamp: 4}).order_id
        edit(app, Order, status=status)

        with pytest.raises(Conflict):
            cancel(customer(user), order, now)
        assert stocks(app) == {lamp: 6}

    def test_gives_back_what_has_been_deleted_since(self, app, user, lamp, now):
        order = place(user, now, {lamp: 4}).order_id
        edit(app, Product, deleted_at=LONG_AGO)
        cancel(customer(user), order, now)

        assert stocks(app) == {lamp: 10}


class TestWhatIsTold:
    def test_by_mail_of_the_order_and_of_each_status_after_it(self, app, user, lamp, admin, now):
        order = place(user, now, {lamp: 2}).order_id
        change(admin, order, now, status=OrderStatus.PAID)
        cancel(customer(user), order, now)

        (placed, first), *others = told(app)
        code = stored(app, Order)[0].code
        line = {"product_id": str(lamp), "product_name": "Lamp", "quantity": 2, "unit_price": 500, "total": 1000}
        about = {"order_id": str(order), "code": code, "total": 1000, "currency": "EUR"}
        at = "2026-05-04T12:30:15.250000Z"
        assert (placed, first) == ("order.placed", about | {"at": at, "items": [line]})
        assert others == [("order.status", about | {"at": at, "status": name}) for name in ("paid", "cancelled")]
        assert {row.user_id for row in stored(app, Delivery)} == {user}

    def test_to_the_webhooks_of_whose_order_it_is(self, app, user, lamp, now):
        mine = make_webhook(app, user, events=["order.placed", "order.status"])
        make_webhook(app, make_user(app), events=["order.placed"])
        order = place(user, now, {lamp: 2}).order_id
        cancel(customer(user), order, now)

        assert [name for name, _ in told(app, Channel.WEBHOOK)] == ["order.placed", "order.status"]
        assert {row.webhook_id for row in stored(app, Delivery, Delivery.channel == Channel.WEBHOOK)} == {mine}

    def test_nothing_of_a_replay(self, app, user, lamp, now):
        for _ in range(2):
            place(user, now, {lamp: 2}, key=RequestKey(str(user), "k", "digest"))

        assert [row.event for row in stored(app, Delivery)] == [Event.ORDER_PLACED]
