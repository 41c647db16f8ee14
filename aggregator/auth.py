"""Who calls: tokens, and whether the operation is for whom they are of (operations.py has the table)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any, NoReturn, cast
from uuid import UUID

from flask import Flask, Request, Response, g, request
from flask.globals import request_ctx
from flask_jwt_extended import JWTManager, create_access_token, create_refresh_token, decode_token
from flask_jwt_extended.exceptions import JWTExtendedException
from jwt.exceptions import InvalidTokenError, PyJWTError

from aggregator.clock import CLOCK, utcnow
from aggregator.errors import Forbidden, TokenExpired, TokenInvalid, TokenRevoked, Unauthorized
from aggregator.extensions import settings
from aggregator.models import Role, SignIn
from aggregator.operations import BODY_BYTES, MAY_CALL, Who, operation_id
from aggregator.services import sign_ins
from aggregator.services.sign_ins import Principal

ISSUER = AUDIENCE = "product-aggregator"
LEEWAY_SECONDS = 10
MAX_TOKEN_LENGTH = 2_000
ANONYMOUS_BODY_BYTES = 64 * 1024
HEADER = {"alg": "HS256", "typ": "JWT"}
CLAIMS = {"exp", "iat", "nbf", "jti", "sub", "type", "iss", "aud", "sign_in"}


# What the library and we ourselves stumble over in a token that nobody made with care.
MALFORMED = (
    *(JWTExtendedException, PyJWTError, AttributeError, KeyError),
    *(OverflowError, RecursionError, TypeError, ValueError),
)


@dataclass(frozen=True)
class Claims:
    """What a token says that counts."""

    sign_in_id: UUID
    user_id: UUID
    generation: int  # of a refresh token; an access token has none, which is 0


def init_app(app: Flask, jwt_secret_key: str, access_seconds: int) -> None:
    """Have every request checked before anything of it is read."""
    app.config.update(
        JWT_SECRET_KEY=jwt_secret_key,
        JWT_ALGORITHM=HEADER["alg"],
        JWT_DECODE_ALGORITHMS=[HEADER["alg"]],
        JWT_COOKIE_CSRF_PROTECT=False,  # there are no cookies
        JWT_ENCODE_ISSUER=ISSUER,
        JWT_DECODE_ISSUER=ISSUER,
        JWT_ENCODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_AUDIENCE=AUDIENCE,
        JWT_DECODE_LEEWAY=inf,  # the library goes by the clock of this host: we compare the times ourselves
        JWT_ACCESS_TOKEN_EXPIRES=timedelta(seconds=access_seconds),
    )
    JWTManager(app).decode_key_loader(lambda header, claims: _key_for(header, claims, jwt_secret_key))
    app.before_request(_guard)
    app.after_request(_keep_private)


def principal() -> Principal:
    """Who makes the request; only in an operation for users or admins."""
    return cast(Principal, g.principal)


def tokens_for(sign_in: SignIn) -> dict[str, Any]:
    """The tokens of a sign-in: a new access token, and the refresh token of its generation."""
    user_id, seconds = str(sign_in.user_id), settings().access_token_seconds
    now = _seconds(utcnow())
    claims = {"sign_in": str(sign_in.id), "iat": now, "nbf": now, "exp": now + seconds}
    # The same for every process that is asked for it: two tabs that refresh at once get the same one.
    generation = {
        "generation": sign_in.generation,
        "jti": f"{sign_in.id}.{sign_in.generation}",
        "iat": _seconds(sign_in.refreshed_at),
        "nbf": _seconds(sign_in.refreshed_at),
        "exp": _seconds(sign_in.expires_at),
    }
    return {
        "access_token": create_access_token(user_id, additional_claims=claims),
        "refresh_token": create_refresh_token(user_id, additional_claims=claims | generation),
        "token_type": "Bearer",
        "expires_in": seconds,
    }


def refresh_claims() -> Claims:
    """What the refresh token of the request says; only in an operation for who holds one."""
    return cast(Claims, g.claims)


def earlier_sign_in() -> Claims | None:
    """What the refresh token says that the request brings without having to, expired or not; None if it has none."""
    try:
        return _verify(refresh=True, allow_expired=True)
    except Unauthorized:
        return None


def refuse() -> NoReturn:
    """Say that the token was good once, and is no more."""
    raise TokenRevoked


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _who(asked: Request) -> Who | None:
    """Whom the operation of a request is for."""
    if asked.endpoint is None or asked.method == "OPTIONS":
        return Who.EVERYBODY  # there is no such thing, or nothing is done
    return MAY_CALL.get(operation_id(asked.method, asked.endpoint))


def _guard() -> None:
    asked = request_ctx.request
    who = _who(asked)
    if who is Who.EVERYBODY:
        asked.max_content_length = ANONYMOUS_BODY_BYTES
        return
    if who is None:
        raise Forbidden
    g.claims = _verify(refresh=who is Who.REFRESHER)
    if who is Who.REFRESHER:
        return
    found = sign_ins.principal(g.claims.sign_in_id, g.claims.user_id)
    if found is None:
        refuse()
    g.principal = found
    if who is Who.ADMIN and found.role is not Role.ADMIN:
        raise Forbidden
    if size := BODY_BYTES.get(operation_id(request.method, str(request.endpoint))):
        request.max_content_length = size


def _verify(refresh: bool, allow_expired: bool = False) -> Claims:
    """The claims of the token that the request brings; Unauthorized unless it is one of ours and has not expired."""
    header = request.headers.get("Authorization", "")
    if len(header) > MAX_TOKEN_LENGTH:
        raise TokenInvalid("The token is too long.")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized
    try:
        found = decode_token(token.strip(" "), allow_expired=allow_expired)
        if found["type"] != ("refresh" if refresh else "access"):
            raise InvalidTokenError("made for something else")
        claims = Claims(UUID(found["sign_in"]), UUID(found["sub"]), int(found["generation"]) if refresh else 0)
        begins, ends = max(int(found["iat"]), int(found["nbf"])), inf if allow_expired else int(found["exp"])
    except MALFORMED:
        raise TokenInvalid from None
    _must_be_in_time(claims.sign_in_id, begins - LEEWAY_SECONDS, ends + LEEWAY_SECONDS)
    return claims


def _must_be_in_time(sign_in_id: UUID, begins: float, ends: float) -> None:
    """Refuse a token of ours that has not begun, or has ended, by the database's clock.

    Where it is so by what this process last heard, the database is asked: its clock may have been set since. Set back,
    it is earlier than when the sign-in was last refreshed, and what was made until then has begun.
    """
    begun = now = utcnow().timestamp()
    if not CLOCK.follows or not begins <= now < ends:
        clock, refreshed_at = sign_ins.clock(sign_in_id)
        now, begun = clock.timestamp(), max(clock, refreshed_at).timestamp()
    if begins > begun:
        raise TokenInvalid
    if ends <= now:
        raise TokenExpired


def _key_for(header: dict[str, Any], claims: dict[str, Any], key: str) -> str:
    """The key to verify a token with. The library takes tokens that lack claims, and headers that bring a key."""
    if header != HEADER or not claims.keys() >= CLAIMS:
        raise InvalidTokenError("not made by us")
    return key


def _keep_private(response: Response) -> Response:
    asked = request_ctx.request
    if asked.method not in ("GET", "HEAD", "OPTIONS") or _who(asked) is not Who.EVERYBODY:
        response.cache_control.clear()
        response.cache_control.no_store = True
    return response
