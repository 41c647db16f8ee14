"""What somebody tries who means harm."""

import socket
import time
from contextlib import ExitStack

from tests.evidence.checks import Fact, Facts, check
from tests.evidence.stack import Shop, Stack

SLOW = {
    "half a head": b"GET /healthz HTTP/1.1\r\nHost: shop\r\n",
    "a dripping body": b"POST /api/v1/auth/login HTTP/1.1\r\nHost: shop\r\nContent-Length: 60000\r\n\r\n{",
    "nothing": b"",
    "no reading": b"GET /docs/assets/swagger-ui-bundle.js HTTP/1.1\r\nHost: shop\r\n\r\n",
}


def _attack(stack: ExitStack, shop: Shop, kind: str, clients: int) -> None:
    host, _, port = shop.url.removeprefix("http://").partition(":")
    for _ in range(clients):
        client = stack.enter_context(socket.create_connection((host, int(port)), timeout=10))
        client.sendall(SLOW[kind])


@check("J31", "Slow clients of four kinds stop nobody else")
def slow_clients(stack: Stack) -> Facts:
    with stack.web(workers=2) as shop, ExitStack() as clients:
        for kind in SLOW:
            _attack(clients, shop, kind, 100)
        longest = 0.0
        for _ in range(20):
            started = time.monotonic()
            assert shop.get("//healthz").status_code == shop.get("/products").status_code == 200
            longest = max(longest, time.monotonic() - started)
        yield Fact("seconds for two answers beside 400 slow clients", round(longest, 3), under_two)


def under_two(seconds: float) -> bool:
    """under 2"""
    return seconds < 2
