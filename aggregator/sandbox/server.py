"""The HTTP server: a thread per connection, requests read and answers written on the bare socket."""

import contextlib
import selectors
import socket
import threading
import time
import weakref
from collections.abc import Callable
from typing import NamedTuple

from aggregator.sandbox.delivery import deliver
from aggregator.sandbox.faults import Fault
from aggregator.sandbox.wire import Answer, BadRequest, Request, read_request

LONGEST_QUEUE = 1024


class Reply(NamedTuple):
    """An answer, and what goes wrong on its way."""

    answer: Answer
    fault: Fault | None = None


Respond = Callable[[Request], Reply]


class Listener:
    """Listens on a port and holds a conversation with every client, each in a thread of its own."""

    def __init__(self, host: str, port: int, respond: Respond) -> None:
        self._respond = respond
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._socket = socket.create_server((host, port), backlog=LONGEST_QUEUE)
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]
        self._bell, self._ear = socket.socketpair()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def stop_listening(self) -> None:
        """Take no more connections; the port is free for another to listen on."""
        self._bell.close()
        self._thread.join()
        self._ear.close()
        self._socket.close()

    def hang_up(self) -> None:
        """End every conversation at once, in the middle of a word if need be."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._ear, selectors.EVENT_READ)
            while all(key.fileobj is not self._ear for key, _ in selector.select()):
                self._accept()

    def _accept(self) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:
            # The client is gone already, or there are too many of them: a moment later it may be better.
            time.sleep(0.005)
            return
        with self._lock:
            self._open.add(connection)
        threading.Thread(target=self._hold, args=(connection,), daemon=True).start()

    def _hold(self, connection: socket.socket) -> None:
        # A client that goes away in the middle is none of our concern.
        with contextlib.suppress(OSError):
            converse(connection, self._respond)
        with self._lock:
            self._open.discard(connection)
        # A plain close: a polite goodbye first would keep a reset from being one.
        connection.close()


def converse(connection: socket.socket, respond: Respond) -> None:
    """Answer all requests of one connection, one after the other."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection.makefile("rb") as stream:
        try:
            while (request := read_request(stream)) is not None:
                reply = respond(request)
                head_only = request.method == "HEAD"
                if not deliver(connection, reply.answer, reply.fault, request.keep_alive, head_only):
                    return
        except BadRequest as refused:
            deliver(connection, refused.answer, None, keep_alive=False, head_only=False)


class Server:
    """A listener that can be stopped and started again on the same port."""

    def __init__(self, host: str, port: int, respond: Respond) -> None:
        self.host = host
        self.port = port
        self._respond = respond
        self._listener: Listener | None = None
        self._placeholder: Callable[[], object] | None = None

    def start(self) -> None:
        """Listen; raises OSError when that is not possible."""
        if self._listener is not None:
            return
        self._listener = Listener(self.host, self.port, self._respond)
        self.port = self._listener.port
        self._give_up_port()

    def stop(self) -> None:
        """Refuse connections from now on and end those there are."""
        if self._listener is None:
            return
        self._listener.stop_listening()
        self._keep_port()
        self._listener.hang_up()
        self._listener = None

    def _keep_port(self) -> None:
        """Stay bound without listening: clients are refused, and no other program gets the port meanwhile."""
        holder = socket.socket()
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            holder.bind((self.host, self.port))
        self._placeholder = weakref.finalize(self, holder.close)

    def _give_up_port(self) -> None:
        if self._placeholder is not None:
            self._placeholder()
            self._placeholder = None
