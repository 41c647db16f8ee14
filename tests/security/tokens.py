"""Tokens that the app has not made, or not so: signed by hand, because no library would make the worst of them."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask

HEADER = {"alg": "HS256", "typ": "JWT"}


def encoded(content: Any) -> str:
    """A part of a token; what is bytes already goes in as it is."""
    raw = content if isinstance(content, bytes) else json.dumps(content, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decoded(part: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return content


def token_of(header: Any, claims: Any, key: str, digest: str = "sha256") -> str:
    """A token with a signature that is right for this key."""
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{encoded(hmac.digest(key.encode(), signed.encode(), digest))}"


def claims_of(token: str) -> dict[str, Any]:
    return decoded(token.split(".")[1])


def key_of(app: Flask) -> str:
    """What the app signs with."""
    key: str = app.extensions["settings"].jwt_secret_key
    return key


def resigned(app: Flask, token: str, **claims: Any) -> str:
    """A token of the app's with other claims, signed as the app does."""
    return token_of(HEADER, claims_of(token) | claims, key_of(app))


@dataclass(frozen=True)
class Genuine:
    """A token that the app has made, and all it takes to make one that it has not."""

    token: str
    key: str
    twin: str  # of the same sign-in: the refresh token of an access token, and the other way round
    strangers: str  # of the same kind, but somebody else's

    @property
    def claims(self) -> dict[str, Any]:
        return claims_of(self.token)

    def claiming(self, **claims: Any) -> str:
        """The token with other claims, well signed."""
        return token_of(HEADER, self.claims | claims, self.key)

    def without(self, name: str) -> str:
        """The token without a claim, well signed."""
        return token_of(HEADER, {key: value for key, value in self.claims.items() if key != name}, self.key)

    def headed(self, header: Mapping[str, Any], digest: str = "sha256") -> str:
        """The token with another header, well signed."""
        return token_of(header, self.claims, self.key, digest)

    def parts(self) -> list[str]:
        return self.token.split(".")
