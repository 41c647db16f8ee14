"""Webhooks: who is told of an event, and what waits for those that are disabled."""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask

from aggregator.clients.addresses import AddressRules
from aggregator.clock import utcnow
from aggregator.database import dialect, in_transaction, transaction
from aggregator.errors import Conflict, NotFound
from aggregator.extensions import webhook_box
from aggregator.models import Channel, Delivery, DeliveryStatus, Event, Subscription, Webhook
from aggregator.services import outbox, webhook_reads, webhooks
from tests.builders import LONG_AGO, SECRET, edit, make_delivery, make_user, make_webhook, stored

pytestmark = pytest.mark.usefixtures("context")
TOLD = [("created:1", {"id": "1"}), ("created:2", {"id": "2"})]
RULES = AddressRules()


@pytest.fixture
def user_id(app) -> UUID:
    return make_user(app)


class TestMessages:
    def told(self, *args: object) -> list[tuple[UUID, str | None]]:
        return [(message.webhook_id, message.key) for message in in_transaction(lambda: webhooks.messages(*args))]

    def test_go_to_each_webhook_that_subscribed_one_for_each_payload(self, app, user_id):
        other = make_user(app)
        made = [make_webhook(app, user) for user in (user_id, user_id, other)]
        make_webhook(app, user_id, events=["price.alert", "offers.changed"])

        found = in_transaction(lambda: webhooks.messages(Event.PRODUCT_CREATED, TOLD))

        assert {(m.webhook_id, m.key) for m in found} == {(id, f"{key}:{id}") for id in made for key, _ in TOLD}
        assert {(m.webhook_id, m.user_id) for m in found} == {(made[0], user_id), (made[1], user_id), (made[2], other)}
        assert {m.channel for m in found} == {Channel.WEBHOOK}
        assert [m.payload for m in found if m.webhook_id == made[0]] == [{"id": "1"}, {"id": "2"}]

    def test_go_to_one_user_only_where_it_is_about_one(self, app, user_id):
        own = make_webhook(app, user_id, events=["price.alert"])
        make_webhook(app, make_user(app), events=["price.alert"])

        assert self.told(Event.PRICE_ALERT, TOLD[:1], user_id) == [(own, f"created:1:{own}")]
        assert self.told(Event.PRICE_ALERT, TOLD[:1], make_user(app)) == []

    def test_tell_each_user_something_else(self, app, user_id):
        other, nobody = make_user(app), make_user(app)
        own, theirs = (make_webhook(app, user, events=["price.alert"]) for user in (user_id, other))
        make_webhook(app, make_user(app), events=["price.alert"])
        told = {user_id: TOLD, other: TOLD[1:], nobody: TOLD}

        found = in_transaction(lambda: webhooks.own_messages(Event.PRICE_ALERT, told))

        assert {(m.webhook_id, m.user_id, m.key, m.payload["id"]) for m in found} == {
            (own, user_id, f"created:1:{own}", "1"),
            (own, user_id, f"created:2:{own}", "2"),
            (theirs, other, f"created:2:{theirs}", "2"),
        }
        assert in_transaction(lambda: webhooks.own_messages(Event.PRICE_ALERT, {})) == []

    def test_go_to_none_that_is_disabled_or_whose_user_is(self, app, user_id):
        make_webhook(app, user_id, enabled=False)
        make_webhook(app, make_user(app, active=False))

        assert self.told(Event.PRODUCT_CREATED, TOLD) == []

    def test_of_nothing_are_none(self, app, user_id):
        make_webhook(app, user_id)

        assert self.told(Event.PRODUCT_CREATED, []) == []

    def test_are_queued_once_for_each_key(self, app, user_id):
        make_webhook(app, user_id)
        queued = [
            in_transaction(lambda: outbox.queue(webhooks.messages(Event.PRODUCT_CREATED, TOLD), utcnow()))
            for _ in range(2)
        ]

        assert queued == [2, 0]
        assert len(stored(app, Delivery)) == 2

    def test_can_be_queued_although_a_webhook_is_being_deleted(self, app, user_id):
        webhook_id, deleted = make_webhook(app, user_id), threading.Event()

        def delete() -> None:
            with app.app_context():
                in_transaction(lambda: webhooks.remove(user_id, webhook_id, utcnow()))
            deleted.set()

        thread = threading.Thread(target=delete)
        with transaction():
            messages = webhooks.messages(Event.PRODUCT_CREATED, TOLD)
            thread.start()
            # It waits, or leaves the row where it is: what is queued finds its webhook.
            assert deleted.wait(2) is (dialect() == "postgresql")
            assert outbox.queue(messages, utcnow()) == 2
        thread.join()

        for expire in (webhooks.expire_log, webhooks.expire):
            in_transaction(lambda expire=expire: expire(utcnow()))
        assert (stored(app, Webhook), stored(app, Delivery)) == ([], [])

    def test_hold_up_no_note_about_a_webhook(self, app, user_id):
        make_webhook(app, user_id)
        if dialect() == "sqlite":
            return  # has one writer at a time, whatever they write
        with transaction():
            webhooks.messages(Event.PRODUCT_CREATED, TOLD)
            thread = threading.Thread(target=lambda: edit(app, Webhook, failing_since=LONG_AGO))
            thread.start()
            thread.join(2)
            assert not thread.is_alive()


class TestChanges:
    def test_that_come_to_nothing_leave_everything_as_it_was(self, app, user_id):
        webhook_id = make_webhook(app, user_id)

        in_transaction(lambda: webhooks.change(user_id, webhook_id, {}, RULES, utcnow()))

        assert stored(app, Webhook)[0].updated_at == LONG_AGO

    def test_of_the_events_take_the_place_of_the_old_ones(self, app, user_id, now):
        webhook_id, other = make_webhook(app, user_id), make_webhook(app, user_id)
        events = {"events": ["price.alert", "offers.changed", "price.alert"]}

        in_transaction(lambda: webhooks.change(user_id, webhook_id, events, RULES, now))

        found = {(row.webhook_id, row.event.value) for row in stored(app, Subscription)}
        assert found == {
            (webhook_id, "price.alert"),
            (webhook_id, "offers.changed"),
            (other, "product.created"),
        }

    @pytest.mark.parametrize(
        "call",
        [
            lambda user, id: webhooks.change(user, id, {"enabled": True}, RULES, utcnow()),
            lambda user, id: webhooks.remove(user, id, utcnow()),
            lambda user, id: webhooks.rotate_secret(user, id, webhook_box(), utcnow()),
            lambda user, id: webhooks.send_test(user, id, utcnow()),
            lambda user, id: webhooks.redeliver(user, id, uuid4()),
        ],
        ids=["change", "remove", "rotate", "test", "redeliver"],
    )
    def test_of_somebody_elses_are_changes_of_nothing(self, app, user_id, call: Callable[[UUID, UUID], None]):
        webhook_id = make_webhook(app, make_user(app))

        for id in (webhook_id, uuid4()):
            with pytest.raises(NotFound):
                in_transaction(lambda id=id: call(user_id, id))


class TestDeleting:
    def test_hides_it_and_ends_what_waits_and_keeps_no_secret(self, app, user_id, now):
        webhook_id = make_webhook(app, user_id, old_secret="whsec_b2xk", old_secret_until=now)
        waiting, arrived = make_delivery(app, webhook_id), make_delivery(app, webhook_id, status="delivered")

        in_transaction(lambda: webhooks.remove(user_id, webhook_id, now))

        (webhook,) = stored(app, Webhook)
        assert (webhook.deleted_at, webhook.enabled, webhook.secret, webhook.old_secret) == (now, False, "", None)
        assert stored(app, Subscription) == []
        found = {delivery.id: (delivery.status.value, delivery.error) for delivery in stored(app, Delivery)}
        assert found == {waiting: ("failed", "disabled"), arrived: ("delivered", None)}
        assert webhook_reads.page(user_id, {}, sort=None, size=10).text == "[]"
        for read in (
            lambda: webhook_reads.find(user_id, webhook_id),
            lambda: webhook_reads.deliveries(user_id, webhook_id, {}, sort=None, size=10),
            lambda: webhook_reads.delivery(user_id, webhook_id, arrived),
            lambda: in_transaction(lambda: webhooks.redeliver(user_id, webhook_id, arrived)),
            lambda: in_transaction(lambda: webhooks.remove(user_id, webhook_id, now)),
        ):
            with pytest.raises(NotFound):
                read()

    def test_makes_room_for_another(self, app, user_id, now, monkeypatch):
        monkeypatch.setattr(webhooks, "MAX_WEBHOOKS", 1)
        webhook_id = make_webhook(app, user_id)
        fields = {"url": "https://shop.example.com/new", "events": ["price.alert"]}
        with pytest.raises(Conflict):
            in_transaction(lambda: webhooks.add(user_id, fields, RULES, webhook_box(), now))

        in_transaction(lambda: webhooks.remove(user_id, webhook_id, now))

        assert in_transaction(lambda: webhooks.add(user_id, fields, RULES, webhook_box(), now))

    def test_takes_the_log_along_in_batches_and_the_webhook_after_it(self, app, user_id, monkeypatch, now):
        monkeypatch.setattr(webhooks, "EXPIRED_AT_ONCE", 3)
        deleted, other = make_webhook(app, user_id), make_webhook(app, user_id)
        for _ in range(5):
            make_delivery(app, deleted, status="delivered")
        kept = make_delivery(app, other, status="delivered")
        in_transaction(lambda: webhooks.remove(user_id, deleted, now))

        assert in_transaction(lambda: webhooks.expire(now)) == 0
        assert [in_transaction(lambda: webhooks.expire_log(now)) for _ in range(3)] == [3, 2, 0]
        assert [in_transaction(lambda: webhooks.expire(now)) for _ in range(2)] == [1, 0]
        assert [webhook.id for webhook in stored(app, Webhook)] == [other]
        assert [delivery.id for delivery in stored(app, Delivery)] == [kept]


class TestDisabling:
    def test_ends_a_batch_of_what_waits_and_leaves_the_rest_for_when_it_is_due(self, app, user_id, monkeypatch, now):
        monkeypatch.setattr(webhooks, "ENDED_AT_ONCE", 3)
        webhook_id = make_webhook(app, user_id)
        for _ in range(5):
            make_delivery(app, webhook_id, due_at=now + timedelta(days=365))

        in_transaction(lambda: webhooks.end_pending(webhook_id, now))

        ended = stored(app, Delivery, Delivery.status == DeliveryStatus.FAILED)
        assert [(d.error, d.done_at, d.claimed_by) for d in ended] == [("disabled", now, None)] * 3


def test_two_at_once_of_the_same_webhook_take_turns(app: Flask, user_id: UUID) -> None:
    webhook_id = make_webhook(app, user_id)

    def rotate() -> None:
        with app.app_context():
            in_transaction(lambda: webhooks.rotate_secret(user_id, webhook_id, webhook_box(), utcnow()))

    threads = [threading.Thread(target=rotate) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    webhook = stored(app, Webhook)[0]
    secrets = {SECRET, webhook_box().open(webhook.secret), webhook_box().open(webhook.old_secret)}
    assert len(secrets) == 3
