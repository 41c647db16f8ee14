"""An address gets no mail but one until it is confirmed; and nobody gets more mails in a day than they may."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from flask import Flask

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.flows.mails import deliver
from aggregator.models import Alert, AlertKind, Channel, Delivery, DeliveryStatus, Event, User
from aggregator.services import announcements, confirmations, mail_tokens
from aggregator.services.mail_limits import TOO_MANY
from tests.builders import edit, make_alert, make_product, make_user, offer_id, sign_in, stored, sync
from tests.flows.test_mails import ALERT, NEWS, ORDER, queue
from tests.mail_server import Inbox, mail_server

URL = "https://shop.example.com"
REGISTRATION = {"username": "ada.lovelace", "email": "ada@example.org", "password": "eleven purple otters"}


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with mail_server() as inbox:
        yield inbox


@pytest.fixture
def start(make_app: Callable[..., Flask], inbox: Inbox) -> Callable[..., Flask]:
    return lambda **settings: make_app(
        mail_url=inbox.url(), **{"mail_from": "shop@example.com", "public_url": URL} | settings
    )


@pytest.fixture
def app(start: Callable[..., Flask]) -> Flask:
    return start()


def send(app: Flask) -> dict[str, object]:
    with app.app_context():
        return deliver(app.extensions["post"], threading.Event(), lambda: None)


def body(message, kind: str = "plain") -> str:
    return message.get_body((kind,)).get_content()


def link_in(message) -> str:
    """Path and query of the link in a mail."""
    (link,) = {word for word in body(message).split() if word.startswith(URL)}
    return link.removeprefix(URL)


def token_in(message) -> str:
    return parse_qs(urlsplit(link_in(message)).query)["token"][0]


def subjects(inbox: Inbox) -> list[str]:
    return [arrived.message["Subject"] for arrived in inbox.arrived]


def register(app: Flask, **fields: str) -> UUID:
    answer = app.test_client().post("/api/v1/auth/register", json=REGISTRATION | fields)
    assert answer.status_code == 201, answer.json
    assert answer.json["email_confirmed"] is False
    return UUID(answer.json["id"])


def the_user(app: Flask, user_id: UUID) -> User:
    return stored(app, User, User.id == user_id)[0]


def bearer(app: Flask, user_id: UUID) -> dict[str, str]:
    return {"Authorization": f"Bearer {sign_in(app, user_id)['access_token']}"}


def confirm(app: Flask, token: str):
    return app.test_client().post("/api/v1/auth/confirm-email", json={"token": token})


class TestAnUnconfirmedAddress:
    def test_gets_the_mail_that_asks_and_no_other(self, app, inbox):
        user_id = register(app)
        for event, payload in ((Event.PRICE_ALERT, ALERT), (Event.DAILY, NEWS), (Event.ORDER_PLACED, ORDER)):
            queue(app, user_id, event=event, payload=payload)

        send(app)

        assert subjects(inbox) == ["Please confirm your e-mail address"]
        assert inbox.arrived[0].recipients == ["ada@example.org"]
        refused = [d.error for d in stored(app, Delivery) if d.status is DeliveryStatus.FAILED]
        assert refused == ["the address is not confirmed"] * 3

    def test_is_queued_no_alerts(self, app, now):
        user_id, product_id = make_user(app, email_confirmed=False), make_product(app)
        for number in (1, 2):
            sync(app, product_id, {offer_id(1): (100 * number, 1)}, now + timedelta(minutes=number))
            if number == 1:
                make_alert(app, user_id, product_id, AlertKind.ANY_CHANGE)
        with app.app_context():
            in_transaction(lambda: announcements.announce("EUR", now))

        assert [d.event for d in stored(app, Delivery, Delivery.channel == Channel.MAIL)] == []
        assert stored(app, Alert)[0].by_mail

    def test_says_nothing_that_the_account_has_made_up(self, app, inbox):
        register(app, username="www.evil.example.com")
        send(app)

        message = inbox.arrived[0].message
        assert "evil" not in body(message) + body(message, "html") + message["Subject"]

    def test_leaves_no_token_in_the_database(self, app, inbox):
        register(app)
        send(app)

        token = token_in(inbox.arrived[0].message)
        assert all(token not in delivery.payload for delivery in stored(app, Delivery))

    def test_of_before_is_not_asked(self, app, inbox):
        user_id = make_user(app)
        queue(app, user_id)
        send(app)

        assert len(inbox.arrived) == 1
        assert the_user(app, user_id).email_confirmed


class TestConfirming:
    def asked(self, app, inbox) -> tuple[UUID, str]:
        user_id = register(app)
        send(app)
        return user_id, token_in(inbox.arrived[-1].message)

    def test_opens_the_way_for_mails(self, app, inbox):
        user_id, token = self.asked(app, inbox)

        assert confirm(app, token).status_code == 204
        queue(app, user_id)
        send(app)

        assert the_user(app, user_id).email_confirmed
        assert len(inbox.arrived) == 2

    def test_can_be_done_once_with_each_token(self, app, inbox):
        _, token = self.asked(app, inbox)
        confirm(app, token)

        answer = confirm(app, token)

        assert (answer.status_code, answer.json["code"]) == (422, "bad_mail_token")

    def test_is_of_one_address(self, app, inbox):
        user_id, token = self.asked(app, inbox)
        me = bearer(app, user_id)
        for email in ("b@example.org", REGISTRATION["email"]):  # there and back again
            answer = app.test_client().patch("/api/v1/auth/me", json={"email": email}, headers=me)
            assert answer.json["email_confirmed"] is False

        assert confirm(app, token).status_code == 422
        assert not the_user(app, user_id).email_confirmed

    @pytest.mark.parametrize("spoil", [lambda t: t[:-1], lambda t: "x" + t, lambda t: "é", lambda t: "a" * 600])
    def test_takes_no_other_token(self, app, inbox, spoil):
        _, token = self.asked(app, inbox)

        assert confirm(app, spoil(token)).status_code == 422

    def test_takes_no_old_token(self, app, inbox, monkeypatch):
        _, token = self.asked(app, inbox)
        monkeypatch.setattr(mail_tokens, "CONFIRMATION_LASTS", timedelta(seconds=-1))

        assert confirm(app, token).status_code == 422

    def test_takes_no_token_for_something_else(self, app, inbox):
        user_id, _ = self.asked(app, inbox)
        token = app.extensions["post"].links.tokens.unsubscription(user_id, mail_tokens.MailList.ALERTS)

        assert confirm(app, token).status_code == 422

    def test_by_the_link_takes_a_button(self, app, inbox):
        user_id, token = self.asked(app, inbox)
        client = app.test_client()

        for method in (client.get, client.head):
            page = method(link_in(inbox.arrived[0].message))
            assert page.status_code == 200
            assert page.headers["Cache-Control"] == "no-store"
            assert not the_user(app, user_id).email_confirmed
        assert b'method="post"' in client.get(link_in(inbox.arrived[0].message)).data
        pressed = client.post("/account/confirm-email", data={"token": token})

        assert pressed.status_code == 200
        assert the_user(app, user_id).email_confirmed
        assert client.post("/account/confirm-email", data={"token": token}).status_code == 422

    def test_without_a_public_url_takes_the_token_of_the_mail(self, start, inbox):
        app = start(public_url="")
        register(app)
        send(app)

        text = body(inbox.arrived[0].message)
        assert "http" not in text
        token = max(text.split(), key=len)
        assert confirm(app, token).status_code == 204

    def test_is_for_admins_too(self, app):
        user_id, admin = register(app), make_user(app, role="admin")
        answer = app.test_client().patch(
            f"/api/v1/users/{user_id}", json={"email_confirmed": True}, headers=bearer(app, admin)
        )

        assert answer.json["email_confirmed"] is True

    def test_can_be_done_at_the_shell(self, app):
        user_id = register(app)

        result = app.test_cli_runner().invoke(args=["users", "confirm", REGISTRATION["username"]])

        assert (result.exit_code, result.output) == (0, "ada.lovelace gets mails now.\n")
        assert the_user(app, user_id).email_confirmed


class TestTheMailThatAsks:
    def resend(self, app, user_id):
        return app.test_client().post("/api/v1/auth/confirm-email/resend", headers=bearer(app, user_id))

    def test_is_sent_again_and_the_first_one_is_still_good(self, app, inbox):
        user_id = register(app)
        assert self.resend(app, user_id).status_code == 204
        send(app)

        assert len(inbox.arrived) == 2
        assert confirm(app, token_in(inbox.arrived[0].message)).status_code == 204
        assert self.resend(app, user_id).json["code"] == "already_confirmed"

    def test_is_sent_to_a_mailbox_five_times_a_day_whoever_asks(self, app, inbox):
        users = [register(app, username=f"ada{n}", email=f"ada+{n}@example.org") for n in range(4)]
        answers = [self.resend(app, users[0]).status_code for _ in range(3)]
        register(app, username="ada5", email="ADA@example.org")
        send(app)

        assert answers == [204, 429, 429]
        assert len(inbox.arrived) == 5

    def test_is_not_sent_where_the_address_has_changed_meanwhile(self, app, inbox):
        user_id = register(app)
        app.test_client().patch("/api/v1/auth/me", json={"email": "b@example.org"}, headers=bearer(app, user_id))
        send(app)

        assert [arrived.recipients for arrived in inbox.arrived] == [["b@example.org"]]

    def test_is_not_sent_for_the_address_that_is_there_already(self, app, inbox):
        user_id = make_user(app, email="ada@example.org")
        answer = app.test_client().patch(
            "/api/v1/auth/me", json={"email": "ada@example.org"}, headers=bearer(app, user_id)
        )
        send(app)

        assert answer.json["email_confirmed"] is True
        assert inbox.arrived == []


class TestUnsubscribing:
    @pytest.mark.parametrize(
        ("event", "payload", "preference"),
        [(Event.PRICE_ALERT, ALERT, "mail_alerts"), (Event.DAILY, NEWS, "mail_daily")],
    )
    def test_takes_one_click_of_a_mail_program(self, app, inbox, event, payload, preference):
        user_id = make_user(app)
        queue(app, user_id, event=event, payload=payload)
        send(app)
        message = inbox.arrived[0].message
        url = message["List-Unsubscribe"]
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert url == f"<{URL}{link_in(message)}>"
        assert f'href="{URL}{link_in(message)}"' in body(message, "html").replace("&amp;", "&")
        client = app.test_client()
        assert client.get(link_in(message)).status_code == 200
        assert getattr(the_user(app, user_id), preference)

        answer = client.post(link_in(message), data={"List-Unsubscribe": "One-Click"})
        queue(app, user_id, event=event, payload=payload)
        send(app)

        assert answer.status_code == 200
        assert not getattr(the_user(app, user_id), preference)
        assert len(inbox.arrived) == 1

    def test_is_offered_by_no_mail_of_an_order(self, app, inbox):
        queue(app, make_user(app), event=Event.ORDER_PLACED, payload=ORDER)
        send(app)

        assert "List-Unsubscribe" not in inbox.arrived[0].message

    @pytest.mark.parametrize(
        ("sender", "header"),
        [
            ("shop@example.com", "<mailto:shop@example.com?subject=unsubscribe%20alerts>"),
            ("aggregator@localhost", None),
        ],
    )
    def test_without_a_public_url_is_by_mail_where_somebody_may_read_it(self, start, inbox, sender, header):
        app = start(public_url="", mail_from=sender)
        queue(app, make_user(app))
        send(app)

        message = inbox.arrived[0].message
        assert message["List-Unsubscribe"] == header
        assert "http" not in body(message)
        assert '"mail_alerts": false' in body(message)

    def test_takes_no_made_up_token(self, app):
        assert app.test_client().post("/api/v1/mail/unsubscribe?token=abc").status_code == 422

    def test_can_be_undone(self, app):
        user_id = make_user(app, mail_daily=False)
        client, me = app.test_client(), bearer(app, user_id)

        answer = client.patch("/api/v1/auth/me", json={"mail_daily": True, "mail_alerts": False}, headers=me)

        assert (answer.json["mail_daily"], answer.json["mail_alerts"]) == (True, False)
        assert client.get("/api/v1/auth/me", headers=me).json["mail_alerts"] is False


class TestTheCap:
    def held(self, app) -> int:
        return len([d for d in stored(app, Delivery) if d.error == TOO_MANY])

    def due(self, app) -> None:
        edit(app, Delivery, Delivery.status == DeliveryStatus.PENDING, due_at=utcnow() - timedelta(seconds=1))

    def test_lets_so_many_alerts_through_and_then_one_mail_for_the_rest(self, start, inbox):
        app = start(mails_per_day=3)
        user_id, other = make_user(app), make_user(app)
        for number in range(8):
            queue(app, user_id, payload=ALERT | {"product_name": f"Pot {number}"})
        queue(app, other)
        send(app)
        assert (len(inbox.arrived), self.held(app)) == (4, 5)
        send(app)
        assert len(inbox.arrived) == 4  # the digest waits for a minute

        self.due(app)
        send(app)

        digest = inbox.arrived[-1].message
        assert digest["Subject"] == "5 more price alerts"
        assert all(f"Pot {number}: 42.84 EUR." in body(digest) for number in range(3, 8))
        assert "List-Unsubscribe" in digest

    def test_sends_one_more_digest_when_the_day_is_over(self, start, inbox):
        app = start(mails_per_day=1)
        user_id = make_user(app)
        queue(app, user_id, user_id)
        send(app)
        self.due(app)
        send(app)
        for _ in range(3):
            queue(app, user_id)
            send(app)
        assert subjects(inbox)[1:] == ["1 more price alert"]

        self.due(app)
        send(app)

        assert subjects(inbox)[2:] == ["3 more price alerts"]

    def test_does_not_hold_back_orders_or_the_daily_mail(self, start, inbox):
        app = start(mails_per_day=1)
        user_id = make_user(app)
        queue(app, user_id)
        for event, payload in ((Event.ORDER_PLACED, ORDER), (Event.DAILY, NEWS), (Event.ORDER_PLACED, ORDER)):
            queue(app, user_id, event=event, payload=payload)
        send(app)

        assert len(inbox.arrived) == 4

    def test_is_that_of_a_day(self, start, inbox):
        app = start(mails_per_day=1)
        user_id = make_user(app)
        queue(app, user_id)
        send(app)
        edit(app, Delivery, done_at=utcnow() - timedelta(days=1))
        queue(app, user_id)
        send(app)

        assert len(inbox.arrived) == 2

    def test_counts_what_another_worker_sends_just_now(self, start, inbox):
        app = start(mails_per_day=2)
        user_id = make_user(app)
        queue(app, user_id)
        edit(app, Delivery, claimed_by="another", claimed_until=utcnow() + timedelta(minutes=1))
        queue(app, user_id, user_id)
        send(app)

        assert (len(inbox.arrived), self.held(app)) == (1, 1)


def test_who_is_gone_confirms_nothing(app):
    with app.app_context(), pytest.raises(confirmations.BadMailToken):
        in_transaction(lambda: confirmations.confirm(UUID(int=1), UUID(int=2), utcnow()))
