"""Mails: what one is made of, whom it is from and for, and that nothing gets into its headers."""

import email
import email.policy
import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.clients.mail import MAX_SUBJECT, Mail, MailRefused, MailServer, message, one_line, recipient, sender

ID = UUID("0c7a1f5e-33f0-4a57-9c52-1d2b8a8f7f10")
WRITTEN_AT = datetime(2026, 5, 4, 12, 30, 15, 250_000, UTC)
SENDER = sender("shop@example.com")


def mail(**fields) -> Mail:
    given = {"to": "ada@example.org", "subject": "Hello", "text": "Hi!\n", "html": "<p>Hi!</p>\n"}
    return Mail(**{"id": ID, "written_at": WRITTEN_AT} | given | fields)


def over_the_wire(made: Mail) -> email.message.EmailMessage:
    return email.message_from_bytes(message(made, SENDER).as_bytes(), policy=email.policy.default)


class TestAMail:
    def test_is_text_and_the_same_in_html_as_every_server_takes_it(self):
        content = message(mail(text="Žluťoučký 1 €\n", html="<p>1 €</p>\n"), SENDER).as_bytes()

        boundary = re.search(rb'boundary="([^"]+)"', content)[1].decode()
        assert content.decode("ascii") == "\r\n".join(
            [
                "From: Product Aggregator <shop@example.com>",
                "To: ada@example.org",
                "Subject: Hello",
                "Date: Mon, 04 May 2026 12:30:15 +0000",
                "Message-ID: <0c7a1f5e-33f0-4a57-9c52-1d2b8a8f7f10@example.com>",
                "Auto-Submitted: auto-generated",
                "MIME-Version: 1.0",
                "Content-Type: multipart/alternative;",
                f' boundary="{boundary}"',
                "",
                f"--{boundary}",
                'Content-Type: text/plain; charset="utf-8"',
                "Content-Transfer-Encoding: quoted-printable",
                "",
                "=C5=BDlu=C5=A5ou=C4=8Dk=C3=BD 1 =E2=82=AC",
                "",
                f"--{boundary}",
                'Content-Type: text/html; charset="utf-8"',
                "Content-Transfer-Encoding: quoted-printable",
                "MIME-Version: 1.0",
                "",
                "<p>1 =E2=82=AC</p>",
                "",
                f"--{boundary}--",
                "",
            ]
        )

    def test_has_no_line_that_is_too_long_for_a_server(self):
        content = message(mail(text="word " * 1_000, html="x" * 5_000, subject="é" * 190), SENDER).as_bytes()

        assert max(map(len, content.split(b"\r\n"))) <= 78

    @pytest.mark.parametrize(
        "subject", ["Kávovar: 42.84 EUR", "🫖" * 60, "漢字 " * 60, "=?utf-8?q?not=0D=0ABcc:?= decoded"]
    )
    def test_keeps_a_subject_of_any_language(self, subject):
        assert over_the_wire(mail(subject=subject))["Subject"] == one_line(subject)

    @given(st.text(max_size=300), st.text(max_size=300))
    def test_has_the_headers_that_it_has_whatever_is_written_in_it(self, subject, text):
        written = mail(subject=subject, text=text.encode(errors="replace").decode())
        got = over_the_wire(
            written if subject.isprintable() else mail(subject=subject.encode(errors="replace").decode())
        )

        assert got.keys() == [
            *("From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type")
        ]

    @pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x00"])
    def test_gets_no_header_more_by_its_subject(self, end):
        got = over_the_wire(mail(subject=f"Moka pot{end}Bcc: eve@example.org{end}{end}<b>"))

        assert got["Subject"] == "Moka pot Bcc: eve@example.org <b>"
        assert got["Bcc"] is None


class TestASubject:
    def test_is_one_line_of_some_length(self):
        assert one_line("  a \t b\n\nc ") == "a b c"
        assert one_line("x" * MAX_SUBJECT) == "x" * MAX_SUBJECT
        assert one_line("x" * (MAX_SUBJECT + 1)) == "x" * (MAX_SUBJECT - 1) + "…"


class TestARecipient:
    @pytest.mark.parametrize(
        ("address", "wire"),
        [
            ("ada@example.org", "ada@example.org"),
            ("Ada+x@straße.de", "Ada+x@xn--strae-oqa.de"),
            ("a@b.test", "a@b.test"),
        ],
    )
    def test_is_written_as_it_goes_over_the_wire(self, address, wire):
        assert recipient(address).addr_spec == wire

    @pytest.mark.parametrize(
        "address",
        [
            *(
                "",
                "ada",
                "@",
                "ada@",
                "@example.org",
                "ada@example.org\r\nRCPT TO:<eve@example.org>",
                "a b@example.org",
            ),
            *("ada@example.org>", "<ada@example.org", "ada@example.org,eve@example.org", "ada@exa\x00mple.org"),
            *("ada\n@example.org", "Ada <ada@example.org>", '"a\r\nb"@example.org', "ünal@example.org"),
        ],
    )
    def test_that_is_none_is_refused_for_good_and_not_repeated(self, address):
        with pytest.raises(MailRefused) as raised:
            recipient(address)

        assert (raised.value.reason, raised.value.code) == ("the user's address is none", None)


class TestASender:
    @pytest.mark.parametrize(
        ("address", "wire"),
        [
            ("shop@example.com", "shop@example.com"),
            ("aggregator@localhost", "aggregator@localhost"),
            ("shop@straße.de", "shop@xn--strae-oqa.de"),
        ],
    )
    def test_has_a_name_and_an_address(self, address, wire):
        assert str(sender(address)) == f"Product Aggregator <{wire}>"

    @pytest.mark.parametrize(
        "address", ["", "shop", "@example.com", "shop@", "shop@a\nb", "a <shop@b>", "ü@example.com"]
    )
    def test_that_is_none_is_an_error(self, address):
        with pytest.raises(ValueError):
            sender(address)


class TestAServer:
    @pytest.mark.parametrize(
        ("url", "server"),
        [
            ("smtp://mail.example.com", MailServer("mail.example.com", 587, False)),
            ("smtps://mail.example.com", MailServer("mail.example.com", 465, True)),
            ("smtp://u%40x:p%3A%2F@h:25", MailServer("h", 25, False, "u@x", "p:/")),
        ],
    )
    def test_is_read_from_a_url(self, url, server):
        assert MailServer.at(url) == server

    @pytest.mark.parametrize("url", ["http://mail.example.com", "smtp://", "mail.example.com", "smtp://h:99999"])
    def test_is_not_read_from_anything_else(self, url):
        with pytest.raises(ValueError):
            MailServer.at(url)

    def test_keeps_its_password_out_of_sight(self):
        assert "p4ss" not in repr(MailServer.at("smtp://user:p4ss@host"))
