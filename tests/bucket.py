"""A server that keeps objects as S3 does, as far as an image store goes, and can be told to fail."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

PAGE = 2  # objects in a listing


@dataclass
class Server:
    """The objects of all buckets by path, and the server that keeps them."""

    url: str = ""
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    fails_with: int = 0

    def age(self, since: datetime) -> None:
        """Make all objects as old as that."""
        self.objects = {name: (content, since) for name, (content, _) in self.objects.items()}


@contextmanager
def bucket_server() -> Iterator[Server]:
    """A running server."""
    server = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def answer(self, status: int, body: bytes = b"") -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def begin(self) -> str:
            where = urlsplit(self.path)
            server.asked.append((self.command, unquote(where.path)))
            return unquote(where.path)

        def fail(self) -> bool:
            if server.fails_with:
                self.answer(server.fails_with, b"<Error><Code>AccessDenied</Code></Error>")
            return bool(server.fails_with)

        def do_PUT(self) -> None:
            path, content = self.begin(), self.content()
            if not self.fail():
                server.objects[path] = (content, datetime.now(UTC))
                self.answer(200)

        def do_DELETE(self) -> None:
            path = self.begin()
            if not self.fail():
                server.objects.pop(path, None)
                self.answer(204)

        def do_GET(self) -> None:
            path = self.begin()
            query = parse_qs(urlsplit(self.path).query)
            if self.fail():
                return
            if "list-type" in query:
                self.answer(200, listing(path.strip("/"), query))
            elif path in server.objects:
                self.answer(200, server.objects[path][0])
            else:
                self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")

        def content(self) -> bytes:
            """The body; newer clients send it in chunks of their own, with sums."""
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
                return body
            content = b""
            while True:
                size, _, body = body.partition(b"\r\n")
                length = int(size.split(b";")[0], 16)
                if not length:
                    return content
                content, body = content + body[:length], body[length + 2 :]

    def listing(bucket: str, query: dict[str, list[str]]) -> bytes:
        prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
        names = sorted(name.removeprefix(f"/{bucket}/") for name in server.objects if name.startswith(f"/{bucket}/"))
        names = [name for name in names if name.startswith(prefix) and name > after]
        more = f"<NextContinuationToken>{escape(names[PAGE - 1])}</NextContinuationToken>" if names[PAGE:] else ""
        found = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>1</Size>"
            f"<LastModified>{server.objects[f'/{bucket}/{name}'][1]:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
            for name in names[:PAGE]
        )
        truncated = "true" if more else "false"
        return f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{more}{found}</ListBucketResult>".encode()

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
