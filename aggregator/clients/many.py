"""Many requests at a time over libcurl, whose time-out bounds a whole request, slow drips included."""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pycurl

from aggregator.clients.wire import (
    CUT_OFF,
    FORBIDDEN,
    MAX_REPLY_BYTES,
    TIMED_OUT,
    TOO_LARGE,
    UNREACHABLE,
    USER_AGENT,
    Reply,
    Request,
    TransportError,
)

K = TypeVar("K")
# Whether a request to a URL may connect to an IP address that its host has turned out to be.
Guard = Callable[[str, str], bool]

# A transfer this old stops counting, up to so many: a few slow answers must not hold up all the others.
SLOW_SECONDS = 1.0
SLOW_PER_FAST = 4
PAUSE_SECONDS = 0.05
# A worker has little memory, and a hundred answers of the largest size would not fit.
MAX_HELD_BYTES = 64 * 1024 * 1024
_REASONS = {
    pycurl.E_OPERATION_TIMEDOUT: TIMED_OUT,
    pycurl.E_FILESIZE_EXCEEDED: TOO_LARGE,
    pycurl.E_PARTIAL_FILE: CUT_OFF,
    pycurl.E_RECV_ERROR: CUT_OFF,
    pycurl.E_GOT_NOTHING: CUT_OFF,
    pycurl.E_WRITE_ERROR: TOO_LARGE,
}


@dataclass
class _Held:
    """How much of the answers that are under way is held in memory, of all of them together."""

    bytes: int = 0


class _Transfer(Generic[K]):
    """One reusable libcurl handle and what it is carrying."""

    def __init__(self, seconds: float, max_bytes: int, held: "_Held", guard: Guard | None) -> None:
        self.max_bytes = max_bytes
        self.held = held
        self.guard = guard
        self.handle = handle = pycurl.Curl()
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.FOLLOWLOCATION, False)
        handle.setopt(pycurl.PROXY, "")  # none, whatever the environment says
        handle.setopt(pycurl.NOSIGNAL, True)
        handle.setopt(pycurl.TIMEOUT_MS, int(seconds * 1000))
        handle.setopt(pycurl.CONNECTTIMEOUT_MS, int(min(seconds, 3.0) * 1000))
        handle.setopt(pycurl.MAXFILESIZE, max_bytes)
        handle.setopt(pycurl.USERAGENT, USER_AGENT)
        handle.setopt(pycurl.WRITEFUNCTION, self._receive)
        if guard is not None:
            handle.setopt(pycurl.OPENSOCKETFUNCTION, self._open)
        self.headers: tuple[tuple[str, str], ...] | None = None
        self.socket: socket.socket | None = None
        self.key: K

    def load(self, key: K, request: Request) -> pycurl.Curl:
        self.key = key
        self.url = request.url
        self.forbidden = False
        self.chunks: list[bytes] = []
        self.size = 0
        self.started = time.monotonic()
        self.handle.setopt(pycurl.URL, request.url)
        self.handle.setopt(pycurl.CUSTOMREQUEST, request.method)
        if request.body is not None:
            self.handle.setopt(pycurl.POSTFIELDS, request.body)
        elif request.method == "GET":
            self.handle.setopt(pycurl.HTTPGET, True)
        if request.headers is not self.headers:  # most requests share one tuple
            self.headers = request.headers
            self.handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in request.headers])
        return self.handle

    def _open(self, _: int, address: Any) -> socket.socket | int:
        """A socket for the very address that libcurl is about to connect to, if it may."""
        assert self.guard is not None
        if address.family in (socket.AF_INET, socket.AF_INET6) and self.guard(self.url, address.addr[0]):
            self.let_go()
            self.socket = socket.socket(address.family, address.socktype, address.protocol)
            return self.socket
        self.forbidden = True
        bad: int = pycurl.SOCKET_BAD
        return bad

    def let_go(self) -> None:
        """Close our end of a socket of which libcurl has made a copy of its own."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def _receive(self, chunk: bytes) -> int:
        self.size += len(chunk)
        self.held.bytes += len(chunk)
        if self.size > self.max_bytes or self.held.bytes > MAX_HELD_BYTES:
            return 0  # tells libcurl to give up; a chunked answer announces no size
        self.chunks.append(chunk)
        return len(chunk)

    def reply(self) -> Reply:
        status = self.handle.getinfo(pycurl.RESPONSE_CODE)
        content_type = self.handle.getinfo_raw(pycurl.CONTENT_TYPE) or b""  # getinfo() insists on UTF-8
        return Reply(status, content_type.decode("latin-1"), b"".join(self.chunks), self.retry_after(status))

    def retry_after(self, status: int | None) -> str | None:
        """The seconds for which an answer asks to be left alone, where it may."""
        return str(self.handle.getinfo(pycurl.RETRY_AFTER)) if status in (429, 503) else None


class ManyRequests:
    """Sends requests side by side and yields replies as they come, each within seconds and max_bytes.

    With a guard it connects only to addresses that the guard lets pass, whatever their names resolve to.
    """

    def __init__(
        self,
        concurrency: int = 32,
        seconds: float = 10.0,
        max_bytes: int = MAX_REPLY_BYTES,
        guard: Guard | None = None,
    ) -> None:
        self.concurrency = concurrency
        self.seconds = seconds
        self.max_bytes = max_bytes
        self.guard = guard

    def exchange(
        self, requests: Iterable[tuple[K, Request] | None]
    ) -> Iterator[tuple[K, Reply | TransportError] | None]:
        """Yield (key, reply or failure) for each (key, request), in the order in which they end.

        A None among the requests says that there is none just now; a None among the answers, that nothing
        has come in for a moment.
        """
        exchange = _Exchange[K](self, iter(requests))
        try:
            while exchange.start():
                ended = False
                for transfer, error in exchange.ended():
                    ended = True
                    yield transfer.key, _outcome(transfer, error)
                if not ended:
                    exchange.pause()
                    yield None
        finally:
            exchange.close()


class _Exchange(Generic[K]):
    """The transfers of one exchange()."""

    def __init__(self, limits: ManyRequests, source: Iterator[tuple[K, Request] | None]) -> None:
        self.limits = limits
        self.source = source
        self.exhausted = False
        self.active: dict[pycurl.Curl, _Transfer[K]] = {}
        self.idle: list[_Transfer[K]] = []
        self.slow = 0
        self.held = _Held()
        self.multi = pycurl.CurlMulti()
        self.multi.setopt(pycurl.M_MAXCONNECTS, limits.concurrency * (1 + SLOW_PER_FAST))

    def start(self) -> bool:
        """Start as many transfers as there is room for; false when there is nothing left to do."""
        while not self.exhausted and len(self.active) < self.limits.concurrency + self.slow:
            try:
                item = next(self.source)
            except StopIteration:
                self.exhausted = True
                break
            if item is None:
                break
            transfer = self.idle.pop() if self.idle else self._transfer()
            handle = transfer.load(*item)
            self.active[handle] = transfer
            self.multi.add_handle(handle)
        return bool(self.active) or not self.exhausted

    def _transfer(self) -> _Transfer[K]:
        return _Transfer[K](self.limits.seconds, self.limits.max_bytes, self.held, self.limits.guard)

    def ended(self) -> Iterator[tuple[_Transfer[K], int | None]]:
        """Carry bytes, and yield the transfers that have ended, with libcurl's code for a failure."""
        self.multi.perform()
        _, done, failed = self.multi.info_read(len(self.active) + 1)
        for handle, error in [(handle, None) for handle in done] + [(failure[0], failure[1]) for failure in failed]:
            self.multi.remove_handle(handle)
            transfer = self.active.pop(handle)
            transfer.let_go()
            self.held.bytes -= transfer.size
            yield transfer, error
            self.idle.append(transfer)

    def pause(self) -> None:
        """Wait a moment for something to happen, and count the transfers that have become slow."""
        if self.active:
            self.multi.select(PAUSE_SECONDS)
        else:
            time.sleep(PAUSE_SECONDS)
        slow_since = time.monotonic() - SLOW_SECONDS
        slow = sum(transfer.started < slow_since for transfer in self.active.values())
        self.slow = min(slow, SLOW_PER_FAST * self.limits.concurrency)

    def close(self) -> None:
        for handle, transfer in self.active.items():
            self.multi.remove_handle(handle)
            transfer.let_go()
        self.multi.close()


def _outcome(transfer: _Transfer[Any], error: int | None) -> Reply | TransportError:
    if error is None:
        return transfer.reply()
    status = transfer.handle.getinfo(pycurl.RESPONSE_CODE) or None
    if transfer.forbidden and error == pycurl.E_COULDNT_CONNECT:
        return TransportError(FORBIDDEN)
    return TransportError(_REASONS.get(error, UNREACHABLE), status, transfer.retry_after(status))
