"""Counts in Redis what all processes count together."""

from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError, OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

SECONDS = 0.2  # for a call: whoever waits for a count has something better to do
PREFIX = "aggregator:tries:"


class CounterDown(Exception):
    """Redis does not count. The reason says who, what, and what to do, without a password."""

    def __init__(self, where: str, error: RedisError) -> None:
        self.reason = f"redis: {where}: {_what(error)}. Check REDIS_URL."
        super().__init__(self.reason)


class RedisCounter:
    """Counts tries in windows of time; what a Redis that is emptied forgets, it forgets."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)
        parts = urlsplit(url)
        self._where = parts.path if parts.scheme == "unix" else f"{parts.hostname}:{parts.port or 6379}"

    def hit(self, key: str, seconds: float) -> tuple[int, float]:
        """Count a try; the tries since the window began, and the seconds that are left of it."""
        name = PREFIX + key
        try:
            with self._redis.pipeline() as pipeline:
                pipeline.set(name, 0, px=int(seconds * 1000), nx=True)
                pipeline.incr(name)
                pipeline.pttl(name)
                _, tries, left = pipeline.execute()
        except RedisError as error:
            raise CounterDown(self._where, error) from error
        return int(tries), int(left) / 1000

    def forget(self, key: str) -> None:
        """Begin a new window with the next try."""
        try:
            self._redis.delete(PREFIX + key)
        except RedisError as error:
            raise CounterDown(self._where, error) from error


# What is wrong, by the class of the error; the first that fits counts.
WORDS: tuple[tuple[type[RedisError], str], ...] = (
    (AuthenticationError, "the password is refused"),
    (BusyLoadingError, "it is starting up"),
    (RedisTimeoutError, "no answer in time"),
    (ReadOnlyError, "it is read-only"),
    (OutOfMemoryError, "it has no memory left"),
)


def _what(error: RedisError) -> str:
    text = str(error)
    if "NOAUTH" in text or "WRONGPASS" in text:
        return "the password is refused"
    for kind, words in WORDS:
        if isinstance(error, kind):
            return words
    if not isinstance(error, RedisConnectionError):
        return f"it does not do what it is asked to ({type(error).__name__})"
    if "refused" in text:
        return "connection refused"
    return "the name of the host is not known" if "not known" in text else "it cannot be reached"
