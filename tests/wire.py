"""A server that says exactly the bytes it is told to: a script for each request, and a note of what it heard."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

# Statuses of answers that may come before the final one.
PRELIMINARY = [(100,), (102,), (103,), (100, 102, 103, 103), (199,), (103,) * 20]
PATIENCE = 20.0  # seconds after which a script gives up on a client that never does


@dataclass
class Heard:
    """A request as it came over the wire."""

    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split()[1]


Script = Callable[[socket.socket], bool]  # answers one request; true where the connection may be used again


@dataclass
class Wire:
    """Where the server listens, whom it answers how, and what it has seen."""

    play: Callable[[Heard], Script]
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    ended: int = 0  # connections

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(PATIENCE)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
            thread = threading.Thread(target=self._converse, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _converse(self, connection: socket.socket) -> None:
        # Whether the client hangs up, or the test is over, is all the same here.
        with connection, contextlib.suppress(OSError):
            while (request := hear(connection)) is not None:
                self.heard.append(request)
                if not self.play(request)(connection):
                    break
        with self._lock:
            self._open.discard(connection)
            self.ended += 1


@contextlib.contextmanager
def wire(play: Script | Callable[[Heard], Script], choose: bool = False) -> Iterator[Wire]:
    """A server that plays one script for all requests or, with choose, the one that play(request) gives."""
    server = Wire(play if choose else lambda _: play)  # type: ignore[arg-type,return-value]
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def deaf_port() -> Iterator[str]:
    """A URL whose port takes no more connections: a client waits for the handshake for ever."""
    with socket.socket() as listener, contextlib.ExitStack() as fillers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def hear(connection: socket.socket) -> Heard | None:
    """The next request on a connection; None where the client has gone."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65_536)
        if not piece:
            return None
        received += piece
        if received[0] == 22:
            return Heard("a TLS greeting", {}, received)
    head, _, body = received.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int({name.lower(): value for name, value in headers.items()}.get("content-length", "0"))
    while len(body) < length:
        body += connection.recv(65_536)
    return Heard(line, headers, body)


def http(
    status: int = 200,
    body: bytes = b"[]",
    content_type: str | None = "application/json",
    length: int | None = None,
    **headers: str,
) -> bytes:
    """An answer in bytes; length is what it says of itself, -1 for nothing."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type is not None:
        named["Content-Type"] = content_type
    if length != -1:
        named["Content-Length"] = str(len(body) if length is None else length)
    lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def informational(*statuses: int) -> bytes:
    """Answers in bytes that only announce the final one."""
    return b"".join(f"HTTP/1.1 {status} Wait\r\nLink: </style.css>\r\n\r\n".encode() for status in statuses)


def says(answer: bytes, keep: bool = True) -> Script:
    """Says it all at once, and keeps the connection or closes it."""

    def script(connection: socket.socket) -> bool:
        connection.sendall(answer)
        return keep

    return script


def drips(answer: bytes, at_once: int = 0, pause: float = 0.05) -> Script:
    """Says so many bytes at once, and the rest one by one."""

    def script(connection: socket.socket) -> bool:
        connection.sendall(answer[:at_once])
        for byte in answer[at_once:]:
            if threading.Event().wait(pause):  # time.sleep(), which tests may have replaced
                break
            connection.sendall(bytes((byte,)))
        return False

    return script


def repeats(start: bytes, piece: bytes) -> Script:
    """Says start, and then piece for as long as the client listens."""

    def script(connection: socket.socket) -> bool:
        connection.sendall(start)
        while True:
            connection.sendall(piece)

    return script


def hangs(connection: socket.socket) -> bool:
    """Says nothing until the client goes."""
    while connection.recv(65_536):
        pass
    return False


def resets(connection: socket.socket) -> bool:
    """Breaks the connection off."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def in_turn(scripts: Iterable[Script]) -> Callable[[Heard], Script]:
    """A play for wire(choose=True): one script for each request, in the order in which they come."""
    remaining = iter(scripts)
    return lambda _: next(remaining)
