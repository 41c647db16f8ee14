"""How much of a request has been received: enough to hand it to a thread, or not yet."""

import re
from enum import Enum

MAX_HEAD = 64 * 1024  # bytes of the request line and all headers
MAX_WHOLE = 64 * 1024  # bytes of a body that is received before a thread begins
MAX_CHUNK_LINE = 1024

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked", re.IGNORECASE)
_CONTINUE = re.compile(rb"\r\nexpect:[ \t]*100-continue", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[ \t]*(?:;[^\r\n]*)?\r\n")
_END = b"\r\n\r\n"


class Progress(Enum):
    """What has been received of a request."""

    HEAD = "some of its head"
    BODY = "its head, and some of its body"
    WHOLE = "all of it"
    LARGE = "its head, and more of its body than is kept"
    TOO_LARGE = "more than a head may have"


class Incoming:
    """A request while it arrives, looked at once and no more.

    It decides only when a thread begins: what is malformed counts as whole, and gunicorn's parser refuses it. What a
    request means is decided by that parser alone.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.expects_continue = False
        self._body = 0  # where it begins; 0 until the head is complete
        self._end = 0  # of the body, where its length is known
        self._chunk = 0  # where the next chunk begins, where it comes in chunks

    def __bool__(self) -> bool:
        return bool(self.data)

    def feed(self, data: bytes) -> Progress:
        """Add what has arrived; returns what is there now."""
        searched = len(self.data)
        self.data += data
        if not self._body and not self._read_head(max(searched - len(_END) + 1, 0)):
            return Progress.HEAD if len(self.data) <= MAX_HEAD else Progress.TOO_LARGE
        if self._has_all_chunks() if self._chunk else len(self.data) >= self._end:
            return Progress.WHOLE
        # A body that says it is large is not waited for: the application may refuse it without reading any of it.
        size = max(self._end, len(self.data)) - self._body
        return Progress.BODY if size <= MAX_WHOLE else Progress.LARGE

    def take(self) -> bytes:
        """All that has arrived; the next request begins."""
        taken = bytes(self.data)
        self.__init__()  # type: ignore[misc]
        return taken

    def _read_head(self, searched: int) -> bool:
        end = self.data.find(_END, searched)
        if end < 0:
            return False
        self._body = self._end = end + len(_END)
        head = bytes(self.data[: end + 2])
        self.expects_continue = bool(_CONTINUE.search(head))
        if _CHUNKED.search(head):
            self._chunk = self._body
        elif length := _LENGTH.search(head):
            self._end += int(length[1])
        return True

    def _has_all_chunks(self) -> bool:
        """Whether the last chunk and the trailers are there, or something that is no chunk."""
        while chunk := _CHUNK.match(self.data, self._chunk):
            size = int(chunk[1], 16)
            if not size:
                # Trailers, if there are any, end with an empty line as well.
                return self.data.find(_END, chunk.end() - 2) >= 0
            self._chunk = chunk.end() + size + 2
        rest = len(self.data) - self._chunk
        return rest > MAX_CHUNK_LINE or (rest > 0 and self.data.find(b"\n", self._chunk) >= 0)
