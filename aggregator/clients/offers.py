"""The offers service's contract: which requests there are, and what their answers mean.

This is the one place that knows paths, headers and statuses, of both generations; the transports carry bytes.
"""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from aggregator.clients.offer_rows import OfferRows, parse_json, parse_offers
from aggregator.clients.wire import Reply, Request, TransportError, retry_after_seconds
from aggregator.clock import utcnow

TOKEN_LIFE = timedelta(minutes=5)  # where the token itself does not say
SOON = timedelta(seconds=10)
MAX_RETRY_AFTER = 300.0  # seconds; a service that asks for more is asked again all the same
MAX_DETAIL = 500

Headers = tuple[tuple[str, str], ...]


class OffersError(Exception):
    """The offers service did not do what it was asked to. reason says why, in a few words."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        self.reason = reason
        self.retry_after = retry_after  # seconds, where the service named them
        super().__init__(reason)


class ServiceDown(OffersError):
    """Not reached, too slow, 5xx, 429, a redirect, or an answer that makes no sense: to be tried again."""


class TokenRefused(OffersError):
    """401: the access token, or at /auth the credential, is not accepted."""


class TokenHeld(OffersError):
    """400 at /auth: a token given out earlier is still valid, and it is the only one."""


class ProductUnknown(OffersError):
    """404: the service does not know the product, or not by this token."""


class ProductTaken(OffersError):
    """409: a product is registered under this id already."""


class ProductRefused(OffersError):
    """422: the service does not want the product as it is; reason holds its words."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token and the moment it expires; None for never."""

    value: str
    expires_at: datetime | None

    def confirms(self, refused: "AccessToken") -> bool:
        """Whether this, got in place of one that was refused, says that the token is good and the call was not.

        The service said that a token is still valid, and ours has not run out.
        """
        return self == refused

    def expires_soon(self, now: datetime) -> bool:
        """Whether it is time to ask whether there is another."""
        return self.expires_at is not None and self.expires_at - now < SOON

    def __repr__(self) -> str:
        return f"AccessToken(expires_at={self.expires_at})"


@dataclass(frozen=True)
class OffersService:
    """Where the offers service is and what it is told about who we are.

    With a refresh token it is of the second generation; without one, of the first, which gives one token for
    ever: the access_token, or the one that the sign-up brings.
    """

    base_url: str  # up to and including /api/v1
    refresh_token: str | None = None
    access_token: str | None = None

    def __repr__(self) -> str:
        return f"OffersService({self.base_url!r})"

    @property
    def fingerprint(self) -> str:
        """Tells one account at the service from another, without giving the credential away."""
        account = f"{self.base_url} {self.refresh_token or self.access_token or ''}"
        return hashlib.sha256(account.encode()).hexdigest()[:12]

    def auth_request(self) -> Request:
        """Ask for an access token."""
        headers = (("Bearer", self.refresh_token),) if self.refresh_token else ()
        return Request("POST", f"{self.base_url}/auth", headers, b"")

    def headers(self, token: str, request_id: str) -> Headers:
        """The headers that every call but /auth has. The first one's name is Bearer indeed."""
        return (("Bearer", token), ("X-Request-ID", request_id), ("Content-Type", "application/json"))

    def register_request(self, headers: Headers, product_id: str, name: str, description: str) -> Request:
        """Make a product known to the service."""
        product = {"id": product_id, "name": name, "description": description}
        return Request("POST", f"{self.base_url}/products/register", headers, json.dumps(product).encode())

    def offers_request(self, headers: Headers, product_id: str) -> Request:
        """Ask for the offers of a product."""
        return Request("GET", f"{self.base_url}/products/{product_id}/offers", headers)


def normalized_base_url(url: str) -> str:
    """The base URL up to and including /api/v1, however much of that the operator wrote."""
    return url.rstrip("/").removesuffix("/api/v1").rstrip("/") + "/api/v1"


def read_auth(reply: Reply | TransportError, now: datetime, permanent: bool = False) -> AccessToken:
    """The token in an answer to auth_request()."""
    reply = _whole(reply)
    if reply.status in (401, 403, 406, 422):
        raise TokenRefused("the credentials are refused")
    if reply.status == 400:
        raise TokenHeld("another access token is still valid")
    token = _json_object(_succeeded(reply)).get("access_token")
    if not isinstance(token, str) or not _is_header_value(token):
        raise ServiceDown("no access token in the answer")
    return AccessToken(token, None if permanent else _expiry(token, now))


def read_registration(reply: Reply | TransportError) -> None:
    """Return if the product is registered now."""
    reply = _whole(reply)
    if reply.status in (401, 406):
        raise TokenRefused("the access token is refused")
    if reply.status == 409:
        raise ProductTaken("a product with this id is registered already")
    if reply.status in (400, 422):
        raise ProductRefused(_words(reply))
    _json_object(_succeeded(reply))


def check_offers(reply: Reply | TransportError) -> Reply:
    """The answer to offers_request(), if it looks like a list of offers: a 2xx with JSON."""
    reply = _whole(reply)
    if reply.status in (401, 406):
        raise TokenRefused("the access token is refused")
    if reply.status == 404:
        raise ProductUnknown("the offers service does not know the product")
    return _succeeded(reply)


def offers_in(reply: Reply) -> OfferRows:
    """The offers in an answer that passed check_offers()."""
    try:
        return parse_offers(reply.body)
    except ValueError as error:
        raise ServiceDown("the answer is not a JSON list of offers") from error


def _whole(reply: Reply | TransportError) -> Reply:
    if isinstance(reply, TransportError):
        raise ServiceDown(reply.reason)
    return reply


def _succeeded(reply: Reply) -> Reply:
    if not 200 <= reply.status < 300:
        _refuse(reply)
    if "json" not in reply.content_type.lower():
        raise ServiceDown("the answer is not JSON")
    return reply


def _refuse(reply: Reply) -> NoReturn:
    retry_after = retry_after_seconds(reply.retry_after, utcnow(), MAX_RETRY_AFTER)
    raise ServiceDown(f"it answered {reply.status}", retry_after)


def _json_object(reply: Reply) -> dict[str, Any]:
    try:
        value = parse_json(reply.body)
    except ValueError as error:
        raise ServiceDown("the answer is not JSON") from error
    if not isinstance(value, dict):
        raise ServiceDown("the answer is not a JSON object")
    return value


def _words(reply: Reply) -> str:
    """What the service says is wrong, of either generation, made fit to store and to show."""
    try:
        value = parse_json(reply.body)
        detail = value.get("detail", value.get("msg"))
        if isinstance(detail, list):
            detail = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in detail)
    except (ValueError, AttributeError, KeyError, TypeError):
        detail = None
    words = str(detail or "the product is refused")[:MAX_DETAIL]
    # A NUL or half a surrogate pair is something that no database takes.
    return "".join(character if character.isprintable() else " " for character in words)


def _expiry(token: str, now: datetime) -> datetime:
    """When a token expires: its claim `expires`, which is not checked because the secret is not ours."""
    try:
        payload = token.split(".")[1]
        claims = parse_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expires_at = datetime.fromtimestamp(claims["expires"], UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, OSError, binascii.Error):
        return now + TOKEN_LIFE
    # No token is given out that has expired: where it says so, one of the two clocks is wrong.
    return expires_at if expires_at > now else now + TOKEN_LIFE


def _is_header_value(token: str) -> bool:
    return 0 < len(token) <= 4096 and token.isascii() and token.isprintable()
