"""Counts in Redis what all processes count together."""

from redis import Redis
from redis.exceptions import RedisError

SECONDS = 0.2  # for a call: whoever waits for a count has something better to do
PREFIX = "aggregator:tries:"


class CounterDown(Exception):
    """Redis does not answer."""


class RedisCounter:
    """Counts tries in windows of time; what a Redis that is emptied forgets, it forgets."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url, socket_timeout=SECONDS, socket_connect_timeout=SECONDS)

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
            raise CounterDown from error
        return int(tries), int(left) / 1000

    def forget(self, key: str) -> None:
        """Begin a new window with the next try."""
        try:
            self._redis.delete(PREFIX + key)
        except RedisError as error:
            raise CounterDown from error
