"""Mails from the outbox to a mail server: each outcome, servers that fail, two workers at once, and kill -9."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask

from aggregator.clients.wire import CUT_OFF, TIMED_OUT, UNREACHABLE
from aggregator.clock import utcnow
from aggregator.database import db, transaction
from aggregator.flows import mails
from aggregator.flows.mails import Post, deliver
from aggregator.models import Channel, Delivery, DeliveryStatus, Event, User
from aggregator.services import outbox
from aggregator.services.outbox import Message
from tests.builders import edit, make_user, stored
from tests.mail_server import Inbox, authority, certificate_for, drips, hangs, mail_server, rude_server, says, trusting
from tests.scenarios.processes import ROOT, environment

ALERT = {
    "product_id": "9a1f6d5e-8f5c-4f0e-9f57-0d9b0b0f2f11",
    "product_name": "Moka pot <b>&</b> Kávovar",
    "kind": "below",
    "text": "The price is at your target, or below it.",
    "price": 4284,
    "price_before": 4896,
    "change_percent": -12.5,
    "at": "2026-11-20T17:12:31.348000Z",
    "currency": "EUR",
}
NEWS = {
    "date": "2026-11-20",
    "currency": "EUR",
    "products": 12,
    "new": 6,
    "new_products": [{"id": "1", "name": "Kettle", "price": None}, {"id": "2", "name": "Cup", "price": 900}],
    "drops": 1,
    "largest_drops": [{"id": "3", "name": "Apron", "price": 1900, "price_before": 3800, "change_percent": -50.0}],
}
ORDER = {
    "order_id": "0d1f6d5e-8f5c-4f0e-9f57-0d9b0b0f2f11",
    "code": "7K3DV9QW",
    "items": [
        {"product_id": "1", "product_name": ALERT["product_name"], "quantity": 2, "unit_price": 4284, "total": 8568},
        {"product_id": "2", "product_name": "Cup", "quantity": 1, "unit_price": 900, "total": 900},
    ],
    "total": 9468,
    "currency": "EUR",
    "at": "2026-11-20T17:12:31.348000Z",
}


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with mail_server() as inbox:
        yield inbox


@pytest.fixture
def app(make_app: Callable[..., Flask], inbox: Inbox) -> Flask:
    return make_app(mail_url=inbox.url(), mail_from="shop@example.com", timezone="Europe/Prague")


def post_of(app: Flask) -> Post:
    return app.extensions["post"]


def queue(app: Flask, *users: UUID, event: Event = Event.PRICE_ALERT, payload: dict | None = None) -> None:
    """A mail to each of those users, the first one first."""
    with app.app_context():
        for user_id in users:
            with transaction():
                outbox.queue([Message(Channel.MAIL, event, user_id, payload or ALERT)], utcnow())


def send(app: Flask, stop: threading.Event | None = None) -> dict[str, object]:
    """What a run of the job does, even while the server is left alone."""
    with app.app_context():
        return deliver(post_of(app), stop or threading.Event(), lambda: None)


def deliveries(app: Flask) -> list[Delivery]:
    return sorted(stored(app, Delivery), key=lambda delivery: delivery.created_at)


def make_due(app: Flask) -> None:
    """Let all pauses and claims be over."""
    edit(app, Delivery, due_at=utcnow() - timedelta(seconds=1), claimed_until=None)


def state(delivery: Delivery) -> tuple[DeliveryStatus, int, int | None, str | None]:
    assert (delivery.claimed_by, delivery.claimed_until) == (None, None)
    return delivery.status, delivery.attempts, delivery.status_code, delivery.error


DELIVERED = (DeliveryStatus.DELIVERED, 1, None, None)


class TestAMail:
    def test_arrives_and_is_done(self, app, inbox):
        user_id = make_user(app, email="ada@example.org")
        queue(app, user_id)
        before = utcnow()

        assert send(app) == {"sent": 1}
        (arrived,), (delivery,) = inbox.arrived, deliveries(app)
        assert (arrived.sender, arrived.recipients) == ("shop@example.com", ["ada@example.org"])
        assert arrived.id == str(delivery.id)
        assert state(delivery) == DELIVERED
        assert before <= delivery.done_at <= utcnow()
        assert send(app) == {}

    def test_of_an_alert_says_what_the_price_is_and_was(self, app, inbox):
        queue(app, make_user(app))
        send(app)

        message = inbox.arrived[0].message
        text, html = (part.get_content() for part in message.iter_parts())
        assert message["Subject"] == "Moka pot <b>&</b> Kávovar: 42.84 EUR (-12.5 %)"
        assert text.splitlines() == [
            "Moka pot <b>&</b> Kávovar",
            "",
            "The price is at your target, or below it.",
            "",
            "Now:    42.84 EUR (-12.5 %)",
            "Before: 48.96 EUR",
            "Seen:   20 November 2026, 18:12 (Europe/Prague)",
            "",
            "-- ",
            "You get this mail because you have set an alert for this product.",
            'No more of these mails: PATCH /api/v1/auth/me with {"mail_alerts": false}',
        ]
        assert "Moka pot &lt;b&gt;&amp;&lt;/b&gt; Kávovar" in html
        assert "<b>" not in html
        for told in ("42.84 EUR", "48.96 EUR", "-12.5 %", "20 November 2026, 18:12"):
            assert told in html

    @pytest.mark.parametrize(
        ("news", "subject", "lines"),
        [
            ({"price": None, "change_percent": None}, "sold out", ["Now:    not to be had", "Before: 48.96 EUR"]),
            (
                {"price_before": None, "change_percent": None},
                "42.84 EUR",
                ["Now:    42.84 EUR", "Before: not to be had"],
            ),
            ({"price": 0, "change_percent": -100.0}, "0.00 EUR (-100 %)", ["Now:    0.00 EUR (-100 %)"]),
            ({"currency": "JPY"}, "4,284 JPY (-12.5 %)", ["Now:    4,284 JPY (-12.5 %)", "Before: 4,896 JPY"]),
        ],
    )
    def test_of_an_alert_does_without_what_there_is_not(self, app, inbox, news, subject, lines):
        queue(app, make_user(app), payload=ALERT | news)

        assert send(app) == {"sent": 1}
        message = inbox.arrived[0].message
        text = message.get_body(("plain",)).get_content()
        assert message["Subject"] == f"Moka pot <b>&</b> Kávovar: {subject}"
        assert [line for line in text.splitlines() if line.startswith(("Now", "Before"))][: len(lines)] == lines

    def test_of_the_morning_tells_what_is_new(self, app, inbox):
        queue(app, make_user(app), event=Event.DAILY, payload=NEWS)
        send(app)

        message = inbox.arrived[0].message
        text, html = (part.get_content() for part in message.iter_parts())
        assert message["Subject"] == "Prices today: 1 fell, 6 new products"
        assert text.splitlines()[:-4] == [
            "Friday, 20 November 2026",
            "",
            "What fell the most since yesterday",
            "",
            "* Apron: 19.00 EUR (-50 %), before 38.00 EUR",
            "",
            "New since yesterday",
            "",
            "* Kettle",
            "* Cup: 9.00 EUR",
            "and 4 more",
            "",
            "12 products are being watched.",
        ]
        for told in (
            "Friday, 20 November 2026",
            "Apron",
            "19.00 EUR",
            "-50 %, before 38.00 EUR",
            "Kettle",
            "and 4 more",
        ):
            assert told in html

    def test_of_an_order_says_what_is_in_it(self, app, inbox):
        queue(app, make_user(app), event=Event.ORDER_PLACED, payload=ORDER)
        send(app)

        message = inbox.arrived[0].message
        text, html = (part.get_content() for part in message.iter_parts())
        assert message["Subject"] == "Your order 7K3DV9QW: 94.68 EUR"
        assert text.splitlines() == [
            "Your order 7K3DV9QW",
            "",
            "* 2 x Moka pot <b>&</b> Kávovar: 85.68 EUR",
            "* 1 x Cup: 9.00 EUR",
            "",
            "Total:  94.68 EUR",
            "Placed: 20 November 2026, 18:12 (Europe/Prague)",
            "",
            "Until it is paid you can change it, and until it is shipped you can cancel it.",
            "",
            "-- ",
            "You get this mail because you have placed an order.",
        ]
        for told in ("7K3DV9QW", "2 x Moka pot &lt;b&gt;&amp;&lt;/b&gt; Kávovar", "85.68 EUR", "94.68 EUR"):
            assert told in html

    def test_of_an_order_says_what_has_become_of_it(self, app, inbox):
        queue(app, make_user(app), event=Event.ORDER_STATUS, payload=ORDER | {"status": "shipped"})
        send(app)

        message = inbox.arrived[0].message
        text, html = (part.get_content() for part in message.iter_parts())
        assert message["Subject"] == "Your order 7K3DV9QW is shipped"
        assert text.splitlines()[:4] == [
            "Your order 7K3DV9QW is shipped.",
            "",
            "Total: 94.68 EUR",
            "Since: 20 November 2026, 18:12 (Europe/Prague)",
        ]
        assert "It is shipped" in html

    @pytest.mark.parametrize(
        ("news", "subject"),
        [
            ({"drops": 0, "largest_drops": []}, "6 new products today"),
            ({"new": 0, "new_products": []}, "Prices today: 1 fell"),
            ({"new": 1}, "Prices today: 1 fell, 1 new product"),
            ({"drops": 0, "largest_drops": [], "new": 0, "new_products": []}, "Prices today: nothing new"),
        ],
    )
    def test_of_the_morning_is_written_even_if_there_is_little_to_tell(self, app, inbox, news, subject):
        queue(app, make_user(app), event=Event.DAILY, payload=NEWS | news)

        assert send(app) == {"sent": 1}
        assert inbox.arrived[0].message["Subject"] == subject

    def test_goes_where_the_user_is_to_be_found_now(self, app, inbox):
        user_id = make_user(app, email="old@example.org")
        queue(app, user_id)
        edit(app, User, email="new@example.org")
        send(app)

        assert inbox.arrived[0].recipients == ["new@example.org"]

    def test_gets_no_header_from_the_name_of_a_product(self, app, inbox):
        queue(app, make_user(app), payload=ALERT | {"product_name": "Pot\r\nBcc: eve@example.org\r\n\r\n<script>"})
        send(app)

        (arrived,) = inbox.arrived
        assert arrived.message["Bcc"] is None
        assert arrived.message["Subject"] == "Pot Bcc: eve@example.org <script>: 42.84 EUR (-12.5 %)"
        assert "<script>" not in arrived.message.get_body(("html",)).get_content()


class TestWhatIsNeverSent:
    def test_is_the_mail_of_a_user_who_is_not_active(self, app, inbox):
        queue(app, make_user(app, active=False))

        assert send(app) == {"refused": 1}
        assert state(deliveries(app)[0]) == (DeliveryStatus.FAILED, 1, None, "the user is not active")
        assert inbox.arrived == []

    def test_is_a_mail_about_something_that_there_is_no_mail_for(self, app, inbox):
        queue(app, make_user(app), event=Event.OFFERS_CHANGED)

        assert send(app) == {"refused": 1}
        assert state(deliveries(app)[0])[3] == "there is no mail about offers.changed"

    def test_is_a_mail_that_cannot_be_written(self, app, inbox):
        queue(app, make_user(app), payload={"product_name": "Moka pot"})

        assert send(app) == {"refused": 1}
        assert state(deliveries(app)[0]) == (DeliveryStatus.FAILED, 1, None, "it cannot be written: UndefinedError")

    def test_is_the_mail_of_a_morning_that_is_long_over(self, app, inbox):
        queue(app, *(make_user(app) for _ in range(2)), event=Event.DAILY, payload=NEWS)
        first, second = deliveries(app)
        edit(app, Delivery, Delivery.id == first.id, created_at=utcnow() - timedelta(hours=25))
        edit(app, Delivery, Delivery.id == second.id, created_at=utcnow() - timedelta(hours=23))

        assert send(app) == {"refused": 1, "sent": 1}
        assert [state(delivery)[3] for delivery in deliveries(app)] == ["its day is over", None]

    def test_is_a_mail_about_an_event_of_a_version_to_come_but_that_stays_for_it(self, app, inbox):
        queue(app, *(make_user(app) for _ in range(2)))
        unknown = deliveries(app)[0].id
        with app.app_context(), transaction():
            db.session.execute(
                sa.text("UPDATE deliveries SET event = 'order.returned' WHERE id = :id"),
                {"id": str(unknown)},
            )

        assert send(app) == {"sent": 1}
        with app.app_context(), transaction():
            query = sa.text("SELECT status, attempts FROM deliveries WHERE event = 'order.returned'")
            assert db.session.execute(query).all() == [("pending", 0)]


class TestAFailingAddress:
    @pytest.mark.parametrize(
        ("answer", "outcome", "expected"),
        [
            (
                "550 5.1.1 <bad@example.org> who?",
                "refused",
                (DeliveryStatus.FAILED, 1, 550, "the server answered 550 5.1.1 to the address"),
            ),
            (
                "450 4.2.1 later",
                "delayed",
                (DeliveryStatus.PENDING, 1, 450, "the server answered 450 4.2.1 to the address"),
            ),
        ],
    )
    def test_costs_only_itself(self, app, inbox, answer, outcome, expected):
        inbox.to_recipient["bad@example.org"] = answer
        others = [make_user(app) for _ in range(4)]
        queue(app, *others[:2], make_user(app, email="bad@example.org"), *others[2:])

        assert send(app) == {"sent": 4, outcome: 1}
        assert [state(each) for each in deliveries(app)] == [DELIVERED, DELIVERED, expected, DELIVERED, DELIVERED]
        assert len(inbox.connections) == 1

    def test_is_tried_again_after_a_pause_and_in_the_end_given_up(self, app, inbox):
        inbox.to_recipient["bad@example.org"] = "450 later"
        queue(app, make_user(app, email="bad@example.org"))
        for attempt in range(1, len(outbox.PAUSES) + 2):
            assert send(app) == {"delayed": 1}
            (delivery,) = deliveries(app)
            assert delivery.attempts == attempt
            assert send(app) == {}, "it has its pause"
            make_due(app)

        assert delivery.status is DeliveryStatus.FAILED
        assert inbox.arrived == []


class TestAServerThatIsDown:
    def down(self, app: Flask, inbox: Inbox) -> Inbox:
        """The server of the app, with nobody behind its port."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            post_of(app).server = mails.MailServer("127.0.0.1", probe.getsockname()[1], False)
        return inbox

    def test_costs_one_attempt_and_not_one_of_each_mail(self, app, inbox):
        queue(app, *(make_user(app) for _ in range(5)))
        self.down(app, inbox)

        assert send(app) == {"delayed": 1, "problem": UNREACHABLE}
        assert [state(each) for each in deliveries(app)] == [
            (DeliveryStatus.PENDING, 1, None, UNREACHABLE),
            *[(DeliveryStatus.PENDING, 0, None, None)] * 4,
        ]

    def test_is_left_alone_for_a_while_and_longer_each_time(self, app, inbox, monkeypatch):
        now = [1_000.0]
        monkeypatch.setattr(mails, "monotonic", lambda: now[0])
        post, pauses = post_of(app), []
        for _ in range(6):
            post.is_down("unreachable")
            began = now[0]
            while post.rests:
                now[0] += 1.0
            pauses.append(now[0] - began)

        for pause, expected in zip(pauses, [5, 15, 60, 300, 300, 300], strict=True):
            assert 0.8 * expected <= pause <= 1.2 * expected + 1

        post.works()
        post.is_down("unreachable")
        now[0] += 6.1
        assert not post.rests

    def test_gets_all_of_it_when_it_is_back(self, app, inbox):
        server = post_of(app).server
        queue(app, *(make_user(app) for _ in range(3)))
        self.down(app, inbox)
        send(app)
        post_of(app).server = server
        make_due(app)

        assert send(app) == {"sent": 3}
        assert {state(each)[0] for each in deliveries(app)} == {DeliveryStatus.DELIVERED}
        assert sorted(arrived.id for arrived in inbox.arrived) == sorted(str(each.id) for each in deliveries(app))

    @pytest.mark.parametrize(
        ("script", "problem"), [(lambda *_: None, CUT_OFF), (drips("220 mail.test"), TIMED_OUT)], ids=["drops", "drips"]
    )
    def test_may_be_so_in_other_ways(self, app, inbox, script, problem):
        queue(app, *(make_user(app) for _ in range(3)))
        with rude_server(script) as rude:
            post_of(app).server = mails.MailServer("127.0.0.1", rude.port, False)
            post_of(app).seconds = 0.3
            began = time.monotonic()

            assert send(app) == {"delayed": 1, "problem": problem}
            assert time.monotonic() - began < 2
        assert [each.attempts for each in deliveries(app)] == [1, 0, 0]

    def test_that_takes_a_mail_and_drops_before_it_says_so_gets_the_same_mail_again(self, app, inbox):
        queue(app, make_user(app))
        server = post_of(app).server
        with rude_server(says("220 x", "250 x", "250 OK", "250 OK", "354 go on")) as rude:
            post_of(app).server = mails.MailServer("127.0.0.1", rude.port, False)

            assert send(app) == {"delayed": 1, "problem": CUT_OFF}
        post_of(app).server = server
        make_due(app)
        assert send(app) == {"sent": 1}

        ((taken,), (arrived,)) = rude.mails, inbox.arrived
        assert taken["Message-ID"] == arrived.message["Message-ID"]
        assert taken["Date"] == arrived.message["Date"]

    def test_with_the_wrong_password_is_as_good_as_down(self, make_app):
        ca = authority()
        with mail_server(certificate_for(ca, "localhost"), accounts=True) as strict:
            app = make_app(mail_url=strict.url(credentials="shop%40example.com:wr0ng-p4ss@"))
            post_of(app).context = trusting(ca)
            queue(app, *(make_user(app) for _ in range(2)))

            assert send(app) == {"delayed": 1, "problem": "the server answered 535 5.7.8 to the password"}
        assert [each.attempts for each in deliveries(app)] == [1, 0]

    def test_with_tls_and_an_account_is_not(self, make_app):
        ca = authority()
        with mail_server(certificate_for(ca, "localhost"), accounts=True) as strict:
            app = make_app(mail_url=strict.url(credentials="shop%40example.com:a%3ALantern%40Sea%2F%25@"))
            post_of(app).context = trusting(ca)
            queue(app, *(make_user(app) for _ in range(2)))

            assert send(app) == {"sent": 2}
        assert [(each.encrypted, each.user) for each in strict.arrived] == [(True, "shop@example.com")] * 2


class TestWithoutAServer:
    def test_there_is_a_line_in_the_log_for_each_mail_and_it_counts_as_delivered(self, make_app, capfd):
        app = make_app(log_format="json")
        user_id = make_user(app, email="ada@example.org")
        queue(app, user_id)

        assert send(app) == {"sent": 1}
        (line,) = [line for line in capfd.readouterr().err.splitlines() if "mail" in line]
        told = json.loads(line)
        assert (told["mail"], told["user_id"]) == ("price.alert", str(user_id))
        assert told["subject"] == "Moka pot <b>&</b> Kávovar: 42.84 EUR (-12.5 %)"
        assert "ada@example.org" not in line
        assert "target" not in line, "the body is nobody's business"
        assert state(deliveries(app)[0]) == DELIVERED


class TestABatch:
    def test_is_followed_by_the_next_one(self, app, inbox, monkeypatch):
        monkeypatch.setattr(mails, "BATCH", 3)
        queue(app, *(make_user(app) for _ in range(7)))

        assert send(app) == {"sent": 7}
        assert len(inbox.connections) == 3

    def test_ends_while_its_claims_still_hold(self, app, inbox, monkeypatch):
        monkeypatch.setattr(mails, "BATCH_SECONDS", 0.25)
        inbox.pause = 0.1
        queue(app, *(make_user(app) for _ in range(5)))

        assert send(app) == {"sent": 5}
        assert len(inbox.connections) >= 2
        assert [state(each) for each in deliveries(app)] == [DELIVERED] * 5

    def test_leaves_time_for_a_mail_that_takes_as_long_as_it_may(self):
        assert mails.BATCH_SECONDS + mails.MAIL_SECONDS < outbox.CLAIM_SECONDS

    def test_stops_when_it_is_told_to_and_gives_back_the_rest(self, app, inbox):
        stop = threading.Event()
        queue(app, *(make_user(app) for _ in range(5)))

        def stop_at_the_second(arrived) -> str:
            if len(inbox.arrived) == 1:
                stop.set()
            return "250 OK"

        inbox.to_mail = stop_at_the_second
        assert send(app, stop) == {"sent": 2}
        assert [state(each)[:2] for each in deliveries(app)] == [
            *[(DeliveryStatus.DELIVERED, 1)] * 2,
            *[(DeliveryStatus.PENDING, 0)] * 3,
        ]

    def test_stops_soon_even_if_the_server_hangs(self, app, inbox, monkeypatch):
        monkeypatch.setattr(mails, "LAST_SECONDS", 0.2)
        queue(app, *(make_user(app) for _ in range(3)))
        stop = threading.Event()

        def hang_when_told_to_stop(connection, rude) -> None:
            stop.set()
            hangs("220 mail.test")(connection, rude)

        with rude_server(hang_when_told_to_stop) as rude:
            post_of(app).server = mails.MailServer("127.0.0.1", rude.port, False)
            began = time.monotonic()

            assert send(app, stop) == {"delayed": 1, "problem": TIMED_OUT}
            assert time.monotonic() - began < 5  # and not the ten of a read
        assert [state(each)[:2] for each in deliveries(app)] == [
            (DeliveryStatus.PENDING, 1),
            *[(DeliveryStatus.PENDING, 0)] * 2,
        ]

    def test_says_that_it_is_getting_on(self, app, inbox):
        beats = []
        queue(app, *(make_user(app) for _ in range(3)))
        with app.app_context():
            deliver(post_of(app), threading.Event(), lambda: beats.append(1))

        assert len(beats) == 3

    def test_holds_no_transaction_open_while_it_sends(self, app, inbox):
        queue(app, make_user(app))
        written = []

        def write(arrived) -> str:
            written.append(make_user(app))  # SQLite would wait for the other writer
            return "250 OK"

        inbox.to_mail = write
        assert send(app) == {"sent": 1}
        assert len(written) == 1


class TestTwoWorkers:
    def test_send_each_mail_once(self, make_app, inbox, monkeypatch):
        monkeypatch.setattr(mails, "BATCH", 5)
        apps = [make_app(mail_url=inbox.url(), mail_from="shop@example.com", mails_per_day=60) for _ in range(2)]
        user_id = make_user(apps[0])
        with apps[0].app_context(), transaction():
            outbox.queue([Message(Channel.MAIL, Event.PRICE_ALERT, user_id, ALERT)] * 60, utcnow())
        done: list[dict] = []
        threads = [threading.Thread(target=lambda app=app: done.append(send(app))) for app in apps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

        assert Counter(arrived.id for arrived in inbox.arrived) == {str(each.id): 1 for each in deliveries(apps[0])}
        assert sum(each.get("sent", 0) for each in done) == 60
        assert all(state(each) == DELIVERED for each in deliveries(apps[0]))


class TestKilled:
    @pytest.mark.parametrize("at", ["the address", "the mail"])
    def test_in_the_middle_of_a_batch_loses_none_and_doubles_one_at_most(self, app, inbox, database_url, service, at):
        queue(app, *(make_user(app) for _ in range(8)))
        sender: list[subprocess.Popen] = []

        def kill(_: object) -> str:
            if len(inbox.arrived) == 4:
                os.kill(sender[0].pid, signal.SIGKILL)
                sender[0].wait(10)
            return "250 OK"

        if at == "the mail":
            inbox.to_mail = kill
        else:
            inbox.to_recipient = Killing(kill)
        env = environment(database_url, service.base_url, MAIL_URL=inbox.url(), MAIL_FROM="shop@example.com")
        command = [sys.executable, "-m", "flask", "--app", "wsgi", "jobs", "run", "send-mails"]
        sender.append(
            subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        assert sender[0].wait(20) == -signal.SIGKILL
        inbox.to_mail, inbox.to_recipient = lambda arrived: "250 OK", {}
        make_due(app)

        assert send(app) == {"sent": 4}
        counts = Counter(arrived.id for arrived in inbox.arrived)
        assert counts.keys() == {str(each.id) for each in deliveries(app)}
        assert sorted(counts.values()) == [1] * 7 + [2 if at == "the mail" else 1]
        assert {each.status for each in deliveries(app)} == {DeliveryStatus.DELIVERED}


class Killing(dict):
    """Answers to recipients that are given by a function."""

    def __init__(self, answer: Callable[[object], str]) -> None:
        super().__init__()
        self.answer = answer

    def get(self, key: str, default: str = "") -> str:
        return self.answer(key)


def test_the_date_of_a_mail_is_when_it_was_queued(app, inbox):
    queue(app, make_user(app))
    edit(app, Delivery, created_at=datetime(2026, 5, 4, 12, 30, tzinfo=UTC))
    send(app)

    assert inbox.arrived[0].message["Date"] == "Mon, 04 May 2026 12:30:00 +0000"


class TestNamesOfProducts:
    HOSTILE = "Tea\u202epot\u2066\r\n\x1b[2J\u200b \ufeffset"

    def sent(self, app, inbox, event: Event, payload: dict):
        queue(app, make_user(app), event=event, payload=payload)
        send(app)
        (arrived,) = inbox.arrived
        return arrived.message

    @pytest.mark.parametrize("length", [60, 61, 100, 255, 1_000])
    @pytest.mark.parametrize("character", ["W", "é", "漢", "👍🏽"])
    def test_leave_room_for_the_price_in_the_subject(self, app, inbox, length, character):
        subject = self.sent(app, inbox, Event.PRICE_ALERT, ALERT | {"product_name": character * length})["Subject"]

        assert subject.endswith("…: 42.84 EUR (-12.5 %)")
        assert len(subject) <= 78
        assert set(subject.partition("…")[0]) == set(character)

    @pytest.mark.parametrize(
        ("event", "payload"),
        [
            (Event.PRICE_ALERT, ALERT | {"product_name": HOSTILE}),
            (Event.ORDER_PLACED, ORDER | {"items": [ORDER["items"][0] | {"product_name": HOSTILE}]}),
            (Event.DAILY, NEWS | {"new": 1, "new_products": [{"id": "1", "name": HOSTILE, "price": None}]}),
        ],
    )
    def test_bring_no_direction_and_no_control_into_any_mail(self, app, inbox, event, payload):
        mail = self.sent(app, inbox, event, payload)

        text, html = (mail.get_body((kind,)).get_content().replace("\r\n", "\n") for kind in ("plain", "html"))
        for part in (mail["Subject"], text, html):
            assert part == "".join(c for c in part if c.isprintable() or c == "\n")
        assert "Teapot [2J set" in text
        assert "<bdi>" in html
