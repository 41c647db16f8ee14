"""Sending to webhooks: everything arrives, nobody waits for a slow one, and what fails is tried again."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from aggregator.clients.addresses import AddressRules
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import webhook_box, webhook_settings
from aggregator.flows import webhooks as flow
from aggregator.flows.webhooks import CLAIMED_AT_ONCE, SHARE, Sending
from aggregator.models import Delivery, DeliveryStatus, User, Webhook
from aggregator.services import outbox, webhooks
from aggregator.services.outbox import PAUSES
from aggregator.services.webhook_deliveries import FAILS_AT_MOST
from tests.builders import LONG_AGO, SECRET, edit, make_delivery, make_user, make_webhook, stored
from tests.clients.test_addresses import REFUSED
from tests.clients.test_webhooks import OTHER_SECRET, at_port, canary
from tests.wire import Heard, Script, drips, hangs, http, repeats, says, wire

OK = says(http(204, b"", length=-1))


@pytest.fixture
def make_sender(make_app: Callable[..., Flask]) -> Callable[[], Flask]:
    """Makes apps that may send to this host."""
    return lambda: make_app(webhook_test_hosts=("127.0.0.1",))


@pytest.fixture
def app(make_sender: Callable[[], Flask]) -> Flask:
    return make_sender()


@pytest.fixture
def user_id(app: Flask) -> UUID:
    return make_user(app)


def deliver(app: Flask, stop: threading.Event | None = None, seconds: float | None = None) -> dict[str, int]:
    """Send all that is due; each attempt may take so many seconds."""
    with app.app_context():
        sending = Sending(webhook_settings(), stop)
        sending.settings.requests.seconds = seconds or 10.0
        return dict(sending.run())


def the_delivery(app: Flask) -> Delivery:
    (delivery,) = stored(app, Delivery)
    return delivery


def the_webhook(app: Flask) -> Webhook:
    (webhook,) = stored(app, Webhook)
    return webhook


def verified(heard: Heard, secret: str = SECRET) -> Any:
    """What a message says, if its signature is good."""
    return Verifier(secret).verify(heard.body, heard.headers)


def ids(heard: list[Heard]) -> list[str]:
    return [request.headers["webhook-id"] for request in heard]


class TestAMessage:
    def test_arrives_signed_and_is_noted(self, app, user_id):
        with wire(OK) as server:
            webhook_id = make_webhook(app, user_id, f"{server.url}/hook")
            delivery_id = make_delivery(app, webhook_id, {"name": "\u00e9 \u6f22", "price": None})

            assert deliver(app) == {"delivered": 1}

        (heard,) = server.heard
        assert heard.line == "POST /hook HTTP/1.1"
        assert heard.headers["webhook-id"] == str(delivery_id)
        assert abs(int(heard.headers["webhook-timestamp"]) - utcnow().timestamp()) < 5
        assert verified(heard) == {
            "type": "product.created",
            "timestamp": "2026-01-02T03:04:05.678901Z",
            "data": {"name": "\u00e9 \u6f22", "price": None},
        }
        delivery = the_delivery(app)
        assert (delivery.status, delivery.attempts, delivery.status_code) == (DeliveryStatus.DELIVERED, 1, 204)
        assert (delivery.error, delivery.claimed_by, delivery.claimed_until) == (None, None, None)
        assert abs(delivery.done_at - utcnow()) < timedelta(seconds=5)

    def test_is_sent_once(self, app, user_id):
        with wire(OK) as server:
            make_delivery(app, make_webhook(app, user_id, server.url))

            assert [deliver(app) for _ in range(3)] == [{"delivered": 1}, {}, {}]
            assert len(server.heard) == 1

    def test_that_is_not_due_or_somebody_elses_is_left_alone(self, app, user_id):
        later = utcnow() + timedelta(minutes=5)
        with wire(OK) as server:
            webhook_id = make_webhook(app, user_id, server.url)
            make_delivery(app, webhook_id, due_at=later)
            make_delivery(app, webhook_id, claimed_by="another", claimed_until=utcnow() + timedelta(minutes=1))

            assert deliver(app) == {}
            assert server.connections == 0

    def test_is_signed_with_both_secrets_while_one_replaces_the_other(self, app, user_id):
        with wire(OK) as server:
            webhook_id = make_webhook(app, user_id, server.url)
            with app.app_context():
                box = webhook_box()
                new = in_transaction(lambda: webhooks.rotate_secret(user_id, webhook_id, box, utcnow()))
            make_delivery(app, webhook_id)
            deliver(app)
            assert verified(server.heard[0], SECRET) == verified(server.heard[0], new)

            edit(app, Webhook, old_secret_until=utcnow())
            make_delivery(app, webhook_id)
            deliver(app)

        assert verified(server.heard[1], new)
        for secret in (SECRET, OTHER_SECRET):
            with pytest.raises(WebhookVerificationError):
                verified(server.heard[1], secret)

    def test_is_told_to_nobody_in_the_log(self, app, user_id, caplog):
        caplog.set_level("DEBUG")
        with wire(says(http(410))) as server:
            make_delivery(app, make_webhook(app, user_id, f"{server.url}/the-way"), {"name": "the-data"})
            deliver(app)

        assert "webhook disabled" in caplog.text
        assert [word for word in (SECRET, "whsec", "the-way", "the-data") if word in caplog.text] == []


class TestAFailure:
    def test_is_tried_again_after_each_pause_and_then_given_up(self, app, user_id):
        answers: list[tuple[int, float]] = []
        with wire(says(http(503))) as server:
            make_delivery(app, make_webhook(app, user_id, server.url))
            for attempt in range(1, len(PAUSES) + 2):
                assert deliver(app) == {"failed": 1}
                delivery = the_delivery(app)
                assert (delivery.attempts, delivery.status_code, delivery.error) == (attempt, 503, "answered 503")
                assert delivery.claimed_by is None
                if delivery.status is DeliveryStatus.PENDING:
                    answers.append((attempt, (delivery.due_at - utcnow()).total_seconds()))
                    assert deliver(app) == {}  # not before its time
                    edit(app, Delivery, due_at=LONG_AGO)

        assert [attempt for attempt, _ in answers] == [1, 2, 3, 4, 5, 6]
        assert [pause for _, pause in answers] == pytest.approx(PAUSES, abs=3)
        assert delivery.status is DeliveryStatus.FAILED
        assert delivery.done_at is not None
        assert len(server.heard) == 7
        assert set(ids(server.heard)) == {str(delivery.id)}
        assert len({heard.body for heard in server.heard}) == 1
        assert [verified(heard)["type"] for heard in server.heard] == ["product.created"] * 7

    def test_is_followed_by_success(self, app, user_id):
        scripts = iter([says(http(500)), OK])
        with wire(lambda _: next(scripts), choose=True) as server:
            make_delivery(app, make_webhook(app, user_id, server.url))
            assert deliver(app) == {"failed": 1}
            since = the_webhook(app).failing_since
            assert abs(since - utcnow()) < timedelta(seconds=5)
            edit(app, Delivery, due_at=LONG_AGO)
            assert deliver(app) == {"delivered": 1}

        assert the_webhook(app).failing_since is None
        assert (the_delivery(app).attempts, the_delivery(app).error) == (2, None)

    @pytest.mark.parametrize(
        ("script", "status", "error"),
        [
            (says(http(302, b"", Location="http://127.0.0.1:9/")), 302, "answered 302"),
            (says(http(404)), 404, "answered 404"),
            (hangs, None, "timed out"),
            (drips(http(), pause=0.02), None, "timed out"),
            (says(b"", keep=False), None, "connection cut off"),
            (says(b"SSH-2.0-OpenSSH\r\n", keep=False), None, "unreachable"),
        ],
        ids=["redirect", "not found", "silence", "drip", "nothing", "no HTTP"],
    )
    def test_says_in_the_log_what_it_was(self, app, user_id, script, status, error):
        with wire(script) as server:
            make_delivery(app, make_webhook(app, user_id, server.url))
            assert deliver(app, seconds=0.3) == {"failed": 1}

        assert (the_delivery(app).status_code, the_delivery(app).error) == (status, error)
        assert the_delivery(app).status is DeliveryStatus.PENDING

    @pytest.mark.parametrize("status", [200, 500])
    def test_an_endless_answer_is_cut_off_and_its_status_counts(self, app, user_id, status):
        endless = repeats(http(status, b"", length=-1, Transfer_Encoding="chunked"), b"400\r\n%s\r\n" % (b"x" * 1024))
        with wire(endless) as server:
            make_delivery(app, make_webhook(app, user_id, server.url))
            assert deliver(app) == ({"delivered": 1} if status == 200 else {"failed": 1})

        assert the_delivery(app).status_code == status

    def test_keeps_the_moment_at_which_it_began(self, app, user_id):
        began = utcnow() - timedelta(days=2)
        with wire(says(http(500))) as server:
            make_delivery(app, make_webhook(app, user_id, server.url, failing_since=began))
            deliver(app)

        assert (the_webhook(app).failing_since, the_webhook(app).enabled) == (began, True)


class TestTheEnd:
    def test_of_a_webhook_that_is_gone_is_at_once(self, app, user_id):
        with wire(says(http(410))) as server:
            webhook_id = make_webhook(app, user_id, server.url)
            make_delivery(app, webhook_id)
            assert deliver(app) == {"failed": 1}
            assert the_delivery(app).status is DeliveryStatus.FAILED
            waiting = make_delivery(app, webhook_id)  # queued a moment before
            deliver(app)

        webhook = the_webhook(app)
        assert (webhook.enabled, webhook.disabled_reason) == (False, "gone")
        assert len(server.heard) == 1
        errors = {delivery.id: (delivery.status.value, delivery.error) for delivery in stored(app, Delivery)}
        assert errors.pop(waiting) == ("failed", "disabled")
        assert list(errors.values()) == [("failed", "answered 410")]

    def test_takes_along_what_waits_for_its_next_attempt(self, app, user_id):
        with wire(says(http(410))) as server:
            webhook_id = make_webhook(app, user_id, server.url)
            make_delivery(app, webhook_id)
            later = make_delivery(app, webhook_id, due_at=utcnow() + timedelta(hours=5), attempts=4)
            elsewhere = make_delivery(app, make_webhook(app, user_id), due_at=utcnow() + timedelta(hours=5))
            deliver(app)

        found = {delivery.id: delivery for delivery in stored(app, Delivery)}
        assert (found[later].status, found[later].error) == (DeliveryStatus.FAILED, "disabled")
        assert found[elsewhere].status is DeliveryStatus.PENDING

    @pytest.mark.parametrize(("failing", "enabled"), [(FAILS_AT_MOST, False), (FAILS_AT_MOST - timedelta(0, 60), True)])
    def test_comes_after_five_days_of_nothing_but_failures(self, app, user_id, failing, enabled):
        with wire(says(http(500))) as server:
            make_delivery(app, make_webhook(app, user_id, server.url, failing_since=utcnow() - failing))
            deliver(app)

        webhook = the_webhook(app)
        assert (webhook.enabled, webhook.disabled_reason) == (enabled, None if enabled else "failing")

    def test_has_come_for_what_is_disabled_or_belongs_to_nobody_any_more(self, app, user_id):
        with wire(OK) as server:
            disabled = make_delivery(app, make_webhook(app, user_id, server.url, enabled=False))
            nobodys = make_delivery(app, make_webhook(app, make_user(app, active=False), server.url))
            assert deliver(app) == {"failed": 2}
            assert server.connections == 0

        errors = {delivery.id: (delivery.status.value, delivery.error) for delivery in stored(app, Delivery)}
        assert errors == {disabled: ("failed", "disabled"), nobodys: ("failed", "user inactive")}
        assert {webhook.failing_since for webhook in stored(app, Webhook)} == {None}

    def test_of_many_that_are_disabled_is_written_in_batches(self, app, user_id):
        webhook_id = make_webhook(app, user_id, enabled=False)
        for _ in range(3 * CLAIMED_AT_ONCE):
            make_delivery(app, webhook_id)

        assert deliver(app) == {"failed": 3 * CLAIMED_AT_ONCE}


class TestWhatHappensMeanwhile:
    def during(self, app: Flask, user_id: UUID, meanwhile: Callable[[UUID], None], answer: bytes) -> dict[str, int]:
        """Send one message; while it is on its way something else happens to its webhook."""
        hook: list[UUID] = []

        def play(heard: Heard) -> Script:
            meanwhile(hook[0])
            return says(answer)

        with wire(play, choose=True) as server:
            hook.append(make_webhook(app, user_id, server.url))
            make_delivery(app, hook[0])
            return deliver(app)

    def test_a_webhook_that_is_deleted_harms_nobody(self, app, user_id):
        def delete(webhook_id: UUID) -> None:
            with app.app_context():
                in_transaction(lambda: webhooks.remove(user_id, webhook_id, utcnow()))

        self.during(app, user_id, delete, http(410))

        assert (the_webhook(app).deleted_at is None, the_webhook(app).disabled_reason) == (False, None)
        assert (the_delivery(app).status, the_delivery(app).error) == (DeliveryStatus.FAILED, "disabled")

    def test_a_webhook_that_leads_elsewhere_by_now_is_not_blamed(self, app, user_id):
        self.during(app, user_id, lambda _: edit(app, Webhook, url="https://new.example/"), http(410))

        assert (the_webhook(app).enabled, the_webhook(app).failing_since) == (True, None)

    def test_a_webhook_that_is_disabled_stays_so(self, app, user_id):
        def disable(webhook_id: UUID) -> None:
            with app.app_context():
                rules = AddressRules()
                in_transaction(lambda: webhooks.change(user_id, webhook_id, {"enabled": False}, rules, utcnow()))

        self.during(app, user_id, disable, http(410))

        assert (the_webhook(app).enabled, the_webhook(app).disabled_reason) == (False, None)
        assert (the_delivery(app).status, the_delivery(app).error) == (DeliveryStatus.FAILED, "disabled")

    def test_an_outcome_whose_claim_is_lost_is_dropped(self, app, user_id):
        self.during(app, user_id, lambda _: edit(app, Delivery, claimed_by="another"), http(500))

        assert (the_delivery(app).claimed_by, the_delivery(app).error) == ("another", None)


class TestAddresses:
    def test_that_were_allowed_once_get_nothing_now(self, make_app):
        with canary() as server:
            app = make_app(webhook_ports=(443, server.port))
            urls = [
                at_port(url, server.port) if url.startswith("https://") else url
                for url in (url for reason, urls in REFUSED.items() if "port" not in reason for url in urls)
                if "\0" not in url and "\ud800" not in url
            ]
            owner = make_user(app)
            for url in urls:
                make_delivery(app, make_webhook(app, owner, url))

            assert len(urls) > 80
            assert deliver(app) == {"failed": len(urls)}
            assert server.connections == 0

        assert {delivery.error for delivery in stored(app, Delivery)} == {"address not allowed"}
        assert {delivery.status_code for delivery in stored(app, Delivery)} == {None}


class TestManyAtOnce:
    def test_a_slow_one_does_not_hold_up_the_others(self, app, user_id, monkeypatch):
        monkeypatch.setattr(flow, "STOP_SECONDS", 0.1)
        stop = threading.Event()
        with wire(hangs) as slow, wire(OK) as good:
            hanging = make_webhook(app, user_id, slow.url)
            for _ in range(2 * CLAIMED_AT_ONCE):
                make_delivery(app, hanging)
            others = [make_webhook(app, make_user(app), good.url) for _ in range(3)]
            for number in range(45):
                make_delivery(app, others[number % 3], due_at=LONG_AGO + timedelta(days=1))
            thread = threading.Thread(target=deliver, args=(app, stop))
            started = time.monotonic()
            thread.start()
            while len(good.heard) < 45 and time.monotonic() - started < 5:
                time.sleep(0.01)
            seconds = time.monotonic() - started
            stop.set()
            thread.join()

        assert len(good.heard) == 45
        assert seconds < 1.8
        assert slow.connections <= SHARE
        left = stored(app, Delivery, Delivery.webhook_id == hanging)
        assert {(d.status, d.attempts, d.claimed_by) for d in left} == {(DeliveryStatus.PENDING, 0, None)}

    def test_one_that_fails_gets_one_message_at_a_time(self, app, user_id):
        most, open_now, lock = 0, 0, threading.Lock()

        def script(connection: Any) -> bool:
            nonlocal most, open_now
            with lock:
                open_now += 1
                most = max(most, open_now)
            time.sleep(0.02)
            with lock:
                open_now -= 1
            return says(http(500))(connection)

        with wire(script) as server:
            webhook_id = make_webhook(app, user_id, server.url, failing_since=utcnow())
            for _ in range(12):
                make_delivery(app, webhook_id)
            assert deliver(app) == {"failed": 4}

        assert most == 1
        left = stored(app, Delivery, Delivery.attempts == 0)
        assert {(delivery.status, delivery.claimed_by) for delivery in left} == {(DeliveryStatus.PENDING, None)}
        assert [0 < (delivery.due_at - utcnow()).total_seconds() <= 5 for delivery in left] == [True] * 8

    def test_two_workers_share_the_work_and_double_nothing(self, make_sender, app, user_id):
        with wire(OK) as server:
            made = []
            for _ in range(4):
                webhook_id = make_webhook(app, make_user(app), server.url)
                made += [str(make_delivery(app, webhook_id)) for _ in range(25)]
            done: Counter[str] = Counter()
            workers = [threading.Thread(target=lambda a=a: done.update(deliver(a))) for a in (app, make_sender())]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()

        assert sorted(ids(server.heard)) == sorted(made)
        assert done == {"delivered": 100}

    def test_what_was_not_sent_when_told_to_stop_is_given_back(self, app, user_id):
        stop = threading.Event()

        def play(_: Heard) -> Script:
            stop.set()
            return OK

        with wire(play, choose=True) as server:
            webhook_id = make_webhook(app, user_id, server.url)
            for _ in range(2 * CLAIMED_AT_ONCE):
                make_delivery(app, webhook_id)
            done = deliver(app, stop)

        assert done == {"delivered": len(server.heard)}
        left = stored(app, Delivery, Delivery.status == DeliveryStatus.PENDING)
        assert len(left) == 2 * CLAIMED_AT_ONCE - len(server.heard) > 0
        assert {(delivery.attempts, delivery.claimed_by) for delivery in left} == {(0, None)}


def test_what_is_queued_for_an_event_arrives_at_all_that_subscribed(app, user_id):
    with wire(OK) as server:
        subscribed = make_webhook(app, user_id, f"{server.url}/subscribed")
        make_webhook(app, user_id, f"{server.url}/other", events=["price.alert"])
        told = [("created:1", {"id": "1"}), ("created:2", {"id": "2"})]
        for _ in range(2):
            with app.app_context():
                in_transaction(lambda: outbox.queue(webhooks.messages("product.created", told), utcnow()))

        assert deliver(app) == {"delivered": 2}

    assert {heard.path for heard in server.heard} == {"/subscribed"}
    assert sorted(verified(heard)["data"]["id"] for heard in server.heard) == ["1", "2"]
    assert {delivery.webhook_id for delivery in stored(app, Delivery)} == {subscribed}
    assert json.loads(stored(app, Delivery)[0].payload).keys() == {"id"}


def test_an_inactive_users_webhook_is_told_nothing(app, user_id):
    make_webhook(app, user_id)
    edit(app, User, active=False)
    with app.app_context():
        assert in_transaction(lambda: webhooks.messages("product.created", [("k", {})])) == []


class TestAReceiverThatAsksToBeLeftAlone:
    @pytest.fixture
    def answered(self, app, user_id):
        """What comes of three messages to a receiver with such an answer; and how often it has heard from us."""

        def answered(answer: bytes) -> tuple[float, list[float], int]:
            with wire(says(answer)) as server:
                webhook_id = make_webhook(app, user_id, server.url)
                for _ in range(3):
                    make_delivery(app, webhook_id)
                for _ in range(3):
                    deliver(app)
            paused_until = the_webhook(app).paused_until
            pause = (paused_until - utcnow()).total_seconds() if paused_until else 0.0
            dues = [(each.due_at - utcnow()).total_seconds() for each in stored(app, Delivery)]
            return pause, dues, len(server.heard)

        return answered

    @pytest.mark.parametrize("status", [429, 503])
    @pytest.mark.parametrize("body", [b"", b"x" * 5_000], ids=["short", "too long to be read"])
    def test_is_sent_nothing_until_then(self, answered, status, body):
        pause, dues, heard = answered(http(status, body, Retry_After="900"))

        assert 890 < pause <= 900
        assert all(890 < due <= 900 for due in dues)
        assert 1 <= heard <= 3  # those that were under way

    def test_may_say_a_date(self, answered):
        moment = format_datetime(datetime.now(UTC) + timedelta(minutes=15), usegmt=True)

        pause, dues, _ = answered(http(429, b"", Retry_After=moment))

        assert 880 < pause <= 901
        assert all(880 < due <= 901 for due in dues)

    def test_is_asked_again_the_next_day_whatever_it_says(self, answered):
        pause, _, _ = answered(http(503, b"", Retry_After="100000000"))

        assert 0 < pause <= 86_400

    @pytest.mark.parametrize("said", ["-5", "soon", "", "Mon, 04 May 2020 12:30:45 GMT"])
    def test_is_tried_again_as_ever_where_that_makes_no_sense(self, answered, said):
        pause, dues, _ = answered(http(429, b"", Retry_After=said))

        assert pause == 0
        assert all(0 < due <= PAUSES[0] for due in dues)

    def test_does_not_spend_the_attempts_of_what_waits(self, app, user_id):
        with wire(OK) as server:
            webhook_id = make_webhook(app, user_id, server.url, paused_until=utcnow() + timedelta(minutes=10))
            make_delivery(app, webhook_id)

            assert deliver(app) == {}

        assert (server.connections, the_delivery(app).attempts) == (0, 0)
        assert 590 < (the_delivery(app).due_at - utcnow()).total_seconds() <= 600

    def test_does_not_hold_up_another(self, app, user_id):
        with wire(says(http(429, b"", Retry_After="900"))) as busy, wire(OK) as server:
            for url in (busy.url, server.url):
                webhook_id = make_webhook(app, user_id, url)
                for _ in range(4):
                    make_delivery(app, webhook_id)

            assert deliver(app)["delivered"] == 4

    def test_hears_the_rest_when_the_time_is_over(self, app, user_id):
        with wire(OK) as server:
            webhook_id = make_webhook(app, user_id, server.url, paused_until=utcnow() - timedelta(seconds=1))
            make_delivery(app, webhook_id)

            assert deliver(app) == {"delivered": 1}

    def test_is_forgotten_with_another_url(self, app, user_id):
        webhook_id = make_webhook(app, user_id, "https://a.example.com", paused_until=utcnow() + timedelta(hours=1))
        with app.app_context():
            rules = webhook_settings().rules
            in_transaction(
                lambda: webhooks.change(user_id, webhook_id, {"url": "https://b.example.com"}, rules, utcnow())
            )

        assert the_webhook(app).paused_until is None
