"""What an attempt means for its webhook: failing since when, disabled or not."""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask

from aggregator.database import in_transaction
from aggregator.extensions import webhook_box
from aggregator.models import Channel, Delivery, DeliveryStatus, Webhook
from aggregator.services import outbox
from aggregator.services.outbox import Claimed
from aggregator.services.webhook_deliveries import FAILS_AT_MOST, Outcome, note, targets
from tests.builders import LONG_AGO, SECRET, edit, make_delivery, make_user, make_webhook, stored

pytestmark = pytest.mark.usefixtures("context")
URL = "https://shop.example.com/hook"


@pytest.fixture
def webhook_id(app) -> UUID:
    return make_webhook(app, make_user(app), URL)


def claimed(app: Flask, webhook_id: UUID, count: int = 1) -> list[Claimed]:
    """Deliveries to a webhook that are ours to attempt."""
    for _ in range(count):
        make_delivery(app, webhook_id)
    return in_transaction(lambda: outbox.claim_due("tester", Channel.WEBHOOK, count))


def arrived(delivery: Claimed) -> Outcome:
    return Outcome(delivery, URL, 200)


def refused(delivery: Claimed, status: int = 500) -> Outcome:
    return Outcome(delivery, URL, status, f"answered {status}", gone=status == 410)


def noted(now: datetime, *outcomes: Outcome) -> list[tuple[UUID, str]]:
    return in_transaction(lambda: note(outcomes, now))


def the_webhook(app: Flask) -> Webhook:
    (webhook,) = stored(app, Webhook)
    return webhook


class TestTargets:
    def test_say_where_to_send_and_what_to_sign_with(self, app, webhook_id, now):
        (target,) = targets([webhook_id, uuid4()], now, webhook_box()).values()

        assert (target.webhook_id, target.url, target.secrets) == (webhook_id, URL, (SECRET,))
        assert (target.failing, target.refusal) == (False, None)
        assert SECRET not in repr(target)

    def test_sign_with_the_old_secret_until_its_time_is_over(self, app, webhook_id, now):
        edit(app, Webhook, old_secret="whsec_b2xk", old_secret_until=now)

        assert targets([webhook_id], now - timedelta(microseconds=1), webhook_box())[webhook_id].secrets == (
            SECRET,
            "whsec_b2xk",
        )
        assert targets([webhook_id], now, webhook_box())[webhook_id].secrets == (SECRET,)

    def test_say_why_nothing_is_to_be_sent(self, app, now):
        disabled = make_webhook(app, make_user(app), enabled=False)
        nobodys = make_webhook(app, make_user(app, active=False))
        failing = make_webhook(app, make_user(app), failing_since=LONG_AGO)
        found = targets([disabled, nobodys, failing], now, webhook_box())

        assert {id: target.refusal for id, target in found.items()} == {
            disabled: "disabled",
            nobodys: "user inactive",
            failing: None,
        }
        assert found[failing].failing


class TestHealth:
    def test_of_a_webhook_that_never_failed_needs_no_note(self, app, webhook_id, now):
        assert noted(now, arrived(*claimed(app, webhook_id))) == []
        assert the_webhook(app).failing_since is None

    def test_is_that_of_the_last_attempt(self, app, webhook_id, now):
        a, b, c = claimed(app, webhook_id, 3)

        noted(now, arrived(a), refused(b))
        assert the_webhook(app).failing_since == now
        noted(now + timedelta(days=1), arrived(c))
        assert the_webhook(app).failing_since is None

    def test_is_bad_since_the_first_failure(self, app, webhook_id, now):
        a, b = claimed(app, webhook_id, 2)

        noted(now, refused(a))
        noted(now + timedelta(days=1), refused(b))

        assert the_webhook(app).failing_since == now

    @pytest.mark.parametrize(
        ("after", "disabled"), [(FAILS_AT_MOST, True), (FAILS_AT_MOST - timedelta(microseconds=1), False)]
    )
    def test_is_past_all_hope_after_five_days(self, app, webhook_id, now, after, disabled):
        a, b, waiting = claimed(app, webhook_id, 3)
        noted(now, refused(a))

        assert noted(now + after, refused(b)) == ([(webhook_id, "failing")] if disabled else [])

        webhook = the_webhook(app)
        assert (webhook.enabled, webhook.disabled_reason) == (not disabled, "failing" if disabled else None)
        found = {delivery.id: delivery.error for delivery in stored(app, Delivery)}
        assert found[b.id] == ("disabled" if disabled else "answered 500")  # it would have been tried again
        assert found[waiting.id] == ("disabled" if disabled else None)

    def test_is_over_for_one_that_is_gone_whatever_came_after(self, app, webhook_id, now):
        a, b, c = claimed(app, webhook_id, 3)

        assert noted(now, refused(a), refused(b, 410), arrived(c)) == [(webhook_id, "gone")]

        found = {delivery.id: (delivery.status.value, delivery.error) for delivery in stored(app, Delivery)}
        assert found == {a.id: ("failed", "disabled"), b.id: ("failed", "answered 410"), c.id: ("delivered", None)}
        assert the_webhook(app).updated_at == now

    def test_is_none_of_what_was_not_attempted(self, app, webhook_id, now):
        (delivery,) = claimed(app, webhook_id)

        noted(now, Outcome(delivery, URL, error="user inactive", attempted=False))

        assert the_webhook(app).failing_since is None
        assert stored(app, Delivery)[0].status is DeliveryStatus.FAILED

    def test_of_several_is_noted_for_each(self, app, now):
        ids = [make_webhook(app, make_user(app), URL) for _ in range(4)]
        deliveries = [claimed(app, id)[0] for id in ids]

        noted(
            now, *(refused(delivery) if index % 2 else arrived(delivery) for index, delivery in enumerate(deliveries))
        )

        failing = {webhook.id for webhook in stored(app, Webhook) if webhook.failing_since}
        assert failing == {ids[1], ids[3]}
