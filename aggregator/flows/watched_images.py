"""The store of images outside of the database, watched: the log has a line when it breaks, and one when it is well."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from aggregator.clients.image_store import ImageStore, Key
from aggregator.errors import Unavailable
from aggregator.outages import Outage

T = TypeVar("T")


class WatchedStore:
    """An ImageStore as it was, whose failures are noted."""

    def __init__(self, store: ImageStore, where: str) -> None:
        self._store, self._where = store, where
        self.outage = Outage("image store")

    def put(self, key: Key, content: bytes) -> None:
        """Keep content, all of it or nothing, in place of what there was."""
        self._noted(lambda: self._store.put(key, content))

    def get(self, key: Key) -> bytes | None:
        """What is kept; None where there is nothing."""
        return self._noted(lambda: self._store.get(key))

    def delete(self, key: Key) -> None:
        """Keep it no more, if it was kept at all."""
        self._noted(lambda: self._store.delete(key))

    def older_than(self, seconds: float) -> Iterator[Key]:
        """All that has been kept for that long."""
        try:
            yield from self._store.older_than(seconds)
        except Unavailable as error:
            self._begins(error)
            raise

    def _noted(self, work: Callable[[], T]) -> T:
        try:
            done = work()
        except Unavailable as error:
            self._begins(error)
            raise
        self.outage.ends()
        return done

    def _begins(self, error: Unavailable) -> None:
        why = error.__cause__
        reason = getattr(why, "strerror", None) or _code(why) or type(why).__name__
        self.outage.begins(f"image store: {self._where}: {reason}. Check IMAGE_STORE, and the disk or the bucket.")


def _code(error: BaseException | None) -> str:
    """The word that S3 has for what is wrong."""
    response: dict[str, dict[str, str]] = getattr(error, "response", {})
    return response.get("Error", {}).get("Code", "")
