"""Orders that are not paid for in time: cancelled by the system, once, and their stock is there for others."""

import json
from datetime import timedelta

import pytest

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.errors import StatusNotPossible
from aggregator.extensions import post
from aggregator.flows import mails
from aggregator.jobs.run import Run
from aggregator.jobs.runner import run_job
from aggregator.jobs.timetable import JOBS
from aggregator.models import Channel, Delivery, Event, MovementKind, Order, OrderStatus, Product, Role, StockMovement
from aggregator.services import orders, outbox
from aggregator.services.orders import Revision
from aggregator.services.sign_ins import Principal
from tests.builders import edit, make_order, make_product, make_user, make_webhook, stored
from tests.conftest import signed_in
from tests.flows.passes import assert_audited
from tests.waiting import while_open

JOB = JOBS["lapse-orders"]
URL = "/api/v1/orders"


@pytest.fixture
def app(make_app):
    return make_app(order_payment_minutes=30)


@pytest.fixture
def user(app):
    return make_user(app, username="Ada")


@pytest.fixture
def lamp(app):
    return make_product(app, name="Lamp", price=1999, stock=5)


@pytest.fixture
def old_order(app, user, lamp):
    """An order of two lamps, of 31 minutes ago."""
    return old(app, make_order(app, user, {lamp: 2}))


def old(app, order_id, minutes: int = 31):
    edit(app, Order, Order.id == order_id, created_at=utcnow() - timedelta(minutes=minutes))
    return order_id


def run_once(app) -> object:
    with app.app_context():
        return run_job(JOB, Run())


def is_due(app) -> bool:
    with app.app_context():
        return JOB.due()


def of_lamps(app) -> list[tuple[MovementKind, int]]:
    return [(movement.kind, movement.quantity) for movement in stored(app, StockMovement)]


def test_it_is_due_when_an_order_is(app, user, lamp):
    order = make_order(app, user, {lamp: 1})
    assert not is_due(app)
    old(app, order, minutes=29)
    assert not is_due(app)

    old(app, order)
    assert is_due(app)


def test_it_is_never_due_unless_it_is_asked_for(make_app):
    app = make_app()
    old(app, make_order(app, make_user(app), {make_product(app, price=1, stock=1): 1}), minutes=10_000)

    assert not is_due(app)


def test_an_unpaid_order_gives_its_stock_back_and_its_user_is_told(app, user, lamp, old_order):
    make_webhook(app, user, events=["order.status"])
    recent = make_order(app, user, {lamp: 1})

    assert run_once(app) == {"lapsed": 1}

    assert {order.id: order.status for order in stored(app, Order)} == {
        old_order: OrderStatus.CANCELLED,
        recent: OrderStatus.PLACED,
    }
    assert stored(app, Product)[0].stock == 4
    assert of_lamps(app)[-1] == (MovementKind.CANCEL, 2)
    for client, by in ((signed_in(app, user), "Ada"), (signed_in(app, make_user(app, Role.ADMIN)), "Ada")):
        history = client.get(f"{URL}/{old_order}").json["history"]
        assert [(event["status"], event["by"]) for event in history] == [("placed", by), ("cancelled", "system")]
    told = stored(app, Delivery, Delivery.event == Event.ORDER_STATUS)
    assert {delivery.channel for delivery in told} == {Channel.MAIL, Channel.WEBHOOK}
    assert {(news["status"], news["reason"]) for news in (json.loads(each.payload) for each in told)} == {
        ("cancelled", "unpaid")
    }
    assert run_once(app) is None
    assert_audited(app)


@pytest.mark.parametrize("status", [OrderStatus.PAID, OrderStatus.SHIPPED, OrderStatus.CANCELLED])
def test_an_order_that_is_not_placed_any_more_stays_as_it_is(app, user, old_order, status):
    edit(app, Order, status=status)

    assert run_once(app) is None
    assert stored(app, Order)[0].status is status


class TestAtTheSameMoment:
    def test_an_order_is_paid_or_lapses_and_never_both(self, app, user, lamp, old_order, now):
        admin = Principal(make_user(app, Role.ADMIN), Role.ADMIN, old_order)
        second = old(app, make_order(app, user, {lamp: 1}))

        def pay(order_id):
            return lambda: orders.change(admin, order_id, Revision(status=OrderStatus.PAID), now)

        assert while_open(app, pay(old_order), lambda: orders.lapse(old_order, now)) is False
        error = while_open(app, lambda: orders.lapse(second, now), pay(second))

        assert isinstance(error, StatusNotPossible)
        assert error.detail == "The order is cancelled and cannot become paid."
        assert stored(app, Product)[0].stock == 3
        assert_audited(app)

    def test_an_order_is_cancelled_once(self, app, user, old_order, now):
        by = Principal(user, Role.CUSTOMER, old_order)

        assert while_open(app, lambda: orders.cancel(by, old_order, now), lambda: orders.lapse(old_order, now)) is False

        assert stored(app, Product)[0].stock == 5
        assert_audited(app)

    def test_two_workers_give_the_stock_back_once(self, app, old_order, now):
        assert while_open(app, lambda: orders.lapse(old_order, now), lambda: orders.lapse(old_order, now)) is False

        assert stored(app, Product)[0].stock == 5
        assert_audited(app)

    def test_what_an_edit_has_taken_is_given_back_too(self, app, user, lamp, old_order, now):
        by, more = Principal(user, Role.CUSTOMER, old_order), Revision({lamp: 4})

        assert while_open(app, lambda: orders.change(by, old_order, more, now), lambda: orders.lapse(old_order, now))

        assert stored(app, Product)[0].stock == 5
        assert_audited(app)


def test_the_mail_says_why(app, user, old_order):
    run_once(app)
    with app.app_context():
        claimed = in_transaction(lambda: outbox.claim_due("tester", Channel.MAIL, 10))
        (mail,) = [mails._written(post(), each) for each in claimed if each.event is Event.ORDER_STATUS]

    assert "is cancelled. It was not paid for in time." in mail.text
    assert "It was not paid for in time." in mail.html
