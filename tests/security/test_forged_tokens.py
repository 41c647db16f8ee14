"""Tokens that are not the app's own, or not for this: each is a 401 everywhere, and nothing is done."""

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask

from tests.security.operations import operations, send
from tests.security.tokens import HEADER, Genuine, claims_of, encoded, key_of, token_of
from tests.security.world import World, admins_world, admins_worlds, everything

Forge = Callable[[Genuine], str]
Bring = Callable[[Genuine], dict[str, Any]]  # what a request with a token is sent with
REALM = 'Bearer realm="product-aggregator"'
PUBLIC_TEXT = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----\n"
ELSEWHERE = "https://attacker.example/keys.json"
OWN_KEY = {"kty": "oct", "k": encoded(b"attackers-own-key-attackers-own-key")}
DEEP = b'{"sub":' + b"[" * 700 + b"]" * 700 + b"}"


def _unsigned(good: Genuine, name: str) -> str:
    return f"{encoded(HEADER | {'alg': name})}.{encoded(good.claims)}."


def _by_another_key(good: Genuine, **header: Any) -> str:
    return token_of(HEADER | header, good.claims, "attackers-own-key-attackers-own-key")


def _cut(good: Genuine, at: slice) -> str:
    header, claims, signature = good.token.split(".")
    return f"{header}.{claims}.{signature[at]}"


def _tampered(good: Genuine, **claims: Any) -> str:
    header, _, signature = good.token.split(".")
    return f"{header}.{encoded(good.claims | claims)}.{signature}"


# Who cannot sign.
SIGNATURES: dict[str, Forge] = {
    "alg none": lambda good: _unsigned(good, "none"),
    "alg None": lambda good: _unsigned(good, "None"),
    "alg NONE": lambda good: _unsigned(good, "NONE"),
    "alg nOnE": lambda good: _unsigned(good, "nOnE"),
    "alg none, with the old signature": lambda good: ".".join(
        [encoded(HEADER | {"alg": "none"}), *good.token.split(".")[1:]]
    ),
    "alg null": lambda good: f"{encoded(HEADER | {'alg': None})}.{encoded(good.claims)}.",
    "alg empty": lambda good: _unsigned(good, ""),
    "alg a list": lambda good: f"{encoded(HEADER | {'alg': ['none', 'HS256']})}.{encoded(good.claims)}.",
    "no alg": lambda good: f"{encoded({'typ': 'JWT'})}.{encoded(good.claims)}.",
    "alg none with a second alg": lambda good: ".".join(
        [encoded(b'{"alg":"none","alg":"HS256","typ":"JWT"}'), encoded(good.claims), ""]
    ),
    "another key": _by_another_key,
    "an empty key": lambda good: token_of(HEADER, good.claims, ""),
    "the key of the example": lambda good: token_of(HEADER, good.claims, "change-me"),
    "the key with a line end": lambda good: token_of(HEADER, good.claims, good.key + "\n"),
    "the public text as key": lambda good: token_of(HEADER | {"alg": "RS256"}, good.claims, PUBLIC_TEXT),
    "no signature": lambda good: _cut(good, slice(0)),
    "a cut signature": lambda good: _cut(good, slice(-2)),
    "a longer signature": lambda good: f"{good.token}AA",
    "the signature turned around": lambda good: _cut(good, slice(None, None, -1)),
    "the signature of another token": lambda good: ".".join(
        [*good.token.split(".")[:2], good.strangers.split(".")[2]],
    ),
    "tampered: another user": lambda good: _tampered(good, sub=str(uuid4())),
    "tampered: another sign-in": lambda good: _tampered(good, sign_in=str(uuid4())),
    "tampered: never expires": lambda good: _tampered(good, exp=2**40),
    "tampered: a role": lambda good: _tampered(good, role="admin"),
    "tampered: nothing but its spelling": lambda good: ".".join(
        [good.token.split(".")[0], encoded(b" " + json.dumps(good.claims).encode()), good.token.split(".")[2]]
    ),
    "kid of an empty file": lambda good: token_of(HEADER | {"kid": "../../../../dev/null"}, good.claims, ""),
    "kid that is SQL": lambda good: token_of(HEADER | {"kid": "' UNION SELECT 'k"}, good.claims, "k"),
    "jku": lambda good: _by_another_key(good, jku=ELSEWHERE),
    "x5u": lambda good: _by_another_key(good, x5u=ELSEWHERE),
    "x5c": lambda good: _by_another_key(good, x5c=[encoded(b"certificate")]),
    "jwk": lambda good: _by_another_key(good, jwk=OWN_KEY),
}

# Signed with the right key, but not by the app: by a tool that shares the key, or by an older version.
HEADERS: dict[str, Forge] = {
    "HS384": lambda good: good.headed(HEADER | {"alg": "HS384"}, "sha384"),
    "HS512": lambda good: good.headed(HEADER | {"alg": "HS512"}, "sha512"),
    "RS256": lambda good: good.headed(HEADER | {"alg": "RS256"}),
    "hs256": lambda good: good.headed(HEADER | {"alg": "hs256"}),
    "HS256 that is HS512": lambda good: good.headed(HEADER, "sha512"),
    "an empty kid": lambda good: good.headed(HEADER | {"kid": ""}),
    "a kid that is a path": lambda good: good.headed(HEADER | {"kid": "/etc/passwd"}),
    "a kid": lambda good: good.headed(HEADER | {"kid": "1"}),
    "jku, signed": lambda good: good.headed(HEADER | {"jku": ELSEWHERE}),
    "x5u, signed": lambda good: good.headed(HEADER | {"x5u": ELSEWHERE}),
    "jwk, signed": lambda good: good.headed(HEADER | {"jwk": OWN_KEY}),
    "crit": lambda good: good.headed(HEADER | {"crit": ["exp"]}),
    "crit unknown": lambda good: good.headed(HEADER | {"crit": ["x"], "x": 1}),
    "b64 false": lambda good: good.headed(HEADER | {"b64": False, "crit": ["b64"]}),
    "no typ": lambda good: good.headed({"alg": "HS256"}),
    "typ JWE": lambda good: good.headed(HEADER | {"typ": "JWE"}),
    "cty JWT": lambda good: good.headed(HEADER | {"cty": "JWT"}),
    "an empty header": lambda good: good.headed({}),
}

CLAIMS: dict[str, Forge] = {
    **{f"no {name}": lambda good, name=name: good.without(name) for name in ("exp", "iat", "nbf", "jti", "sub")},
    **{f"no {name}": lambda good, name=name: good.without(name) for name in ("type", "iss", "aud", "sign_in")},
    "no claims": lambda good: token_of(HEADER, {}, good.key),
    "of the other type": lambda good: good.twin,
    "type of no such kind": lambda good: good.claiming(type="admin"),
    "type null": lambda good: good.claiming(type=None),
    "type a list": lambda good: good.claiming(type=["access", "refresh"]),
    "another audience": lambda good: good.claiming(aud="another-service"),
    "audience null": lambda good: good.claiming(aud=None),
    "audience empty": lambda good: good.claiming(aud=[]),
    "another issuer": lambda good: good.claiming(iss="https://attacker.example"),
    "issuer null": lambda good: good.claiming(iss=None),
    "expired": lambda good: good.claiming(exp=int(time.time()) - 11),
    "expired at the beginning": lambda good: good.claiming(exp=0),
    "expiry negative": lambda good: good.claiming(exp=-(2**63)),
    "expiry infinite": lambda good: good.claiming(exp=float("inf")),
    "expiry not a number": lambda good: good.claiming(exp=float("nan")),
    "expiry null": lambda good: good.claiming(exp=None),
    "expiry in words": lambda good: good.claiming(exp="never"),
    "expiry a list": lambda good: good.claiming(exp=[2**40]),
    "not yet": lambda good: good.claiming(nbf=int(time.time()) + 60),
    "made tomorrow": lambda good: good.claiming(iat=int(time.time()) + 86_400),
    "not before in words": lambda good: good.claiming(nbf="now"),
    "another user": lambda good: good.claiming(sub=str(uuid4())),
    "a user who is there, but did not sign in": lambda good: good.claiming(sub=claims_of(good.strangers)["sub"]),
    "sub a number": lambda good: good.claiming(sub=1),
    "sub null": lambda good: good.claiming(sub=None),
    "sub a list": lambda good: good.claiming(sub=[good.claims["sub"]]),
    "sub a name": lambda good: good.claiming(sub="admin"),
    "sub of a half character": lambda good: good.claiming(sub="\ud800"),
    "sub with NUL": lambda good: good.claiming(sub=f"{good.claims['sub']}\0"),
    "a sign-in that is not": lambda good: good.claiming(sign_in=str(uuid4())),
    "a sign-in of another's": lambda good: good.claiming(sign_in=claims_of(good.strangers)["sign_in"]),
    "a sign-in that is no UUID": lambda good: good.claiming(sign_in="' OR 1=1 --"),
    "a sign-in that is a number": lambda good: good.claiming(sign_in=1),
    "a sign-in that is null": lambda good: good.claiming(sign_in=None),
    "a sign-in that is a list": lambda good: good.claiming(sign_in=[good.claims["sign_in"]]),
}

SHAPES: dict[str, Forge] = {
    "nothing": lambda good: "",
    "a word": lambda good: "token",
    "dots": lambda good: "..",
    "two dots missing": lambda good: good.token.replace(".", ""),
    "one dot missing": lambda good: good.token.replace(".", "", 1),
    "five parts": lambda good: f"{good.token}.{good.token}",
    "a dot more": lambda good: f"{good.token}.",
    "claims a list": lambda good: token_of(HEADER, [good.claims], good.key),
    "claims a number": lambda good: token_of(HEADER, 1, good.key),
    "claims null": lambda good: token_of(HEADER, None, good.key),
    "claims not JSON": lambda good: token_of(HEADER, b"{", good.key),
    "claims not UTF-8": lambda good: token_of(HEADER, b'{"sub":"\xff"}', good.key),
    "claims deeply nested": lambda good: token_of(HEADER, DEEP, good.key),
    "header deeply nested": lambda good: token_of(DEEP, good.claims, good.key),
    "header a list": lambda good: token_of([HEADER], good.claims, good.key),
    "header not JSON": lambda good: token_of(b"HS256", good.claims, good.key),
    "a number of a thousand digits": lambda good: token_of(HEADER, b'{"exp":' + b"9" * 1000 + b"}", good.key),
    "huge": lambda good: good.claiming(padding="x" * 50_000),
    "just too long": lambda good: good.claiming(padding="x" * 1_500),
    "not ASCII": lambda good: f"{good.token}é",
    "a NUL": lambda good: f"{good.token}\0",
    "quoted": lambda good: f'"{good.token}"',
    "two of them": lambda good: f"{good.token} {good.token}",
    "two headers in one": lambda good: f"{good.token}, Bearer {good.token}",
}

# How the right token is brought is a matter of form, too.
CARRIED: dict[str, Bring] = {
    "not at all": lambda good: {},
    "as Basic": lambda good: {"headers": {"Authorization": f"Basic {good.token}"}},
    "as Token": lambda good: {"headers": {"Authorization": f"Token {good.token}"}},
    "without a scheme": lambda good: {"headers": {"Authorization": good.token}},
    "without a space": lambda good: {"headers": {"Authorization": f"Bearer{good.token}"}},
    "with a colon": lambda good: {"headers": {"Authorization": f"Bearer: {good.token}"}},
    "alone": lambda good: {"headers": {"Authorization": "Bearer"}},
    "in another header": lambda good: {
        "headers": dict.fromkeys(("X-Access-Token", "Proxy-Authorization", "X-Authorization"), f"Bearer {good.token}")
    },
    "in a cookie": lambda good: {
        "headers": {"Cookie": f"access_token_cookie={good.token}; refresh_token_cookie={good.token}"}
    },
    "in the query": lambda good: {
        "query_string": dict.fromkeys(("jwt", "access_token", "token"), good.token),
    },
    "in the body": lambda good: {"json": dict.fromkeys(("access_token", "refresh_token"), good.token)},
}


REFUSED = (401, f'{REALM}, error="invalid_token"')
NOT_BROUGHT = (401, REALM)


def genuine(world: World) -> dict[str, Genuine]:
    """The tokens of an admin, by operation: whoever had these could do everything."""
    own, strangers = world.tokens(world.admin), world.tokens(world.another)
    access, refresh = (
        Genuine(own[kind], key_of(world.app), own[twin], strangers[kind])
        for kind, twin in (("access_token", "refresh_token"), ("refresh_token", "access_token"))
    )
    ids = [operation.id for operation in operations(world.app) if operation.needs_token]
    return dict.fromkeys(ids, access) | {"refresh_tokens": refresh}


def answers(app: Flask, ways: Mapping[str, Bring]) -> dict[str, set[tuple[int, str]]]:
    """What the operations that take a token answer to each way of bringing one, which must do nothing."""
    world = admins_world(app)
    tokens = genuine(world)
    calls = [world.call(operation) for operation in operations(app) if operation.needs_token]
    before, found = everything(app), {}
    for name, options_of in ways.items():
        told = [call.send(app.test_client(), **options_of(tokens[call.operation.id])) for call in calls]
        after = everything(app)
        found[name] = {(answer.status_code, answer.headers.get("WWW-Authenticate", "")) for answer in told}
        found[name] |= {(0, f"changed {table}") for table in after if after[table] != before[table]}
        before = after
    return found


def forged(app: Flask, forgeries: Mapping[str, Forge]) -> dict[str, set[tuple[int, str]]]:
    """What they answer to each forgery."""
    return answers(app, {name: lambda good, forge=forge: {"token": forge(good)} for name, forge in forgeries.items()})


def test_the_tokens_that_the_forged_ones_are_made_of_are_good(app):
    world_for = admins_worlds(app)
    for operation in operations(app):
        if operation.needs_token:
            world = world_for(operation)
            token = genuine(world)[operation.id].claiming(another="claim" * 20)
            assert 200 <= world.call(operation).send(app.test_client(), token).status_code < 300, operation.id


@pytest.mark.parametrize("forgeries", [SIGNATURES, HEADERS, CLAIMS], ids=["signatures", "headers", "claims"])
def test_a_token_that_the_app_has_not_made_like_this_is_refused_everywhere(app, sandbox, forgeries):
    found = forged(app, forgeries)

    assert {name: told for name, told in found.items() if told != {REFUSED}} == {}
    assert sandbox.calls == []


def test_what_does_not_even_look_like_a_token_is_refused_everywhere(app, sandbox):
    found = forged(app, SHAPES)

    assert {name: told for name, told in found.items() if told not in ({REFUSED}, {NOT_BROUGHT})} == {}
    assert sandbox.calls == []


def test_a_good_token_counts_only_where_it_belongs(app, sandbox):
    found = answers(app, CARRIED)

    assert {name: told for name, told in found.items() if told not in ({REFUSED}, {NOT_BROUGHT})} == {}
    assert sandbox.calls == []


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEARER", "Bearer  "])
def test_the_scheme_may_be_written_in_any_case(app, scheme):
    world_for = admins_worlds(app)
    for operation in operations(app):
        if operation.needs_token:
            world = world_for(operation)
            header = {"Authorization": f"{scheme} {genuine(world)[operation.id].token}"}
            assert 200 <= world.call(operation).send(app.test_client(), headers=header).status_code < 300, operation.id


def test_a_refresh_token_of_no_generation_is_refused(app):
    good, statuses = genuine(admins_world(app))["refresh_tokens"], {}

    for generation in (None, "x", "", "1e3", [], {}, -1, 2, 2**70, float("inf"), float("nan")):
        token = good.claiming(generation=generation)
        statuses[repr(generation)] = send(app.test_client(), "POST", "/api/v1/auth/refresh", token).status_code

    assert statuses == dict.fromkeys(statuses, 401)
