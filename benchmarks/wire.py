"""How many answers a second the stub can give at most, asked by a client that hardly looks at them."""

import re
import select
import socket
import time
from collections.abc import Iterator
from itertools import cycle
from urllib.parse import urlsplit

FAILURE = re.compile(rb"HTTP/1\.1 (?!200 )|\Z")  # at the beginning: another status, or no byte at all
END = b"}]"  # of a list of offers, and found nowhere else in an answer
PATIENCE = 10.0  # seconds without any answer


def answers_per_second(url: str, ids: list[str], connections: int = 32, seconds: float = 3.0) -> float:
    """Ask for the ids' offers, round and round, with one request at a time on each connection."""
    requests = cycle(_requests(url, ids))
    sockets = connect(url, connections)
    try:
        with select.epoll() as epoll:
            for number in sockets:
                epoll.register(number, select.EPOLLIN)
            return _exchange(epoll, sockets, requests, seconds)
    finally:
        for connected in sockets.values():
            connected.close()


def _requests(url: str, ids: list[str]) -> list[bytes]:
    tail = f"/offers HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nBearer: none\r\n\r\n"
    return [f"GET /api/v1/products/{id_}{tail}".encode() for id_ in ids]


def connect(url: str, connections: int) -> dict[int, socket.socket]:
    """So many connections to the server at url, by their file descriptors."""
    address = urlsplit(url)
    opened = [socket.create_connection((address.hostname, address.port)) for _ in range(connections)]
    for connected in opened:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return {connected.fileno(): connected for connected in opened}


def _exchange(
    epoll: select.epoll, sockets: dict[int, socket.socket], requests: Iterator[bytes], seconds: float
) -> float:
    receive = {number: connected.recv for number, connected in sockets.items()}
    send = {number: connected.send for number, connected in sockets.items()}
    for number in sockets:
        send[number](next(requests))
    answers = 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        events = epoll.poll(PATIENCE)
        if not events:
            raise TimeoutError(f"No answer for {PATIENCE:.0f} seconds.")
        for number, _ in events:
            answer = receive[number](4096)
            # What comes without the end of an answer is a piece of one, and the next piece is on its way.
            if answer.endswith(END):
                answers += 1
                send[number](next(requests))
            elif FAILURE.match(answer):
                raise RuntimeError(f"Not the answer asked for: {answer[:200]!r}")
    return answers / elapsed
