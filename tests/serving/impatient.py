"""The web server's worker with deadlines that a test can wait for, and an app whose answers show what arrived."""

from collections.abc import Iterable
from typing import Any

from aggregator.serving import stream, worker

worker.HEAD_SECONDS = 1.0
worker.CLOSING_SECONDS = 0.5
stream.SECONDS = 2.0
worker.PENDING_BYTES = 40 * 1024 * 1024
DeadlineWorker = worker.DeadlineWorker
MEBIBYTE = b"x" * 1024 * 1024


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer with the body of the request, with many bytes at once or in pieces, or before the body was read."""
    path = environ["PATH_INFO"]
    if path == "/refuse":
        start_response("401 Unauthorized", [("Content-Length", "4")])
        return [b"no\r\n"]
    if path == "/large":
        start_response("200 OK", [("Content-Length", str(16 * len(MEBIBYTE)))])
        return [16 * MEBIBYTE]
    if path == "/stream":
        start_response("200 OK", [("Content-Length", str(16 * len(MEBIBYTE)))])
        return (MEBIBYTE for _ in range(16))
    try:
        body = environ["wsgi.input"].read()
    except OSError:
        start_response("400 Bad Request", [("Content-Length", "0")])
        return []
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
