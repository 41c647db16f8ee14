"""One request at a time over requests, bounded as a whole: the web process has a client waiting.

requests bounds each read, so a server that drips bytes could keep it busy for ever. Here each exchange runs
in a thread of its own and on a connection of its own; when time is up its socket is shut down, which ends the thread.
"""

import http.client
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from aggregator.clients.wire import (
    BUSY,
    CUT_OFF,
    MAX_REPLY_BYTES,
    TIMED_OUT,
    TOO_LARGE,
    UNREACHABLE,
    USER_AGENT,
    Reply,
    Request,
    TransportError,
)

CONNECT_SECONDS = 3.0
CHUNK = 65_536
MAX_INFORMATIONAL = 20  # answers such as 103 Early Hints before the one that counts
_in_thread = threading.local()  # .exchange: the one that the thread is working on


class _Exchange:
    """A request on its way, and the socket it uses once there is one."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.socket: socket.socket | None = None
        self.over = False

    def use(self, sock: socket.socket) -> None:
        """Remember the socket, or end it at once where time was up before it was there."""
        self.socket = sock
        if self.over:
            self.end()

    def end(self) -> None:
        """Wake up whoever waits for the socket: its next read ends at once."""
        self.over = True
        if self.socket is not None:
            try:
                self.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it is closed already


class _FinalResponse(http.client.HTTPResponse):
    """The final answer to a request: http.client itself skips 100 Continue, and takes 102 and 103 for the answer."""

    def _read_status(self) -> tuple[str, int, str]:
        for _ in range(MAX_INFORMATIONAL + 1):
            line: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            if not 100 <= line[1] < 200 or line[1] == http.client.SWITCHING_PROTOCOLS:
                return line
            http.client.parse_headers(self.fp)
        raise http.client.HTTPException("too many informational answers")


class _Watched:
    """A urllib3 connection that tells the exchange of its thread which socket it uses."""

    sock: socket.socket | None

    def _new_conn(self) -> socket.socket:
        sock: socket.socket = super()._new_conn()  # type: ignore[misc]
        _in_thread.exchange.use(sock)  # TLS is still to come, and it may take its time
        return sock

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]
        assert self.sock is not None
        _in_thread.exchange.use(self.sock)


class _WatchedHTTP(_Watched, HTTPConnection):
    response_class = _FinalResponse


class _WatchedHTTPS(_Watched, HTTPSConnection):
    response_class = _FinalResponse


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _WatchedHTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPS


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}


class _Session(requests.Session):
    """Sees no redirects: to know where one leads, requests would read the whole of its body, whatever its size."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class SingleRequests:
    """Sends one request and waits for its reply, for no more than seconds in all.

    No more than slots at once: when the service is slow, the web process must have threads left for others.
    """

    def __init__(self, seconds: float = 5.0, max_bytes: int = MAX_REPLY_BYTES, slots: int = 2) -> None:
        self.seconds = seconds
        self.max_bytes = max_bytes
        self._slots = threading.BoundedSemaphore(slots)
        self._threads = ThreadPoolExecutor(slots, thread_name_prefix="offers-service")

    def within(self, seconds: float) -> Callable[[Request], Reply | TransportError]:
        """A send() whose calls, all together, take no more than so many seconds from now."""
        deadline = time.monotonic() + seconds
        return lambda request: self.send(request, deadline - time.monotonic())

    def send(self, request: Request, seconds: float | None = None) -> Reply | TransportError:
        """The reply to request, or why there is no whole one in time."""
        seconds = self.seconds if seconds is None else min(seconds, self.seconds)
        if seconds <= 0:
            return TransportError(TIMED_OUT)
        if not self._slots.acquire(blocking=False):
            return TransportError(BUSY)
        exchange = _Exchange(seconds)
        future: Future[Reply] = self._threads.submit(self._exchange, exchange, request)
        future.add_done_callback(lambda _: self._slots.release())
        try:
            return future.result(timeout=seconds)
        except FutureTimeoutError:
            return TransportError(TIMED_OUT)
        except TransportError as error:
            return error
        finally:
            exchange.end()

    def _exchange(self, exchange: _Exchange, request: Request) -> Reply:
        _in_thread.exchange = exchange
        try:
            with self._session() as session, self._open(session, exchange, request) as response:
                return self._read(response)
        except requests.Timeout as error:
            raise TransportError(TIMED_OUT) from error
        except requests.ConnectionError as error:
            raise TransportError(TIMED_OUT if exchange.over else UNREACHABLE) from error
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise TransportError(TIMED_OUT if exchange.over else CUT_OFF) from error

    def _session(self) -> requests.Session:
        session = _Session()
        session.trust_env = False  # no proxies and no .netrc: the token goes to one place only
        session.mount("http://", _Adapter())
        session.mount("https://", _Adapter())
        return session

    def _open(self, session: requests.Session, exchange: _Exchange, request: Request) -> requests.Response:
        return session.request(
            request.method,
            request.url,
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **dict(request.headers)},
            data=request.body,
            timeout=(min(CONNECT_SECONDS, exchange.seconds), exchange.seconds),
            allow_redirects=False,
            stream=True,
        )

    def _read(self, response: requests.Response) -> Reply:
        body = bytearray()
        # As it came over the wire: what is compressed was not asked for, and may be a bomb.
        for chunk in response.raw.stream(CHUNK, decode_content=False):
            body += chunk
            if len(body) > self.max_bytes:
                raise TransportError(TOO_LARGE)
        headers = response.headers
        return Reply(response.status_code, headers.get("Content-Type", ""), bytes(body), headers.get("Retry-After"))
