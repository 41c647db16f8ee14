"""Mails: what one is made of, the server it is handed to, and the reasons why that may not take it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import idna
from email_validator import EmailNotValidError, validate_email

from aggregator.plain_text import fitting, plain

PORTS = {"smtp": 587, "smtps": 465}
SENDER_NAME = "Product Aggregator"
MAX_SUBJECT = 200
# Headers with URLs, which Python would fold by encoding them; a line of SMTP may have 998 characters.
UNFOLDED = ("List-Unsubscribe", "List-Unsubscribe-Post")
MAX_UNFOLDED = 970


@dataclass(frozen=True)
class MailServer:
    """Where mails are handed in, and as whom."""

    host: str
    port: int
    tls: bool  # from the first byte; otherwise STARTTLS, where the server offers it
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{f'{self.user} at ' if self.user else ''}{self.host}:{self.port}"

    @classmethod
    def at(cls, url: str) -> "MailServer":
        """The server of a URL such as smtp://user:password@host:587. ValueError where it is none."""
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname:
            raise ValueError("not a mail server")
        user, password = (unquote(part) if part else None for part in (parts.username, parts.password))
        return cls(parts.hostname, parts.port or PORTS[parts.scheme], parts.scheme == "smtps", user, password)


@dataclass(frozen=True)
class Mail:
    """A mail to one person. Who gets it twice can tell: its Message-ID is made of its id."""

    id: UUID
    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    written_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)  # more of them, in ASCII


class MailError(Exception):
    """A mail was not taken. The reason is in words that may be stored: it holds no address and no secret."""

    def __init__(self, reason: str, code: int | None = None) -> None:
        self.reason = reason
        self.code = code  # what the server answered, where it did
        super().__init__(reason)


class MailRefused(MailError):
    """This mail will never be taken."""


class MailDelayed(MailError):
    """This mail is not taken now; others may be."""


class MailServerDown(MailError):
    """No mail can be handed in now."""


def sender(address: str) -> Address:
    """Whom mails are from. ValueError where that is no address."""
    local, at, domain = address.rpartition("@")
    if not (local and at and domain and local.isascii() and domain.isprintable()) or re.search(r"[\s<>]", address):
        raise ValueError("not an address")
    return Address(SENDER_NAME, local, domain if domain.isascii() else idna.encode(domain, uts46=True).decode())


def recipient(address: str) -> Address:
    """Whom a mail is for, as it goes over the wire. MailRefused where that is no address."""
    try:
        known = validate_email(address, check_deliverability=False, allow_smtputf8=False, test_environment=True)
        return Address(addr_spec=known.ascii_email or "")
    except (EmailNotValidError, ValueError):
        raise MailRefused("the user's address is none") from None


class _Wire(EmailPolicy):
    """The form of SMTP, and a subject that arrives as it was written.

    Python's own would take apart what looks encoded in it, line ends included, and lose blanks between words.
    """

    def header_store_parse(self, name: str, value: Any) -> tuple[str, Any]:
        return (name, value) if name == "Subject" or name in UNFOLDED else super().header_store_parse(name, value)

    def fold_binary(self, name: str, value: Any) -> bytes:
        if name in UNFOLDED:
            return f"{name}: {one_line(value, MAX_UNFOLDED)}{self.linesep}".encode("ascii", "replace")
        if name != "Subject":
            return super().fold_binary(name, value)
        charset = "us-ascii" if value.isascii() and "=?" not in value else "utf-8"
        return (
            f"Subject: {Header(value, charset, header_name=name).encode(linesep=self.linesep)}{self.linesep}".encode()
        )


WIRE = _Wire(linesep="\r\n")


def message(mail: Mail, sender: Address) -> EmailMessage:
    """The mail as text with an alternative in HTML, in characters that every server takes."""
    made = EmailMessage(WIRE)
    made["From"] = sender
    made["To"] = recipient(mail.to)
    made["Subject"] = one_line(mail.subject)
    made["Date"] = format_datetime(mail.written_at)
    made["Message-ID"] = f"<{mail.id}@{sender.domain}>"
    made["Auto-Submitted"] = "auto-generated"
    for name, value in mail.headers.items():
        made[name] = value
    made.set_content(mail.text, cte="quoted-printable")
    made.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    return made


def one_line(text: str, length: int = MAX_SUBJECT) -> str:
    """The text as a subject can have it: without line ends and without what is not printed, and of some length."""
    return fitting(plain(text), length)
