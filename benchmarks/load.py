"""Puts a web server under load: so many requests at once, one after the other on each connection."""

import re
import select
import socket
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from urllib.parse import urlsplit

from benchmarks.wire import connect

END_OF_HEAD = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\nContent-Length: (\d+)", re.IGNORECASE)
PATIENCE = 10.0  # seconds without any answer


@dataclass
class Load:
    """What came of some seconds of requests."""

    seconds: float
    took: list[float] = field(repr=False)  # seconds, of each request

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.took) / self.seconds

    def percentile(self, percent: float) -> float:
        """The time, in ms, that so many percent of the requests took at most."""
        return 1000 * sorted(self.took)[min(int(len(self.took) * percent / 100), len(self.took) - 1)]

    @property
    def median(self) -> float:
        """The time, in ms, that half of the requests took at most."""
        return 1000 * statistics.median(self.took)


def request(url: str, path: str, **headers: str) -> bytes:
    """A GET as it goes over the wire; an underscore in the name of a header stands for a hyphen."""
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"GET {path} HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\n{''.join(lines)}\r\n".encode()


def put_under_load(
    url: str, requests: Sequence[bytes], expected: int = 200, connections: int = 16, seconds: float = 3.0
) -> Load:
    """Send the requests to the server at url, round and round. RuntimeError for an answer of another status."""
    clients = _Clients(url, cycle(requests), b"HTTP/1.1 %d " % expected)
    try:
        for _ in range(connections):
            clients.add()
        return clients.run(seconds)
    finally:
        clients.close()


class _Clients:
    """Connections on each of which one request after the other is sent."""

    def __init__(self, url: str, requests: Iterator[bytes], status: bytes) -> None:
        self.url, self.requests, self.status = url, requests, status
        self.epoll = select.epoll()
        self.sockets: dict[int, socket.socket] = {}
        self.pieces: dict[int, bytes] = {}
        self.sent_at: dict[int, float] = {}

    def add(self) -> None:
        """Open a connection, and send the first request."""
        for number, connected in connect(self.url, 1).items():
            self.sockets[number] = connected
            self.epoll.register(number, select.EPOLLIN)
            self._send(number)

    def run(self, seconds: float) -> Load:
        """What came of the requests of so many seconds."""
        took: list[float] = []
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            events = self.epoll.poll(PATIENCE)
            if not events:
                raise TimeoutError(f"No answer for {PATIENCE:.0f} seconds.")
            took += [elapsed for number, _ in events if (elapsed := self._receive(number)) is not None]
        return Load(time.perf_counter() - start, took)

    def _send(self, number: int) -> None:
        self.pieces[number] = b""
        self.sent_at[number] = time.perf_counter()
        self.sockets[number].sendall(next(self.requests))

    def _receive(self, number: int) -> float | None:
        """The seconds until an answer was there, once it is complete; the next request is on its way then."""
        piece = self.sockets[number].recv(262_144)
        if not piece:  # a server may end its workers now and then, after an answer
            self.sockets.pop(number).close()
            self.add()
            return None
        answer = self.pieces[number] = self.pieces[number] + piece
        if not _is_complete(answer):
            return None
        if not answer.startswith(self.status):
            raise RuntimeError(f"Not the answer asked for: {answer[:300]!r}")
        elapsed = time.perf_counter() - self.sent_at[number]
        self._send(number)
        return elapsed

    def close(self) -> None:
        self.epoll.close()
        for connected in self.sockets.values():
            connected.close()


def _is_complete(answer: bytes) -> bool:
    end = answer.find(END_OF_HEAD)
    if end < 0:
        return False
    length = LENGTH.search(answer, 0, end + 2)
    return len(answer) >= end + len(END_OF_HEAD) + (int(length[1]) if length else 0)
