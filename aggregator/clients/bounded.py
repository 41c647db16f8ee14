"""Connections that end when their time is up, whatever the other side does.

A socket's own time-out is for each read, so a server that drips bytes could go on for ever.
"""

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from time import monotonic
from typing import Any


class Limit:
    """Ends a connection when time is up: a timer shuts it down, which wakes up whoever waits for it."""

    def __init__(self) -> None:
        self.over = False
        self._deadline = 0.0
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let what is done inside take no longer than that."""
        self.over = False
        self._deadline = monotonic() + seconds
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # it must not end what comes next

    def hurry(self, seconds: float) -> None:
        """End the connection within so many seconds, if it has not come to its end by then."""
        timer = threading.Timer(seconds, self._end)
        timer.daemon = True
        timer.start()

    @property
    def left(self) -> float:
        """Seconds until time is up."""
        return max(self._deadline - monotonic(), 0.01)

    @property
    def connected(self) -> bool:
        """Whether there is a connection, or was until it broke off."""
        return self._socket is not None

    def use(self, sock: socket.socket) -> None:
        """Remember the connection by a handle of our own: TLS takes the socket itself away from us.

        TimeoutError where time was up before it was there.
        """
        with self._lock:
            if self.over:
                raise TimeoutError
            self._socket = sock.dup()

    def forget(self) -> None:
        """The connection is given up."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None

    def _end(self) -> None:
        with self._lock:
            self.over = True
            if self._socket is not None:
                with contextlib.suppress(OSError):  # it is closed already
                    self._socket.shutdown(socket.SHUT_RDWR)


def connected(host: str, port: int, seconds: float, limit: Limit) -> socket.socket:
    """A connection to the first of the host's addresses that answers within so many seconds."""
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, address in _addresses(host, port, limit.left):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(min(seconds, limit.left))
            sock.connect(address)
            limit.use(sock)
        except OSError as error:
            sock.close()
            failure = error
            if limit.over:
                break
        else:
            return sock
    raise failure


def _addresses(host: str, port: int, seconds: float) -> list[tuple[Any, ...]]:
    """The host's addresses, asked for in a thread of its own: the resolver knows no limit."""
    found: Future[list[tuple[Any, ...]]] = Future()

    def ask() -> None:
        try:
            found.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except Exception as error:
            found.set_exception(error)

    threading.Thread(target=ask, daemon=True, name="resolver").start()
    return found.result(seconds)


def is_loopback(address: str) -> bool:
    """Whether what is sent to an address stays on this machine."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
