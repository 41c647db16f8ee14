"""Delivers the mails of the outbox: some are claimed, each is sent with no transaction open, and what came of it noted.

Whatever dies in between costs one mail a second copy at most, with the same Message-ID.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from ssl import SSLContext
from threading import Event as Signal
from threading import Thread
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from flask import render_template

from aggregator.clients.mail import Mail, MailError, MailRefused, MailServer, MailServerDown, one_line
from aggregator.clients.smtp import MAIL_SECONDS, MailConnection
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.flows.claims import claim_name
from aggregator.flows.mail_contents import Links, check_wanted, news_of
from aggregator.models import Channel, Event
from aggregator.outages import Outage
from aggregator.plain_text import plain
from aggregator.services import mail_limits, mails, outbox
from aggregator.services.outbox import CLAIM_SECONDS, Claimed

TEMPLATES = {
    Event.PRICE_ALERT: "price_alert",
    Event.ORDER_PLACED: "order_placed",
    Event.ORDER_STATUS: "order_status",
    Event.DAILY: "daily",
    Event.DIGEST: "digest",
    Event.CONFIRM_EMAIL: "confirm_email",
}
BATCH = 50
# A batch ends while what is left of the claims is enough for a mail that takes as long as it may.
BATCH_SECONDS = CLAIM_SECONDS - MAIL_SECONDS - 20.0
# Seconds in which a server that takes nothing is left alone.
PAUSES = (5.0, 15.0, 60.0, 300.0)
LAST_SECONDS = 3.0  # for a mail, once the worker is to stop
DAILY_IS_NEWS = timedelta(days=1)

log = structlog.get_logger(__name__)


@dataclass
class Post:
    """How this process sends mails, and until when it does not because the server is down."""

    server: MailServer | None  # None: mails go to the log
    sender: str
    zone: ZoneInfo
    links: Links = field(repr=False)
    per_day: int = 50  # of alerts to a user
    seconds: float = MAIL_SECONDS
    context: SSLContext | None = field(default=None, repr=False)
    failures: int = 0  # of the server, in a row
    outage: Outage = field(default_factory=lambda: Outage("mail server"), repr=False)
    _rests_until: float = 0.0

    @property
    def rests(self) -> bool:
        """Whether the server is left alone for now."""
        return monotonic() < self._rests_until

    def open(self) -> AbstractContextManager[MailConnection | None]:
        """A connection for a batch of mails, where there is a server."""
        if self.server is None:
            return nullcontext()
        return MailConnection(self.server, self.sender, self.seconds, self.context)

    def trouble(self, reason: str) -> str:
        """What is wrong with the server: who, what, and what to do."""
        return f"mail server: {self.server}: {reason}. Check MAIL_URL."

    def works(self) -> None:
        """The server takes mails."""
        self.failures = 0
        self.outage.ends()

    def is_down(self, reason: str) -> None:
        """Leave the server alone, for longer each time."""
        self.outage.begins(self.trouble(reason))
        pause = PAUSES[min(self.failures, len(PAUSES) - 1)]
        self.failures += 1
        self._rests_until = monotonic() + pause * random.uniform(0.8, 1.2)  # noqa: S311 - jitter


def deliver(post: Post, stop: Signal, alive: Callable[[], None]) -> dict[str, object]:
    """Send all mails that are due, and count what became of them; problem says what is wrong with the server."""
    done: Counter[str] = Counter()
    while not stop.is_set():
        ends_at = monotonic() + BATCH_SECONDS
        claimed, held = in_transaction(partial(_claim, post))
        if not claimed and not held:
            break
        done += Counter(held=held)  # which leaves out none
        waiting = deque(sorted(claimed, key=lambda delivery: delivery.created_at))
        try:
            with post.open() as connection, _hurried(connection, stop):
                while waiting and not stop.is_set() and monotonic() < ends_at:
                    alive()
                    outcome, problem = _attempt(post, connection, waiting.popleft())
                    done[outcome] += 1
                    if problem:
                        return {**done, "problem": problem}
        finally:
            if waiting:
                in_transaction(partial(outbox.release, waiting))
    return {**done}


def _claim(post: Post) -> tuple[list[Claimed], int]:
    """Mails that are ours to send, and how many others were held back because their users have had enough today."""
    claimed = outbox.claim_due(claim_name(), Channel.MAIL, BATCH)
    now = utcnow()
    to_send = mail_limits.hold_back(claimed, post.per_day, mails.day_of(now, post.zone), now)
    return to_send, len(claimed) - len(to_send)


@contextmanager
def _hurried(connection: MailConnection | None, stop: Signal) -> Iterator[None]:
    """Give the mail under way a few seconds more when the worker is to stop, so that it can give back the others."""
    over = Signal()

    def watch(connection: MailConnection) -> None:
        while not over.wait(0.1):
            if stop.is_set():
                connection.hurry(LAST_SECONDS)
                return

    if connection is not None:
        Thread(target=watch, args=(connection,), daemon=True, name="hurry").start()
    try:
        yield
    finally:
        over.set()


def _attempt(post: Post, connection: MailConnection | None, delivery: Claimed) -> tuple[str, str | None]:
    """Send one mail, and note what became of it; why no other can be sent, if that is so."""
    try:
        mail = _written(post, delivery)
        if connection is None:
            log.info("mail for the log", mail=delivery.event, user_id=str(delivery.user_id), subject=mail.subject)
        else:
            connection.send(mail)
            post.works()
    except MailError as error:
        _note_failure(delivery, error)
        if isinstance(error, MailServerDown):
            post.is_down(error.reason)
            return "delayed", error.reason
        log.warning("mail not sent", delivery=str(delivery.id), reason=error.reason)
        return "refused" if isinstance(error, MailRefused) else "delayed", None
    in_transaction(lambda: outbox.delivered(delivery, utcnow()))
    return "sent", None


def _note_failure(delivery: Claimed, error: MailError) -> None:
    for_good = isinstance(error, MailRefused)
    in_transaction(lambda: outbox.failed(delivery, error.reason, utcnow(), error.code, for_good))


def _written(post: Post, delivery: Claimed) -> Mail:
    """The mail of a delivery. MailRefused where nobody is to get it, or nobody can write it."""
    if delivery.event is Event.DAILY and utcnow() - delivery.created_at > DAILY_IS_NEWS:
        raise MailRefused("its day is over")
    template = TEMPLATES.get(delivery.event)
    if template is None:
        raise MailRefused(f"there is no mail about {delivery.event}")
    recipient = mails.recipient(delivery.user_id)
    if recipient is None:
        raise MailRefused("the user is not active")
    check_wanted(delivery, recipient)
    headers, opt_out = post.links.opt_out(delivery.event, delivery.user_id)
    news = _plain(news_of(delivery, post.links)) | {"opt_out": opt_out}
    try:
        subject, text, html = (
            render_template(f"mail/{template}{suffix}", news=news, zone=post.zone)
            for suffix in (".subject.txt", ".txt", ".html")
        )
    except Exception as error:
        log.exception("mail cannot be written", delivery=str(delivery.id))
        raise MailRefused(f"it cannot be written: {type(error).__name__}") from error
    return Mail(delivery.id, recipient.email, one_line(subject), text, html, delivery.created_at, headers)


def _plain(payload: Any) -> Any:
    """What a mail is about, with all its texts made plain: names of products are written by people we do not know."""
    if isinstance(payload, dict):
        return {name: _plain(value) for name, value in payload.items()}
    if isinstance(payload, list):
        return [_plain(value) for value in payload]
    return plain(payload) if isinstance(payload, str) else payload
