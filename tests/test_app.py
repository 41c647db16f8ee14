"""What the app is told about the world that it faces, and what it takes nobody's word for."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask import request, request_started

FORWARDED = {
    "X-Forwarded-For": "198.51.100.1, 192.0.2.1, 10.0.0.1",
    "X-Forwarded-Proto": "http, http, https",
    "X-Forwarded-Host": "attacker.example, attacker.example, attacker.example",
    "X-Forwarded-Port": "8443",
    "X-Forwarded-Prefix": "/elsewhere",
}


@pytest.fixture
def seen() -> Iterator[list[tuple[Any, ...]]]:
    """Whom the app took each request to be from, and what it took as its own address."""
    requests: list[tuple[Any, ...]] = []

    def look(*_: object, **__: object) -> None:
        requests.append((request.remote_addr, request.scheme, request.host, request.script_root))

    with request_started.connected_to(look):
        yield requests


@pytest.mark.parametrize(
    ("proxies", "expected"),
    [
        (0, ("127.0.0.1", "http", "localhost", "")),
        (1, ("10.0.0.1", "https", "localhost", "")),
        (2, ("192.0.2.1", "https", "localhost", "")),
        (3, ("198.51.100.1", "https", "localhost", "")),
    ],
)
def test_of_trusted_proxies_only_where_a_request_comes_from_and_how_is_believed(make_app, seen, proxies, expected):
    make_app(trusted_proxies=proxies).test_client().get("/healthz", headers=FORWARDED)

    assert seen == [expected]
