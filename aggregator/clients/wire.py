"""What the transports carry: a request out, a reply or a failure back."""

from dataclasses import dataclass, field

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

    def __init__(self, reason: str, status: int | None = None) -> None:
        self.reason = reason
        self.status = status
        super().__init__(reason)


UNREACHABLE = "unreachable"
TIMED_OUT = "timed out"
CUT_OFF = "connection cut off"
TOO_LARGE = "answer too large"
BUSY = "too many calls at once"
FORBIDDEN = "address not allowed"
