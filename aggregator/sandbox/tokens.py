"""The tokens of both generations: short-lived JWTs, and UUIDs that are good for ever."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from uuid import UUID


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _compact(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def make_jwt(claims: Mapping[str, object], secret: bytes) -> str:
    """The claims as a JWT signed with HS256."""
    signed = f"{_base64url(_compact({'alg': 'HS256', 'typ': 'JWT'}))}.{_base64url(_compact(claims))}"
    signature = hmac.digest(secret, signed.encode(), "sha256")
    return f"{signed}.{_base64url(signature)}"


def make_permanent_token(key: str) -> str:
    """A new UUID that `is_permanent_token` knows again, even in another process with the same key."""
    chosen = secrets.token_bytes(8)
    return str(UUID(bytes=chosen + _seal(chosen, key)))


def is_permanent_token(token: str, key: str) -> bool:
    """Whether the token was made with this key."""
    try:
        content = UUID(token).bytes
    except ValueError:
        return False
    return hmac.compare_digest(content[8:], _seal(content[:8], key))


def _seal(chosen: bytes, key: str) -> bytes:
    return hashlib.blake2b(chosen, key=key.encode()[:64], digest_size=8).digest()
