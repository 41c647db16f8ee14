"""HTTP/1.1 as it goes over the wire: requests read from a socket, answers made into bytes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, BinaryIO

LONGEST_LINE = 64 * 1024
MOST_HEADERS = 100
LARGEST_BODY = 16 * 1024 * 1024

PHRASES = {status.value: status.phrase for status in HTTPStatus}
JSON = "application/json"
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asked for; the names of its headers are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    keep_alive: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """What the service says to it."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


class BadRequest(Exception):
    """The request cannot be read; nothing more can be on this connection."""

    def __init__(self, status: int) -> None:
        super().__init__(PHRASES[status])
        self.answer = Answer(status, PHRASES[status].encode(), TEXT)


def json_answer(status: int, content: Any, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """An answer with the content as compact JSON."""
    return Answer(status, json.dumps(content, separators=(",", ":")).encode(), JSON, headers)


def head_of(answer: Answer, keep_alive: bool, length: int | None = None) -> bytes:
    """The status line and the headers, up to and including the empty line."""
    size = len(answer.body) if length is None else length
    lines = [
        f"HTTP/1.1 {answer.status} {PHRASES.get(answer.status, 'Unknown')}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {size}",
        *(f"{name}: {value}" for name, value in answer.headers),
    ]
    if not keep_alive:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def read_request(stream: BinaryIO) -> Request | None:
    """The next request on the connection; None when the client has gone."""
    line = stream.readline(LONGEST_LINE)
    if not line:
        return None
    words = line.decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadRequest(400)
    method, target, version = words
    headers = dict(_headers(stream))
    body = _body(stream, headers)
    connection = headers.get("connection", "").lower()
    keep_alive = connection != "close" and (version != "HTTP/1.0" or connection == "keep-alive")
    return Request(method, target.partition("?")[0], headers, body, keep_alive)


def _headers(stream: BinaryIO) -> Iterator[tuple[str, str]]:
    for _ in range(MOST_HEADERS):
        line = stream.readline(LONGEST_LINE)
        if line in (b"\r\n", b"\n"):
            return
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise BadRequest(400)
        yield name.strip().lower(), value.strip()
    raise BadRequest(431)


def _body(stream: BinaryIO, headers: dict[str, str]) -> bytes:
    if "transfer-encoding" in headers:
        raise BadRequest(411)
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(400)
    if int(length) > LARGEST_BODY:
        raise BadRequest(413)
    body = stream.read(int(length))
    if len(body) < int(length):
        raise BadRequest(400)
    return body
