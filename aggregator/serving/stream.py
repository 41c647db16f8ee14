"""A connection as the threads of the worker see it: a socket that never makes them wait for a slow client."""

import select
import socket
from collections import deque
from time import monotonic

STREAM_AHEAD = 256 * 1024  # bytes of a streamed answer that may wait to be sent before the next piece is made
SECONDS = 30.0  # for a body or an answer, and more as long as it moves at least so fast:
BYTES_PER_SECOND = 16 * 1024


class Stream:
    """Stands in for the socket of a connection. The socket itself does not block.

    `recv` gives no more than has been received, unless the body is too large to be received first. What the client
    does not take at once is kept by `sendall` and sent by the loop; only a streamed answer waits for the client.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.may_wait = False  # for the rest of a large body
        self.has_continued = False
        self.started, self.moved = monotonic(), 0
        self.pending: deque[memoryview] = deque()

    def begin(self, may_wait: bool) -> None:
        """Start the clock for the next body or answer."""
        self.started, self.moved, self.may_wait = monotonic(), 0, may_wait

    @property
    def deadline(self) -> float:
        """When patience ends, by the monotonic clock."""
        return self.started + SECONDS + self.moved / BYTES_PER_SECOND

    @property
    def pending_bytes(self) -> int:
        return sum(map(len, self.pending))

    def recv(self, size: int) -> bytes:
        """The next bytes of a large body; none of any other, which has been received as a whole."""
        if not self.may_wait:
            return b""
        self._wait(select.POLLIN)
        received = self.sock.recv(size)
        self.moved += len(received)
        return received

    def send(self, data: bytes) -> int:
        """Send "100 Continue", which is all that gunicorn sends this way, to a client that has not had it."""
        if not self.has_continued:
            self.sendall(data)
        return len(data)

    def sendall(self, data: bytes) -> None:
        """Send what the client takes now, and keep the rest."""
        while self.pending and self.pending_bytes > STREAM_AHEAD:
            self._wait(select.POLLOUT)
            self.flush()
        self.pending.append(memoryview(data))
        self.flush()

    def flush(self) -> None:
        """Send as much of what is kept as the client takes now."""
        while self.pending:
            try:
                sent = self.sock.send(self.pending[0])
            except BlockingIOError:
                return
            self.moved += sent
            if sent < len(self.pending[0]):
                self.pending[0] = self.pending[0][sent:]
            else:
                self.pending.popleft()

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self.sock, event)
        if not poll.poll(max(self.deadline - monotonic(), 0) * 1000):
            raise TimeoutError("the client is too slow")

    def setblocking(self, flag: bool) -> None:
        """Do nothing: the socket never blocks."""

    def settimeout(self, seconds: float | None) -> None:
        """Do nothing: the deadlines are those of the stream."""

    def gettimeout(self) -> float | None:
        return 0.0

    def fileno(self) -> int:
        return self.sock.fileno()

    def shutdown(self, how: int) -> None:
        self.sock.shutdown(how)

    def close(self) -> None:
        self.sock.close()
