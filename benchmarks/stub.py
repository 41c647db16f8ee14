"""The offers service as a benchmark wants it: always right, and too fast to be what is measured."""

import argparse
import asyncio
import base64
import gc
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from functools import partial
from itertools import compress
from pathlib import Path
from random import Random
from uuid import UUID

import orjson

try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

END_OF_HEAD = b"\r\n\r\n"
BODY_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
CHANGED = re.compile(rb"PUT /changed/(100|\d{1,2}(?:\.\d+)?) ")
# Where the id stands in b"GET /api/v1/products/{id}/offers HTTP/1.1".
ID = slice(21, 57)


def product_ids(n: int, seed: int) -> list[str]:
    """The ids of the first n products; a greater n only adds to the list."""
    random = Random(seed)
    return [str(UUID(int=random.getrandbits(128), version=4)) for _ in range(n)]


def http_answer(status: str, content: object = None) -> bytes:
    """A complete answer, made once and sent many times: its date is the day it was made."""
    body = b"" if content is None else orjson.dumps(content)
    head = (
        f"HTTP/1.1 {status}\r\ndate: {formatdate(usegmt=True)}\r\nserver: uvicorn\r\n"
        f"content-length: {len(body)}\r\ncontent-type: application/json\r\n\r\n"
    )
    return head.encode() + body


def access_token() -> str:
    """A token in the form of a JWT that outlives every benchmark, signed by nobody."""
    parts = {"alg": "HS256", "typ": "JWT"}, {"expires": int(time.time()) + 10 * 365 * 86400}
    coded = [base64.urlsafe_b64encode(orjson.dumps(part)) for part in parts]
    return b".".join([*coded, b"c2lnbmVkLWJ5LW5vYm9keQ"]).replace(b"=", b"").decode()


class Market:
    """Each product's two answers, the next one and the last one, which differ in a share of all prices."""

    def __init__(self, products: int, offers: int, changed: float, seed: int) -> None:
        self.offers = offers
        self.seed = seed
        random = Random(f"offers of {seed}")
        ids = product_ids(products, seed)
        self.answers = {id_.encode(): [self._first_answer(random)] * 2 for id_ in ids}
        self.change(changed)

    def change(self, percent: float) -> None:
        """Let exactly this share of all offers have another price each time they are asked for."""
        total = len(self.answers) * self.offers
        differs = bytearray(total)
        for place in Random(f"changes of {self.seed}").sample(range(total), round(total * percent / 100)):
            differs[place] = 1
        for start, answers in zip(range(0, total, self.offers), self.answers.values(), strict=True):
            # The last answer stays, so that the very next one differs from what was seen by this share.
            answers[0] = _with_other_prices(answers[1], differs[start : start + self.offers])

    def _first_answer(self, random: Random) -> bytes:
        base = 1_000 + int(random.random() * 90_000)
        return http_answer("200 OK", [_offer(random, base) for _ in range(self.offers)])


def _offer(random: Random, base: int) -> dict[str, object]:
    # The spread of the prices and the stocks is that of the real service.
    price = int(base * (0.965 + random.random() * 0.07))
    stock = 23 + int(random.random() * 810)
    return {"id": str(UUID(int=random.getrandbits(128))), "price": price, "items_in_stock": stock}


def _with_other_prices(answer: bytes, differs: bytearray) -> bytes:
    if not any(differs):
        return answer
    offers = orjson.loads(answer[answer.index(END_OF_HEAD) :])
    for offer in compress(offers, differs):
        # Done twice this gives the first price again, so prices never drift away.
        offer["price"] ^= 64
    return http_answer("200 OK", offers)


class OffersService(asyncio.Protocol):
    """One connection: offers are a look-up and a write, everything else may take its time."""

    def __init__(self, market: Market, latency: float) -> None:
        self.market = market
        self.answers = market.answers
        self.latency = latency
        self.rest = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.write: Callable[[bytes], object] = self._write_late if self.latency else transport.write

    def data_received(self, data: bytes) -> None:
        # Looking for an id in its one place is all the routing that a lone request for offers needs.
        answers = self.answers.get(data[ID])
        if answers is None or self.rest or data.find(END_OF_HEAD) != len(data) - 4:
            self._answer_all(self.rest + data)
        else:
            self.write(answers[0])
            answers.reverse()

    def _answer_all(self, data: bytes) -> None:
        """Answer every complete request in turn and keep what has come of the next."""
        start = 0
        while (end := data.find(END_OF_HEAD, start)) >= 0:
            head, body_start = data[start:end], end + len(END_OF_HEAD)
            length = BODY_LENGTH.search(head)
            body_end = body_start + int(length[1] if length else 0)
            if len(data) < body_end:
                break
            self.write(self._answer(head, data[body_start:body_end]))
            start = body_end
        self.rest = data[start:]

    def _answer(self, head: bytes, body: bytes) -> bytes:
        if head.startswith(b"POST /api/v1/auth "):
            return http_answer("201 Created", {"access_token": access_token()})
        if head.startswith(b"POST /api/v1/products/register "):
            return http_answer("201 Created", {"id": orjson.loads(body)["id"]})
        if answers := self.answers.get(head[ID]):
            answers.reverse()
            return answers[1]
        if changed := CHANGED.match(head):
            self.market.change(float(changed[1]))
            return http_answer("200 OK", {"changed": float(changed[1])})
        return http_answer("404 Not Found", {"detail": "Product does not exist"})

    def _write_late(self, answer: bytes) -> None:
        asyncio.get_running_loop().call_later(self.latency, self._write_if_open, answer)

    def _write_if_open(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)


@contextmanager
def running_stub(
    products: int, offers: int = 10, changed: float = 10, seed: int = 1, latency_ms: float = 0
) -> Iterator[str]:
    """Run the stub in a process of its own and give its URL once it answers."""
    size = [f"--products={products}", f"--offers={offers}", f"--seed={seed}"]
    manner = [f"--changed={changed}", f"--latency-ms={latency_ms}"]
    command = [sys.executable, "-m", "benchmarks.stub", *size, *manner]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        try:
            assert process.stdout
            if not (url := process.stdout.readline().strip()):
                raise RuntimeError("The stub of the offers service did not start; its words are above.")
            yield url
        finally:
            process.terminate()


async def serve(market: Market, port: int, latency: float) -> None:
    """Print the URL and answer until told to stop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(partial(OffersService, market, latency), "127.0.0.1", port, backlog=1024)
    print("http://{}:{}".format(*server.sockets[0].getsockname()), flush=True)
    await stop.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes any free one")
    parser.add_argument("--products", type=int, default=1000)
    parser.add_argument("--offers", type=int, default=10, help="of each product")
    parser.add_argument("--changed", type=float, default=10, help="percentage of offers with a new price per GET")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--latency-ms", type=float, default=0)
    options = parser.parse_args()
    market = Market(options.products, options.offers, options.changed, options.seed)
    # What was built lives as long as the process: collecting garbage need not look at it again.
    gc.freeze()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve(market, options.port, options.latency_ms / 1000))


if __name__ == "__main__":
    main()
