"""What the transports carry: a request out, a reply or a failure back."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MAX_REPLY_BYTES = 32 * 1024 * 1024
USER_AGENT = "product-aggregator"


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Its headers may hold secrets and are left out of its repr."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, whatever its status. Redirects are replies: they are never followed."""

    status: int
    content_type: str
    body: bytes = field(repr=False)
    retry_after: str | None = None


class TransportError(Exception):
    """No whole reply came back; reason says why in a word or two, and status how its beginning sounded, if at all."""

    def __init__(self, reason: str, status: int | None = None, retry_after: str | None = None) -> None:
        self.reason = reason
        self.status = status
        self.retry_after = retry_after
        super().__init__(reason)


UNREACHABLE = "unreachable"
TIMED_OUT = "timed out"
CUT_OFF = "connection cut off"
TOO_LARGE = "answer too large"
BUSY = "too many calls at once"
FORBIDDEN = "address not allowed"
_is_seconds = re.compile(r"\s*[0-9]+(\.[0-9]+)?\s*").fullmatch


def retry_after_seconds(value: str | None, now: datetime, at_most: float) -> float | None:
    """The seconds a Retry-After header asks for, from 0 to at_most; None where it makes no sense."""
    if value is None:
        return None
    if _is_seconds(value):
        return min(float(value), at_most)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    seconds = (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds()
    return min(seconds, at_most) if seconds >= 0 else None
