"""The outbox: claimed by one at a time, tried again after pauses, given back, sent again."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask

from aggregator.clock import utcnow
from aggregator.database import db, in_transaction, transaction
from aggregator.models import Channel, Delivery, DeliveryStatus, Event
from aggregator.services import outbox
from aggregator.services.outbox import KEPT, MAX_ERROR, PAUSES, Claimed, Message
from tests.builders import LONG_AGO, edit, make_delivery, make_user, make_webhook, stored

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def webhook_id(app) -> UUID:
    return make_webhook(app, make_user(app))


def claim(by: str = "tester", limit: int = 10, **options: object) -> list[Claimed]:
    return in_transaction(lambda: outbox.claim_due(by, Channel.WEBHOOK, limit, **options))


def the_delivery(app: Flask) -> Delivery:
    (delivery,) = stored(app, Delivery)
    return delivery


def plan_of(statement: sa.Select[Any]) -> str:
    """How the database goes about a query; PostgreSQL would read all of a table that is empty."""
    with transaction():
        connection = db.session.connection()
        is_postgresql = connection.dialect.name == "postgresql"
        if is_postgresql:
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
        text = str(compiled).replace("%", "%%") if is_postgresql else str(compiled)
        return str(connection.exec_driver_sql(f"EXPLAIN {'' if is_postgresql else 'QUERY PLAN '}{text}").all())


class TestQueue:
    def test_has_it_delivered_at_once_and_of_one_key_only_the_first(self, app, webhook_id, now):
        user_id = make_user(app)
        messages = [
            Message(Channel.WEBHOOK, Event.PRICE_ALERT, user_id, {"n": n}, webhook_id, key)
            for n, key in enumerate(["a", "b", None, None])
        ]

        assert in_transaction(lambda: outbox.queue(messages, now)) == 4
        assert in_transaction(lambda: outbox.queue(messages, now)) == 2
        assert sorted(delivery.payload["n"] for delivery in claim()) == [0, 1, 2, 2, 3, 3]
        assert {delivery.created_at for delivery in stored(app, Delivery)} == {now}

    def test_of_nothing_queues_nothing(self, now):
        assert in_transaction(lambda: outbox.queue([], now)) == 0

    def test_takes_more_than_fit_into_one_statement(self, app, webhook_id, now, monkeypatch):
        monkeypatch.setattr(outbox, "EXPIRED_AT_ONCE", 2)
        user_id = make_user(app)
        messages = [Message(Channel.WEBHOOK, Event.TEST, user_id, {}, webhook_id, str(n)) for n in range(5)]

        assert in_transaction(lambda: outbox.queue(messages, now)) == 5


class TestClaims:
    def test_are_of_the_longest_due_first(self, app, webhook_id):
        for days in (3, 1, 2):
            make_delivery(app, webhook_id, {"days": days}, due_at=LONG_AGO + timedelta(days=days))

        assert sorted(delivery.payload["days"] for delivery in claim(limit=2)) == [1, 2]

    def test_hold_until_they_run_out(self, app, webhook_id):
        make_delivery(app, webhook_id)

        assert [(d.claim, d.attempts, d.webhook_id) for d in claim("first")] == [("first", 1, webhook_id)]
        assert claim("second") == []
        edit(app, Delivery, claimed_until=utcnow() - timedelta(seconds=1))
        assert [(d.claim, d.attempts) for d in claim("second")] == [("second", 2)]

    def test_leave_out_those_who_have_enough_to_do(self, app, webhook_id):
        other = make_webhook(app, make_user(app))
        for id in (webhook_id, webhook_id, other):
            make_delivery(app, id)

        assert [delivery.webhook_id for delivery in claim(busy={webhook_id})] == [other]
        assert claim(busy={webhook_id, other}) == []
        assert [delivery.webhook_id for delivery in claim(busy=set())] == [webhook_id] * 2


class TestOutcomes:
    def test_of_success_end_it(self, app, webhook_id, now):
        make_delivery(app, webhook_id, error="answered 500", status_code=500)
        (claimed,) = claim()

        assert in_transaction(lambda: outbox.delivered(claimed, now, 200))
        delivery = the_delivery(app)
        assert (delivery.status, delivery.done_at, delivery.status_code) == (DeliveryStatus.DELIVERED, now, 200)
        assert (delivery.error, delivery.claimed_by) == (None, None)

    @pytest.mark.parametrize(("attempts", "pause"), list(enumerate(PAUSES, 1)))
    def test_of_failure_postpone_it(self, app, webhook_id, now, attempts, pause):
        make_delivery(app, webhook_id, attempts=attempts - 1)
        (claimed,) = claim()

        assert in_transaction(lambda: outbox.failed(claimed, "x" * 1_000, now, 500))
        delivery = the_delivery(app)
        assert (delivery.status, delivery.status_code, delivery.error) == (DeliveryStatus.PENDING, 500, "x" * MAX_ERROR)
        assert (delivery.due_at - utcnow()).total_seconds() == pytest.approx(pause, abs=3)
        assert claim() == []

    @pytest.mark.parametrize(("attempts", "for_good"), [(len(PAUSES) + 1, False), (1, True)])
    def test_of_failure_for_good_end_it(self, app, webhook_id, now, attempts, for_good):
        make_delivery(app, webhook_id, attempts=attempts - 1)
        (claimed,) = claim()

        assert in_transaction(lambda: outbox.failed(claimed, "no", now, for_good=for_good))
        assert (the_delivery(app).status, the_delivery(app).done_at) == (DeliveryStatus.FAILED, now)

    def test_of_a_claim_that_is_lost_are_dropped(self, app, webhook_id, now):
        make_delivery(app, webhook_id)
        (late,) = claim("late")
        edit(app, Delivery, claimed_until=LONG_AGO)
        (claimed,) = claim("new")

        assert not in_transaction(lambda: outbox.delivered(late, now))
        assert not in_transaction(lambda: outbox.failed(late, "no", now))
        in_transaction(lambda: outbox.release([late]))
        assert (the_delivery(app).claimed_by, the_delivery(app).attempts) == ("new", 2)
        assert in_transaction(lambda: outbox.delivered(claimed, now))


class TestGivingBack:
    def test_leaves_it_as_it_was(self, app, webhook_id):
        for attempts in (0, 3, 5):
            make_delivery(app, webhook_id, attempts=attempts)
        one, *others = claim()

        in_transaction(lambda: outbox.release(others))
        assert {(delivery.id, delivery.attempts) for delivery in claim("next")} == {(d.id, d.attempts) for d in others}
        in_transaction(lambda: outbox.release([one]))
        assert [delivery.id for delivery in claim("next")] == [one.id]

    def test_can_have_it_wait_for_a_while(self, app, webhook_id):
        make_delivery(app, webhook_id, attempts=3)

        in_transaction(lambda: outbox.release(claim(), 60))

        assert claim() == []
        assert (the_delivery(app).attempts, the_delivery(app).claimed_by) == (3, None)
        assert 50 < (the_delivery(app).due_at - utcnow()).total_seconds() <= 60

    def test_of_nothing_does_nothing(self):
        in_transaction(lambda: outbox.release([]))


def test_what_is_due_is_found_by_an_index_of_its_channel_alone():
    plan = plan_of(outbox._due(Channel.WEBHOOK))

    assert "ix_deliveries_due" in plan
    assert "channel" in plan.partition("ix_deliveries_due")[2].partition("due_at")[0]


class TestAgain:
    def test_begins_anew_with_what_has_ended(self, app, webhook_id):
        delivery_id = make_delivery(app, webhook_id, status="failed", attempts=7, done_at=LONG_AGO)

        assert in_transaction(lambda: outbox.again(delivery_id, webhook_id))
        assert [(delivery.id, delivery.attempts) for delivery in claim()] == [(delivery_id, 1)]
        assert the_delivery(app).done_at is None

    def test_makes_what_waits_due(self, app, webhook_id):
        delivery_id = make_delivery(app, webhook_id, attempts=4, due_at=utcnow() + timedelta(hours=5))

        assert in_transaction(lambda: outbox.again(delivery_id, webhook_id))
        assert [delivery.attempts for delivery in claim()] == [5]

    def test_is_for_deliveries_of_this_webhook(self, app, webhook_id):
        delivery_id = make_delivery(app, make_webhook(app, make_user(app)), status="failed")

        assert not in_transaction(lambda: outbox.again(delivery_id, webhook_id))
        assert the_delivery(app).status is DeliveryStatus.FAILED


def test_what_ended_more_than_a_month_ago_is_forgotten(app, webhook_id, now):
    old = now - KEPT - timedelta(seconds=1)
    make_delivery(app, webhook_id, status="delivered", created_at=old)
    make_delivery(app, webhook_id, status="failed", created_at=old)
    kept = {
        make_delivery(app, webhook_id, status="pending", created_at=old),
        make_delivery(app, webhook_id, status="delivered", created_at=now - KEPT),
    }

    assert in_transaction(lambda: outbox.expire(now)) == 2
    assert {delivery.id for delivery in stored(app, Delivery)} == kept
