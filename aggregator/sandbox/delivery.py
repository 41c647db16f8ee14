"""How an answer gets to the client: in one piece, or in one of the ways in which a network fails."""

import socket
import struct
import time
from collections.abc import Callable

from aggregator.sandbox.faults import Fault
from aggregator.sandbox.wire import PHRASES, Answer, head_of

# No delivery goes on for longer, so that a client without a time limit still comes to an end here.
LONGEST_DRIP = 60.0
ENDLESS_PIECE = b" " * 65536
ENDLESS_LENGTH = 2**40


def deliver(connection: socket.socket, answer: Answer, fault: Fault | None, keep_alive: bool, head_only: bool) -> bool:
    """Send the answer; returns whether the connection can be used again."""
    if fault is not None:
        MANNERS[fault.kind](connection, answer, fault)
        return False
    # One send for head and body: two would cost a packet more, and a delayed acknowledgement besides.
    connection.sendall(head_of(answer, keep_alive) + (b"" if head_only else answer.body))
    return keep_alive


def _stay_silent(connection: socket.socket, answer: Answer, fault: Fault) -> None:
    until = time.monotonic() + fault.seconds
    while (left := until - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            if not connection.recv(65536):
                return
        except TimeoutError:
            return


def _reset(connection: socket.socket, answer: Answer, fault: Fault) -> None:
    # Lingering for no time at all makes the coming close a reset.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _drop(connection: socket.socket, answer: Answer, fault: Fault) -> None:
    connection.sendall(head_of(answer, False) + answer.body[: len(answer.body) // 2])


def _drip_body(connection: socket.socket, answer: Answer, fault: Fault) -> None:
    connection.sendall(head_of(answer, False))
    _drip(connection, answer.body, fault.seconds)


def _drip_headers(connection: socket.socket, answer: Answer, fault: Fault) -> None:
    if _drip(connection, head_of(answer, False), fault.seconds):
        connection.sendall(answer.body)


def _drip(connection: socket.socket, content: bytes, pause: float) -> bool:
    until = time.monotonic() + LONGEST_DRIP
    for byte in content:
        connection.sendall(bytes((byte,)))
        time.sleep(pause)
        if time.monotonic() > until:
            return False
    return True


def _inform(connection: socket.socket, answer: Answer, fault: Fault) -> None:
    for status in fault.statuses:
        head = f"HTTP/1.1 {status} {PHRASES.get(status, 'Unknown')}\r\nLink: </style.css>; rel=preload\r\n\r\n"
        connection.sendall(head.encode())
    connection.sendall(head_of(answer, False) + answer.body)


def _never_end(connection: socket.socket, answer: Answer, fault: Fault) -> None:
    until = time.monotonic() + fault.seconds
    connection.sendall(head_of(answer, False, ENDLESS_LENGTH) + answer.body)
    while time.monotonic() < until:
        connection.sendall(ENDLESS_PIECE)
        # A breather, so that one such client does not take the processor from all the others.
        time.sleep(0.005)


MANNERS: dict[str, Callable[[socket.socket, Answer, Fault], None]] = {
    "timeout": _stay_silent,
    "reset": _reset,
    "drop": _drop,
    "drip": _drip_body,
    "drip-headers": _drip_headers,
    "informational": _inform,
    "endless": _never_end,
}
