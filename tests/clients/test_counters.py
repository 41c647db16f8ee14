"""Counts in Redis, and what happens where it is not as it should be."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis

from aggregator.clients.counters import PREFIX, CounterDown, RedisCounter
from tests.valkey import valkey
from tests.wire import deaf_port, hangs, wire


@pytest.fixture
def redis(redis_url) -> Iterator[Redis]:
    """What the counter counts in, with nothing in it."""
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
        yield redis


@pytest.fixture
def counter(redis, redis_url) -> RedisCounter:
    return RedisCounter(redis_url)


def refuses(url: str) -> None:
    """Assert that neither a try nor its end can be had from a server."""
    counter = RedisCounter(url)
    with pytest.raises(CounterDown):
        counter.hit("a", 60)
    with pytest.raises(CounterDown):
        counter.forget("a")


class TestHit:
    def test_counts_from_one(self, counter):
        assert [counter.hit("a", 60)[0] for _ in range(3)] == [1, 2, 3]

    def test_each_key_has_a_count_of_its_own(self, counter):
        counter.hit("a", 60)

        assert counter.hit("b", 60)[0] == 1

    def test_tells_what_is_left_of_the_window(self, counter):
        assert 59 < counter.hit("a", 60)[1] <= 60

    def test_a_later_try_does_not_make_the_window_longer(self, redis, counter):
        counter.hit("a", 60)
        redis.pexpire(f"{PREFIX}a", 30_000)

        tries, left = counter.hit("a", 60)

        assert tries == 2
        assert 29 < left <= 30

    def test_a_window_that_is_over_begins_anew(self, redis, counter):
        counter.hit("a", 60)
        redis.pexpire(f"{PREFIX}a", 0)

        tries, left = counter.hit("a", 60)

        assert tries == 1
        assert 59 < left <= 60

    def test_a_window_may_be_shorter_than_a_second(self, redis, counter):
        assert 0 < counter.hit("a", 0.5)[1] <= 0.5

    def test_many_at_once_each_count(self, counter, redis_url):
        counters = [counter, RedisCounter(redis_url)]
        with ThreadPoolExecutor(8) as threads:
            tries = list(threads.map(lambda n: counters[n % 2].hit("a", 60)[0], range(100)))

        assert sorted(tries) == list(range(1, 101))

    def test_what_it_keeps_is_under_a_name_of_its_own_and_does_not_stay(self, redis, counter):
        counter.hit("a", 60)

        assert redis.keys() == [b"aggregator:tries:a"]
        assert 0 < redis.pttl("aggregator:tries:a") <= 60_000


class TestForget:
    def test_the_next_try_is_the_first(self, counter):
        counter.hit("a", 60)
        counter.hit("a", 60)
        counter.forget("a")

        assert counter.hit("a", 60)[0] == 1

    def test_leaves_others_alone(self, counter):
        counter.hit("a", 60)
        counter.forget("b")

        assert counter.hit("a", 60)[0] == 2


class TestARedisThatIsNotAsItShouldBe:
    def test_it_is_not_asked_before_it_is_needed(self):
        RedisCounter("redis://127.0.0.1:9/0")

    def test_nobody_listens(self):
        refuses("redis://127.0.0.1:9/0")

    def test_no_such_socket(self, tmp_path):
        refuses(f"unix://{tmp_path}/none")

    def test_it_takes_no_connection(self):
        with deaf_port() as url:
            refuses(url.replace("http", "redis"))

    def test_it_says_nothing(self):
        with wire(hangs) as server:
            refuses(server.url.replace("http", "redis"))

    def test_it_is_something_else(self, sandbox):
        refuses(sandbox.url.replace("http", "redis"))

    def test_it_wants_a_password(self):
        with valkey("--requirepass", "hunter2") as url:
            refuses(url)

    def test_it_is_full(self):
        with valkey("--maxmemory", "1", "--maxmemory-policy", "noeviction") as url, pytest.raises(CounterDown):
            RedisCounter(url).hit("a", 60)

    def test_something_else_has_the_name(self, redis, counter):
        redis.lpush(f"{PREFIX}a", "x")

        with pytest.raises(CounterDown):
            counter.hit("a", 60)

    def test_it_dies(self):
        with valkey() as url:
            counter = RedisCounter(url)
            assert counter.hit("a", 60)[0] == 1

        with pytest.raises(CounterDown):
            counter.hit("a", 60)

    def test_connections_that_were_cut_are_replaced(self, redis, counter):
        counter.hit("a", 60)
        redis.client_kill_filter(_type="normal", skipme=True)

        assert counter.hit("a", 60)[0] == 2

    def test_what_it_forgets_is_forgotten(self, redis, counter):
        counter.hit("a", 60)
        redis.flushall()

        assert counter.hit("a", 60)[0] == 1
