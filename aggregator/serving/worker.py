"""Gunicorn's worker with threads, in which no thread ever waits for a slow client.

Gunicorn's own `gthread` reads a request and writes its answer in a thread, so that as many slow clients as there are
threads stop the process. Here the loop receives a request, a thread answers it, and the loop sends what is left:

    accept -> RECEIVING -> a thread -> SENDING -> RECEIVING (keep-alive) or CLOSING

Each of the three has a deadline. A body of more than 64 KiB is read by a thread, once the application has asked for it,
and only half of the threads may do so at a time.
"""

import resource
import selectors
import socket
import struct
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any

from gunicorn.errors import ConfigError
from gunicorn.http import get_parser
from gunicorn.workers.gthread import TConn, ThreadWorker

from aggregator.serving.requests import Incoming, Progress
from aggregator.serving.stream import SECONDS, Stream

HEAD_SECONDS = (
    10.0  # from the first moment of a connection, or the first byte of a later request, to the end of its head
)
CLOSING_SECONDS = 2.0
STOPPING_SECONDS = 5.0  # for a request that has begun to arrive when the process stops
PENDING_BYTES = 64 * 1024 * 1024  # of answers that slow clients have not taken yet, in each process
SPARE_FILES = 100
READ_SIZE = 64 * 1024
DROP = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset
REFUSAL = b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
TIMED_OUT, HEAD_TOO_LARGE = REFUSAL % b"408 Request Timeout", REFUSAL % b"431 Request Header Fields Too Large"


def _limit_unacknowledged(sock: socket.socket) -> None:
    """Have the kernel give up what it keeps for a client that does not read, where it can do that."""
    if sock.family in (socket.AF_INET, socket.AF_INET6) and hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(SECONDS * 1000))


class Connection(TConn):  # type: ignore[misc]
    """A client's connection: what it has sent of its next request, and until when the loop waits for more."""

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.socket = sock
        self.initialized, self.data_ready = False, True
        self.sock = self.stream = Stream(sock)
        self.incoming = Incoming()
        self.deadline = monotonic()
        self.keep_alive = self.is_large = False

    def init(self) -> None:
        """Hand what has been received to gunicorn's parser."""
        if not self.initialized:
            self.initialized = True
            self.parser = get_parser(self.cfg, self.stream, self.client)
        self.parser.unreader.unread(self.incoming.take())


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]
    """A worker whose threads only ever work."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        room = files - SPARE_FILES if files != resource.RLIM_INFINITY else self.worker_connections
        self.most = max(min(self.worker_connections, room), 2)
        self.waiting: dict[Connection, None] = {}  # on their clients, the longest first
        self.large: deque[Connection] = deque()  # waiting for a thread to read their bodies
        self.reading_large = 0
        self.swept_at = 0.0

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse to start with TLS, which is a proxy's business here."""
        if cfg.is_ssl:
            raise ConfigError("TLS is not served here; put a proxy in front, or use --worker-class gthread.")

    # What happens to a connection, in order.

    def accept(self, listener: socket.socket) -> None:
        """Take a connection; where there are too many, the one that has waited for its client longest goes."""
        try:
            sock, client = listener.accept()
        except OSError:
            return  # it has gone again, another process was quicker, or there are no files left
        self.nr_conns += 1
        _limit_unacknowledged(sock)
        connection = Connection(self.cfg, sock, client, listener.getsockname())
        self._receive(connection, HEAD_SECONDS)
        if self.nr_conns >= self.most:
            self._close(next(iter(self.waiting)))

    def _receive(self, connection: Connection, seconds: float) -> None:
        connection.stream.begin(may_wait=False)
        connection.stream.has_continued = connection.is_large = False
        self._wait(connection, selectors.EVENT_READ, self._on_readable, monotonic() + seconds)

    def _on_readable(self, connection: Connection, _: Any) -> None:
        try:
            data = connection.socket.recv(READ_SIZE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
            return
        self._proceed(connection, data)

    def _proceed(self, connection: Connection, data: bytes) -> None:
        """Hand a request to a thread as soon as enough of it is there."""
        if not connection.incoming:
            connection.deadline = monotonic() + HEAD_SECONDS
        match connection.incoming.feed(data):
            case Progress.WHOLE:
                self._stop_waiting(connection)
                self.enqueue_req(connection)
            case Progress.LARGE:
                self._stop_waiting(connection)
                connection.is_large = True
                self.large.append(connection)
                self._start_large()
            case Progress.TOO_LARGE:
                self._refuse(connection, HEAD_TOO_LARGE)
            case Progress.BODY:
                connection.deadline = connection.stream.deadline
                if connection.incoming.expects_continue and not connection.stream.has_continued:
                    connection.stream.has_continued = True
                    connection.stream.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _start_large(self) -> None:
        while self.large and self.reading_large < max(self.cfg.threads // 2, 1):
            self.reading_large += 1
            connection = self.large.popleft()
            connection.stream.begin(may_wait=True)
            self.enqueue_req(connection)

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:
        """Whether the connection can be used again: not if its body has not been read to the end."""
        conn.stream.may_wait = False
        return bool(keepalive and conn.parser.finish_body())

    def finish_request(self, conn: Connection, fs: "Future[Any]") -> None:
        """Send the rest of an answer, when its thread is done."""
        if conn.is_large:
            self.reading_large -= 1
            self._start_large()
        if conn.socket.fileno() < 0:  # gunicorn has closed it, in the middle of an answer that failed
            self.nr_conns -= 1
            return
        conn.keep_alive = not fs.cancelled() and fs.exception() is None and bool(fs.result())
        conn.stream.begin(may_wait=False)
        if conn.stream.pending:
            self._wait(conn, selectors.EVENT_WRITE, self._on_writable, conn.stream.deadline)
            self._limit_pending()
        else:
            self._end_answer(conn)

    def _on_writable(self, connection: Connection, _: Any) -> None:
        try:
            connection.stream.flush()
        except OSError:
            self._close(connection)
            return
        connection.deadline = connection.stream.deadline
        if not connection.stream.pending:
            self._stop_waiting(connection)
            self._end_answer(connection)

    def _limit_pending(self) -> None:
        sending = [connection for connection in self.waiting if connection.stream.pending]
        pending = sum(connection.stream.pending_bytes for connection in sending)
        for connection in sending:
            if pending <= PENDING_BYTES:
                break
            pending -= connection.stream.pending_bytes
            self._abort(connection)

    def _end_answer(self, connection: Connection) -> None:
        if not connection.keep_alive:
            self._say_goodbye(connection)
            return
        early = connection.parser.unreader.take_buffered()
        self._receive(connection, self.cfg.keepalive if self.alive else CLOSING_SECONDS)
        if early:  # the client has sent its next request already
            self._proceed(connection, early)

    def _say_goodbye(self, connection: Connection) -> None:
        """Close after the client has: were there anything unread, it would lose the answer (RFC 9112, 9.6)."""
        try:
            connection.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(connection)
            return
        self._wait(connection, selectors.EVENT_READ, self._on_rest, monotonic() + CLOSING_SECONDS)

    def _on_rest(self, connection: Connection, _: Any) -> None:
        try:
            if connection.socket.recv(READ_SIZE):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close(connection)

    # Waiting for clients.

    def _wait(self, connection: Connection, event: int, on_event: Any, deadline: float) -> None:
        connection.deadline = deadline
        self.waiting[connection] = None
        self.poller.register(connection.socket, event, partial(on_event, connection))

    def _stop_waiting(self, connection: Connection) -> None:
        del self.waiting[connection]
        self.poller.unregister(connection.socket)

    def _refuse(self, connection: Connection, answer: bytes) -> None:
        with suppress(OSError):
            connection.socket.send(answer)
        self._stop_waiting(connection)
        self._say_goodbye(connection)

    def _close(self, connection: Connection) -> None:
        if connection in self.waiting:
            self._stop_waiting(connection)
        self.nr_conns -= 1
        connection.socket.close()

    def _abort(self, connection: Connection) -> None:
        """Close, and forget what has not been sent yet."""
        if connection.stream.pending:
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, DROP)
        self._close(connection)

    def murder_pending(self) -> None:
        """Part with the clients that have let their deadline pass."""
        now = monotonic()
        if now - self.swept_at < 0.5:
            return
        self.swept_at = now
        for connection in [late for late in self.waiting if late.deadline < now]:
            if connection.incoming:
                connection.incoming.take()
                self._refuse(connection, TIMED_OUT)
            else:
                self._abort(connection)

    def murder_keepalived(self, force: bool = False) -> None:
        """Close all that wait for their clients, when the process ends."""
        if force:
            for connection in list(self.waiting):
                self._close(connection)

    def _cap_keepalive(self, deadline: float) -> None:
        """Wait no longer than until deadline for a next request, when the process stops."""
        for connection in self.waiting:
            longest = monotonic() + STOPPING_SECONDS if connection.incoming or connection.stream.pending else deadline
            connection.deadline = min(connection.deadline, longest)
