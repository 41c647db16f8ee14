"""Faults on demand: how they are written, and whom they hit."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

from aggregator.sandbox.market import share_of
from aggregator.sandbox.service import Route

ENDPOINTS = ("auth", "register", "offers")
BOTH, OFFERS = ("register", "offers"), ("offers",)


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to go wrong.

    The stage says who is hit: "ahead" answers in place of the service, which learns nothing of the call;
    "body" spoils a good answer; "wire" spoils the delivery of any answer. The last two come after the service
    has done its work.
    """

    stage: str
    meaning: str
    usual: tuple[str, ...] = BOTH  # The endpoints it hits when none is named.
    possible: tuple[str, ...] = ENDPOINTS
    value: str = ""  # What may be written after "=": "text", "seconds" or "statuses".
    default: str = ""


def _status(code: int) -> Kind:
    return Kind("ahead", f"the HTTP status {code}")


KINDS: dict[str, Kind] = {
    **{str(code): _status(code) for code in (400, 401, 403, 404, 409, 410, 422, 500, 502, 504)},
    "429": Kind("ahead", "the HTTP status 429; =VALUE is its Retry-After", value="text", default="5"),
    "503": Kind("ahead", "the HTTP status 503; =VALUE is its Retry-After, if any", value="text"),
    "html": Kind("ahead", "200 with an HTML page"),
    "redirect": Kind("ahead", "302 to elsewhere; =URL", value="text", default="http://offers.elsewhere.invalid/api/v1"),
    "timeout": Kind("wire", "no answer until the client goes; =SECONDS at most", value="seconds", default="60"),
    "reset": Kind("wire", "the connection reset without an answer"),
    "drop": Kind("wire", "the connection closed in the middle of the body"),
    "drip": Kind("wire", "the body byte by byte; =SECONDS between them", value="seconds", default="0.2"),
    "drip-headers": Kind("wire", "the headers byte by byte; =SECONDS between them", value="seconds", default="0.2"),
    "informational": Kind(
        "wire", "answers that are not final before the one that is; =STATUSES", value="statuses", default="100,102,103"
    ),
    "endless": Kind("wire", "a body that never ends; =SECONDS at most", value="seconds", default="60"),
    "broken-json": Kind("body", "JSON cut off in the middle"),
    "wrong-root": Kind("body", "an object for a list and the other way round", OFFERS),
    "wrong-types": Kind("body", "fields that are missing or of the wrong type, among good ones", OFFERS),
    "empty": Kind("body", "an empty list or object", OFFERS),
    "deep": Kind("body", "100 000 nested brackets"),
    "gzip": Kind("body", "a few KB of gzip that unpack to 50 MB"),
    "duplicates": Kind("body", "one offer id twice with two prices", OFFERS, OFFERS),
    "negative": Kind("body", "negative prices and stocks among good rows", OFFERS, OFFERS),
    "huge": Kind("body", "numbers of up to 5000 digits among good rows", OFFERS, OFFERS),
    "flood": Kind("body", "100 000 offers", OFFERS, OFFERS),
    "shared-ids": Kind("body", "one offer id that every product hit lists", OFFERS, OFFERS),
}

SPEC = re.compile(r"(?P<kind>[\w-]+)(=(?P<value>.*?))?(:(?P<rate>[\d.]+))?(@(?P<endpoint>\w+))?")


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault as asked for: what goes wrong, where, and for which share of the products."""

    spec: str
    kind: str
    value: str
    rate: float
    endpoints: tuple[str, ...]

    @property
    def stage(self) -> str:
        """Who is hit: "ahead", "body" or "wire"."""
        return KINDS[self.kind].stage

    @property
    def seconds(self) -> float:
        """The value of a kind that takes a time."""
        return float(self.value)

    @property
    def statuses(self) -> tuple[int, ...]:
        """The value of a kind that takes statuses."""
        return tuple(int(status) for status in self.value.split(","))

    def hits(self, seed: int, endpoint: str, key: object) -> bool:
        """Whether this product (for auth, this call) is among those hit; never another answer later."""
        return endpoint in self.endpoints and share_of("fault", seed, self.kind, key) < self.rate


def read_fault(spec: str) -> Fault:
    """The fault written as KIND[=VALUE][:RATE][@ENDPOINT]; raises ValueError that says what is wrong."""
    match = SPEC.fullmatch(spec.strip())
    if match is None:
        raise ValueError(
            f"Cannot read the fault {spec!r}: write KIND[=VALUE][:RATE][@ENDPOINT], "
            f"with KIND one of {', '.join(KINDS)}."
        )
    kind = KINDS.get(match["kind"])
    if kind is None:
        raise ValueError(f"There is no fault {match['kind']!r}: the known kinds are {', '.join(KINDS)}.")
    rate = _rate(spec, match["rate"])
    endpoints = _endpoints(spec, kind, match["endpoint"])
    return Fault(spec, match["kind"], _value(spec, kind, match["value"]), rate, endpoints)


def _rate(spec: str, written: str | None) -> float:
    try:
        rate = 1.0 if written is None else float(written)
    except ValueError:
        rate = -1
    if not 0 <= rate <= 1:
        raise ValueError(f"The rate of the fault {spec!r} must be a number from 0 to 1.")
    return rate


def _endpoints(spec: str, kind: Kind, written: str | None) -> tuple[str, ...]:
    if written is None:
        return kind.usual
    if written not in kind.possible:
        raise ValueError(f"The endpoint of the fault {spec!r} must be one of {', '.join(kind.possible)}.")
    return (written,)


def _value(spec: str, kind: Kind, written: str | None) -> str:
    if written is None:
        return kind.default
    if not kind.value:
        raise ValueError(f"The fault {spec!r} takes no value after '='.")
    if kind.value == "seconds" and not re.fullmatch(r"\d+(\.\d+)?", written):
        raise ValueError(f"The value of the fault {spec!r} must be a number of seconds.")
    if kind.value == "statuses" and not re.fullmatch(r"1\d\d(,1\d\d)*", written):
        raise ValueError(f"The value of the fault {spec!r} must be statuses from 100 to 199, with commas.")
    if not (written.isascii() and written.isprintable()):
        raise ValueError(f"The value of the fault {spec!r} cannot go into an HTTP header.")
    return written


class Plan:
    """The faults in force; the first one that hits a call is the one that happens to it."""

    def __init__(self, seed: int, specs: Iterable[str]) -> None:
        self.faults = tuple(read_fault(spec) for spec in specs)
        self._seed = seed
        self._auth_calls = count()

    def fault_for(self, route: Route) -> Fault | None:
        """What goes wrong with a call; None for nothing."""
        if not (self.faults and route.endpoint):
            return None
        # Signing in is about no product, so there the rate is a share of the calls.
        key = next(self._auth_calls) if route.endpoint == "auth" else (route.product_id or "").lower()
        return next((fault for fault in self.faults if fault.hits(self._seed, route.endpoint, key)), None)
