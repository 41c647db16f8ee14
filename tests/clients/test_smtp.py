"""Mails by SMTP: real servers with TLS and accounts, and servers that fail in every way, all in bounded time."""

import socket
import ssl
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from aggregator.clients import bounded, smtp
from aggregator.clients.mail import Mail, MailDelayed, MailError, MailRefused, MailServer, MailServerDown
from aggregator.clients.smtp import MailConnection
from aggregator.clients.wire import CUT_OFF, TIMED_OUT, UNREACHABLE
from tests.mail_server import (
    PASSWORD,
    USER,
    authority,
    certificate_for,
    drips,
    hangs,
    mail_server,
    rude_server,
    says,
    trusting,
)

SENDER = "shop@example.com"
ADA, EVE = "ada@example.org", "eve@example.org"
CREDENTIALS = "shop%40example.com:a%3ALantern%40Sea%2F%25@"
GREETED = ("220 mail.test", "250 mail.test")
TLS_RECORD = b"\x16\x03\x03\x40\x00"  # the beginning of one that is long
SLACK = 1.0


def mail(to: str = ADA, **fields) -> Mail:
    given = {"id": uuid4(), "subject": "Kávovar", "text": "Hi!\n", "html": "<p>Hi!</p>\n"}
    return Mail(**given | {"to": to, "written_at": datetime(2026, 5, 4, 12, 30, tzinfo=UTC)} | fields)


@pytest.fixture(scope="module")
def ca():
    return authority()


@pytest.fixture(scope="module")
def certificate(ca):
    return certificate_for(ca, "localhost")


def connection(url: str, seconds: float = 5.0, context: ssl.SSLContext | None = None) -> MailConnection:
    return MailConnection(MailServer.at(url), SENDER, seconds, context)


def failure(server: MailConnection) -> MailError:
    """Why a mail was not taken."""
    with server, pytest.raises(MailError) as raised:
        server.send(mail())
    return raised.value


def said(error: MailError) -> tuple[type, str, int | None]:
    return type(error), error.reason, error.code


class TestARealServer:
    def test_gets_the_mail_as_it_was_written(self):
        with mail_server() as inbox, connection(inbox.url()) as server:
            server.send(sent := mail(text="Žluťoučký 1 €\n.\n..dots\n", html="<p>€</p>\n", subject="Kávovar: 1 €"))

        (arrived,) = inbox.arrived
        text, html = arrived.message.iter_parts()
        assert (arrived.sender, arrived.recipients, arrived.encrypted) == (SENDER, [ADA], False)
        assert arrived.id == str(sent.id)
        assert arrived.message["Subject"] == "Kávovar: 1 €"
        assert arrived.message.get_content_type() == "multipart/alternative"
        assert (text.get_content_type(), text.get_content().replace("\r\n", "\n")) == ("text/plain", sent.text)
        assert (html.get_content_type(), html.get_content().replace("\r\n", "\n")) == ("text/html", sent.html)

    def test_gets_a_batch_over_one_connection(self):
        with mail_server() as inbox, connection(inbox.url()) as server:
            for _ in range(20):
                server.send(mail())

        assert (len(inbox.arrived), len(inbox.connections)) == (20, 1)

    def test_is_asked_for_nothing_where_there_is_no_mail(self):
        with mail_server() as inbox, connection(inbox.url()):
            pass

        assert inbox.connections == []

    def test_gets_an_address_in_a_domain_of_another_script(self):
        with mail_server() as inbox, connection(inbox.url()) as server:
            server.send(mail("ada@straße.de"))

        assert inbox.arrived[0].recipients == ["ada@xn--strae-oqa.de"]

    def test_gets_the_next_mail_over_a_new_connection_when_it_has_hung_up(self):
        with mail_server() as inbox, connection(inbox.url()) as server:
            server.send(mail())
            inbox.hang_up()
            server.send(mail())

        assert (len(inbox.arrived), len(inbox.connections)) == (2, 2)

    def test_gets_no_mail_that_is_for_nobody(self):
        with mail_server() as inbox, connection(inbox.url()) as server:
            with pytest.raises(MailRefused):
                server.send(mail("nobody"))
            server.send(mail())

        assert len(inbox.arrived) == 1


class TestEncryption:
    @pytest.mark.parametrize("scheme", ["smtp", "smtps"])
    def test_is_used_and_so_is_the_account(self, ca, certificate, scheme):
        with (
            mail_server(certificate, tls=scheme == "smtps", accounts=True) as inbox,
            connection(inbox.url(scheme, CREDENTIALS), context=trusting(ca)) as server,
        ):
            server.send(mail())
            server.send(mail())

        assert [(arrived.encrypted, arrived.user) for arrived in inbox.arrived] == [(True, USER)] * 2
        assert len(inbox.connections) == 1

    @pytest.mark.parametrize("scheme", ["smtp", "smtps"])
    def test_with_a_certificate_of_a_stranger_is_none(self, certificate, scheme):
        with mail_server(certificate, tls=scheme == "smtps", accounts=True) as inbox:
            error = failure(connection(inbox.url(scheme, CREDENTIALS)))

        assert said(error) == (MailServerDown, "the server's certificate does not hold", None)
        assert inbox.arrived == []

    @pytest.mark.parametrize("scheme", ["smtp", "smtps"])
    def test_with_a_certificate_of_another_host_is_none(self, ca, scheme):
        with mail_server(certificate_for(ca, "mail.example.com"), tls=scheme == "smtps") as inbox:
            error = failure(connection(inbox.url(scheme), context=trusting(ca)))

        assert said(error) == (MailServerDown, "the server's certificate does not hold", None)

    def test_is_demanded_before_a_password_leaves_the_machine(self, monkeypatch):
        monkeypatch.setattr(smtp, "is_loopback", lambda address: False)
        with rude_server(says("220 mail.test", "250-mail.test\r\n250 AUTH PLAIN LOGIN", "235 welcome")) as rude:
            error = failure(connection(f"smtp://{CREDENTIALS}127.0.0.1:{rude.port}"))

        assert said(error) == (
            *(MailServerDown, "the server offers no encryption, and the password is not sent without", None),
        )
        assert [line.split()[0] for line in rude.lines if line] == ["ehlo"]

    def test_is_not_needed_on_this_machine(self):
        with mail_server(accounts=True) as inbox, connection(inbox.url(credentials=CREDENTIALS)) as server:
            server.send(mail())

        assert [(arrived.encrypted, arrived.user) for arrived in inbox.arrived] == [(False, USER)]

    @pytest.mark.parametrize(
        ("address", "here"),
        [
            *(("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("10.0.0.1", False), ("192.168.1.1", False)),
            *(("8.8.8.8", False), ("::ffff:8.8.8.8", False), ("fe80::1%eth0", False), ("0.0.0.0", False)),
        ],
    )
    def test_this_machine_is_known_by_its_address(self, address, here):
        assert bounded.is_loopback(address) is here


class TestAnAccount:
    def test_that_is_not_known_stops_everything(self):
        with mail_server(accounts=True) as inbox:
            error = failure(connection(inbox.url(credentials="shop%40example.com:wr0ng@")))

        assert said(error) == (MailServerDown, "the server answered 535 5.7.8 to the password", 535)

    def test_is_missed_by_a_server_that_wants_one(self):
        with mail_server(accounts=True) as inbox:
            error = failure(connection(inbox.url()))

        assert said(error) == (MailServerDown, "the server answered 530 5.7.0 to the sender", 530)

    def test_is_of_no_use_to_a_server_that_has_none(self):
        with rude_server(says(*GREETED)) as rude:
            error = failure(connection(f"smtp://{CREDENTIALS}127.0.0.1:{rude.port}"))

        assert said(error) == (MailServerDown, "the server knows no way to sign in that we know", None)

    def test_with_letters_that_cannot_be_sent_stops_everything(self):
        with mail_server(accounts=True) as inbox:
            error = failure(connection(inbox.url(credentials="%C3%BCser:p%C3%A4ss@")))

        assert said(error) == (MailServerDown, "the name or the password has characters that cannot be sent", None)


class TestARefusal:
    @pytest.mark.parametrize(
        ("answer", "kind", "reason"),
        [
            ("550 5.1.1 <ada@example.org> unknown", MailRefused, "the server answered 550 5.1.1 to the address"),
            ("553 no such mailbox", MailRefused, "the server answered 553 to the address"),
            ("450 4.2.1 come back later", MailDelayed, "the server answered 450 4.2.1 to the address"),
            ("452 mailbox full", MailDelayed, "the server answered 452 to the address"),
            ("421 4.3.2 closing", MailServerDown, "the server answered 421 4.3.2 to the address"),
            ("530 5.7.0 sign in first", MailServerDown, "the server answered 530 5.7.0 to the address"),
            ("354 what?", MailServerDown, "the server answered 354 to the address"),
        ],
    )
    def test_of_an_address_says_how_long_it_lasts(self, answer, kind, reason):
        with mail_server() as inbox:
            inbox.to_recipient[ADA] = answer
            error = failure(connection(inbox.url()))

        assert said(error) == (kind, reason, int(answer[:3]))

    @pytest.mark.parametrize(("answer", "kind"), [("554 5.6.0 spam", MailRefused), ("451 busy", MailDelayed)])
    def test_of_a_mail_is_the_mails_own(self, answer, kind):
        with mail_server() as inbox:
            inbox.to_mail = lambda arrived: answer
            error = failure(connection(inbox.url()))

        assert (type(error), error.code) == (kind, int(answer[:3]))
        assert error.reason.endswith("to the mail")

    @pytest.mark.parametrize("answer", ["550 who are you?", "451 not now"])
    def test_of_the_sender_is_everybodys(self, answer):
        with mail_server() as inbox:
            inbox.to_sender = answer
            error = failure(connection(inbox.url()))

        assert said(error) == (MailServerDown, f"the server answered {answer[:3]} to the sender", int(answer[:3]))

    @pytest.mark.parametrize("answer", ["550 5.1.1 unknown", "450 later"])
    def test_of_one_does_not_cost_the_next_its_connection(self, answer):
        with mail_server() as inbox, connection(inbox.url()) as server:
            inbox.to_recipient[EVE] = answer
            server.send(mail())
            for _ in range(2):
                with pytest.raises(MailError):
                    server.send(mail(EVE))
            server.send(mail())

        assert [arrived.recipients for arrived in inbox.arrived] == [[ADA], [ADA]]
        assert len(inbox.connections) == 1

    def test_of_the_content_does_not_cost_the_next_its_connection(self):
        with mail_server() as inbox, connection(inbox.url()) as server:
            inbox.to_mail = lambda arrived: "554 spam" if arrived.message["Subject"] == "spam" else "250 OK"
            with pytest.raises(MailRefused):
                server.send(mail(subject="spam"))
            server.send(mail())

        assert (len(inbox.arrived), len(inbox.connections)) == (1, 1)


class TestAServerThatIsDown:
    def test_is_unreachable_where_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]

        assert said(failure(connection(f"smtp://127.0.0.1:{port}"))) == (MailServerDown, UNREACHABLE, None)

    @pytest.mark.parametrize("host", ["a..b", "x" * 300])
    def test_is_unreachable_where_its_name_is_none(self, host):
        assert said(failure(connection(f"smtp://{host}"))) == (MailServerDown, UNREACHABLE, None)

    def test_ends_in_time_where_nobody_resolves_its_name(self, monkeypatch):
        hurry = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: hurry.wait(10))
        began = time.monotonic()
        error = failure(connection("smtp://mail.example.com", 0.3))
        hurry.set()

        assert said(error) == (MailServerDown, TIMED_OUT, None)
        assert time.monotonic() - began < 0.3 + SLACK

    @pytest.mark.parametrize("scheme", ["smtp", "smtps"])
    def test_accepts_and_drops(self, scheme):
        with rude_server(lambda *_: None) as rude:
            assert said(failure(connection(f"{scheme}://127.0.0.1:{rude.port}"))) == (MailServerDown, CUT_OFF, None)

    @pytest.mark.parametrize("answers", range(1, 6))
    def test_drops_at_any_point(self, answers):
        script = ("220 mail.test", "250 mail.test", "250 OK", "250 OK", "354 go on")[:answers]
        with rude_server(says(*script)) as rude:
            assert said(failure(connection(f"smtp://127.0.0.1:{rude.port}"))) == (MailServerDown, CUT_OFF, None)
            assert rude.connections == 1, "the mail may be there: it is not for us to try again at once"

    def test_breaks_off_in_the_middle_of_its_yes(self):
        with rude_server(says(*GREETED, "250 OK", "250 OK", "354 go on", b"250")) as rude:
            assert said(failure(connection(f"smtp://127.0.0.1:{rude.port}"))) == (MailServerDown, CUT_OFF, None)

    @pytest.mark.parametrize(
        ("greeting", "code"),
        [("554 no service here", 554), ("421 too many of you", 421), ("HTTP/1.1 400 Bad Request", -1)],
    )
    def test_does_not_welcome_us(self, greeting, code):
        with rude_server(says(greeting)) as rude:
            error = failure(connection(f"smtp://127.0.0.1:{rude.port}"))

        assert said(error) == (MailServerDown, f"the server answered {code} to the greeting", code)

    def test_fails_at_encryption(self):
        with rude_server(says("220 mail.test", "250-mail.test\r\n250 STARTTLS", "454 not now")) as rude:
            error = failure(connection(f"smtp://127.0.0.1:{rude.port}"))

        assert said(error) == (MailServerDown, "the server answered 454 to the greeting", 454)

    @pytest.mark.parametrize("challenge", ["334 not base64!", "334 8J+Yig==", "334 ", "235 ", "999 what?"])
    def test_says_odd_things_to_who_signs_in(self, challenge):
        with rude_server(says("220 mail.test", "250-x\r\n250 AUTH CRAM-MD5", *[challenge] * 4)) as rude:
            error = failure(connection(f"smtp://{CREDENTIALS}127.0.0.1:{rude.port}"))

        assert type(error) is MailServerDown

    def test_says_something_else_than_tls(self):
        with rude_server(
            says("220 mail.test", "250-mail.test\r\n250 STARTTLS", "220 go", b"this is not TLS\r\n")
        ) as rude:
            error = failure(connection(f"smtp://127.0.0.1:{rude.port}"))

        assert said(error) == (MailServerDown, CUT_OFF, None)


class TestTime:
    @pytest.mark.parametrize(
        "script",
        [
            pytest.param(drips(), id="the greeting"),
            pytest.param(drips("220 mail.test"), id="the answer to EHLO"),
            pytest.param(drips(*GREETED, "250 OK"), id="the answer to the address"),
            pytest.param(drips(*GREETED, "250 OK", "250 OK", "354 go on"), id="the answer to the mail"),
            pytest.param(
                drips("220 x", "250-x\r\n250 STARTTLS", "220 go", TLS_RECORD, piece=b"\0"), id="the TLS handshake"
            ),
            pytest.param(drips("220 mail.test", piece=b"250-x\r\n"), id="lines without end"),
            pytest.param(hangs(), id="hangs at once"),
            pytest.param(hangs(*GREETED, "250 OK", "250 OK", "354 go on"), id="hangs in the end"),
        ],
    )
    def test_is_bounded_in_all_whatever_the_server_does(self, script):
        with rude_server(script) as rude:
            began = time.monotonic()
            error = failure(connection(f"smtp://127.0.0.1:{rude.port}", 0.4))

            assert said(error) == (MailServerDown, TIMED_OUT, None)
            assert 0.3 < time.monotonic() - began < 0.4 + SLACK

    def test_is_bounded_for_tls_from_the_first_byte(self):
        with rude_server(drips(TLS_RECORD, piece=b"\0")) as rude:
            began = time.monotonic()
            error = failure(connection(f"smtps://127.0.0.1:{rude.port}", 0.4))

        assert said(error) == (MailServerDown, TIMED_OUT, None)
        assert time.monotonic() - began < 0.4 + SLACK

    def test_is_bounded_for_each_read(self, monkeypatch):
        monkeypatch.setattr(smtp, "READ_SECONDS", 0.3)
        with rude_server(hangs("220 mail.test")) as rude:
            began = time.monotonic()
            error = failure(connection(f"smtp://127.0.0.1:{rude.port}", 20))

        assert said(error) == (MailServerDown, TIMED_OUT, None)
        assert time.monotonic() - began < 0.3 + SLACK

    def test_that_was_over_for_one_mail_begins_anew_for_the_next(self):
        with mail_server() as inbox, connection(inbox.url(), 0.4) as server:
            inbox.pause = 1.0
            with pytest.raises(MailServerDown, match=TIMED_OUT):
                server.send(mail())
            inbox.pause = 0.0
            server.send(second := mail())

        assert [arrived.id for arrived in inbox.arrived][-1] == str(second.id)
        assert len(inbox.connections) == 2

    def test_may_all_be_spent_on_looking_at_the_mail(self, monkeypatch):
        monkeypatch.setattr(smtp, "READ_SECONDS", 0.3)
        with mail_server() as inbox, connection(inbox.url(), 5) as server:
            inbox.pause = 0.6
            server.send(mail())

        assert len(inbox.arrived) == 1

    def test_to_say_goodbye_is_short(self, monkeypatch):
        monkeypatch.setattr(smtp, "GOODBYE_SECONDS", 0.2)
        answers = (*GREETED, "250 OK", "250 OK", "354 go on", "250 taken")
        with rude_server(hangs(*answers)) as rude:
            with connection(f"smtp://127.0.0.1:{rude.port}") as server:
                server.send(mail())
                began = time.monotonic()
            assert time.monotonic() - began < 0.2 + SLACK


def test_a_reply_has_a_size_limit():
    def floods(connection, _) -> None:
        while True:
            connection.sendall(b"220-" + b"x" * 1_000 + b"\r\n")

    with rude_server(floods) as rude:
        error = failure(connection(f"smtp://127.0.0.1:{rude.port}", 20))

    assert said(error) == (MailServerDown, CUT_OFF, None)


def test_the_next_address_is_tried_where_the_first_one_does_not_answer(monkeypatch):
    real = socket.getaddrinfo

    def two(_, *what, **options):
        return [*real("127.0.0.2", *what, **options), *real("127.0.0.1", *what, **options)]

    with mail_server() as inbox, connection(inbox.url()) as server:
        monkeypatch.setattr(socket, "getaddrinfo", two)
        server.send(mail())

    assert len(inbox.arrived) == 1


def test_no_reason_holds_an_address_or_a_secret():
    echo = f"550 {ADA} {USER} {PASSWORD}"
    scripts = [[*GREETED, "250 OK", "250 OK", "354 go on", echo], [*GREETED, "250 OK", echo], [*GREETED, echo], [echo]]
    reasons = []
    for script in scripts:
        with rude_server(says(*script)) as rude:
            reasons.append(failure(connection(f"smtp://127.0.0.1:{rude.port}")).reason)

    assert reasons == [f"the server answered 550 to the {step}" for step in ("mail", "address", "sender", "greeting")]
    assert PASSWORD not in repr(replace(MailServer.at("smtp://h"), password=PASSWORD))
