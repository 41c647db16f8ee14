"""Webhooks on the wire, after the Standard Webhooks specification: signed requests out, answers back."""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from http import HTTPStatus
from uuid import UUID

from aggregator.clients.addresses import AddressRules
from aggregator.clients.many import ManyRequests
from aggregator.clients.wire import TOO_LARGE, Reply, Request, TransportError, retry_after_seconds
from aggregator.clock import utcnow

SECRET_PREFIX = "whsec_"  # noqa: S105 - what each of them begins with
CONCURRENCY = 16
SECONDS = 10.0
MAX_ANSWER_BYTES = 1024
MAX_RETRY_AFTER = 86_400.0  # seconds; a receiver that asks for more is asked again all the same


@dataclass(frozen=True)
class Answer:
    """What an attempt came to: the status, where there was one, and what is wrong with it."""

    status: int | None
    error: str | None  # None where the message has arrived
    retry_after: float | None = None  # seconds for which the receiver asks to be left alone

    @property
    def gone(self) -> bool:
        """Whether the receiver wants to hear nothing ever again."""
        return self.status == HTTPStatus.GONE


def webhook_requests(rules: AddressRules) -> ManyRequests:
    """A way to send webhooks: to addresses that the rules allow, and without reading much of the answers."""
    return ManyRequests(CONCURRENCY, SECONDS, MAX_ANSWER_BYTES, rules.may_connect)


def signed(url: str, id: UUID, body: bytes, secrets: Sequence[str], now: datetime) -> Request:
    """The request that brings body to url, signed with each of the secrets."""
    timestamp = str(int(now.timestamp()))
    content = f"{id}.{timestamp}.".encode() + body
    headers = (
        ("Content-Type", "application/json"),
        ("webhook-id", str(id)),
        ("webhook-timestamp", timestamp),
        ("webhook-signature", " ".join(_signature(secret, content) for secret in secrets)),
    )
    return Request("POST", url, headers, body)


def answer(result: Reply | TransportError) -> Answer:
    """What came back. Of an answer that was too long to be read to its end, the status counts all the same."""
    if isinstance(result, TransportError) and not (result.reason == TOO_LARGE and result.status):
        return Answer(result.status, result.reason)
    status = result.status
    if status and 200 <= status < 300:
        return Answer(status, None)
    retry_after = retry_after_seconds(result.retry_after, utcnow(), MAX_RETRY_AFTER)
    return Answer(status, f"answered {status}", retry_after or None)


def _signature(secret: str, content: bytes) -> str:
    key = b64decode(secret.removeprefix(SECRET_PREFIX))
    return f"v1,{b64encode(hmac.new(key, content, sha256).digest()).decode()}"
