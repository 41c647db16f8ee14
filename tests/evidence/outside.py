"""What is outside of the shop, as a check wants it: offers at chosen prices, and a receiver of webhooks."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import NAMESPACE_URL, uuid5

Answer = tuple[int, dict[str, str]]


def taken(number: int) -> Answer:
    """What a receiver says that takes each message."""
    return 204, {}


@dataclass
class Outside:
    """An offers service with one offer for each product, and at /hook a receiver that answers as it is set to."""

    url: str = ""
    prices: dict[str, int | None] = field(default_factory=dict)  # by product; None is sold out
    to_message: Callable[[int], Answer] = taken  # by how many messages there were before
    heard: list[tuple[float, str]] = field(default_factory=list)  # when messages came, and their ids

    def offers(self, product: str) -> list[dict[str, Any]]:
        price = self.prices.get(product)
        offer = {"id": str(uuid5(NAMESPACE_URL, product)), "price": price, "items_in_stock": 5}
        return [] if price is None else [offer]


@contextmanager
def outside() -> Iterator[Outside]:
    """It runs for as long as the context lasts."""
    world = Outside()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.reply(200, world.offers(self.path.split("/")[-2]))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            if self.path == "/hook":
                world.heard.append((time.monotonic(), self.headers["webhook-id"]))
                status, headers = world.to_message(len(world.heard) - 1)
                self.reply(status, None, headers)
            elif self.path.endswith("/auth"):
                self.reply(201, {"access_token": "a token"})
            else:
                self.reply(201, {"id": body["id"]})

        def reply(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
            body = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    world.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield world
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
