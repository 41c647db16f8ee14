"""How often something may be tried, whoever counts: Redis, or the database in its place."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask
from redis import Redis

from aggregator.clients.counters import RedisCounter
from aggregator.clock import utcnow
from aggregator.errors import TooMany
from aggregator.flows.limits import Limit, Limits, network
from aggregator.models import RateLimit
from tests.builders import edit, stored
from tests.valkey import valkey

THREE = Limit("login", 3, 60.0)
NOWHERE = "redis://127.0.0.1:9/0"  # port 9 refuses connections


@pytest.fixture
def redis(redis_url) -> Iterator[Redis]:
    """A Redis with nothing in it."""
    with Redis.from_url(redis_url) as redis:
        redis.flushall()
        yield redis


@pytest.fixture(params=["database", "redis", "redis that is down"])
def limits(request, context) -> Limits:
    """Limits, counted in each of the ways."""
    if request.param == "database":
        return Limits()
    if request.param == "redis":
        request.getfixturevalue("redis")
        return Limits(RedisCounter(request.getfixturevalue("redis_url")))
    return Limits(RedisCounter(NOWHERE))


def passes(limits: Limits, who: str = "alice", limit: Limit = THREE) -> bool:
    """Whether one more try is within the limit."""
    try:
        limits.hit(limit, who)
    except TooMany:
        return False
    return True


def keys(app: Flask) -> list[str]:
    return [row.key for row in stored(app, RateLimit)]


class TestHit:
    def test_so_many_tries_and_no_more(self, limits):
        assert [passes(limits) for _ in range(5)] == [True, True, True, False, False]

    def test_one_too_many_says_how_long_to_wait(self, limits):
        for _ in range(3):
            limits.hit(THREE, "alice")

        with pytest.raises(TooMany, match="Too many attempts") as refusal:
            limits.hit(THREE, "alice")
        assert 50 < refusal.value.extra["retry_after"] <= 60

    def test_everybody_has_a_count_of_their_own(self, limits):
        for _ in range(4):
            passes(limits, "alice")

        assert passes(limits, "bob")

    def test_every_limit_has_counts_of_its_own(self, limits):
        for _ in range(4):
            passes(limits)

        assert passes(limits, limit=Limit("register", 1, 60.0))

    def test_many_at_once_get_no_more_than_one_after_the_other(self, app, limits):
        def work(_: int) -> bool:
            with app.app_context():
                return passes(limits)

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(work, range(24))) == 3

    @pytest.mark.parametrize("who", ["", "x" * 10_000, "žluť", "a\0b", "\ud800", "' OR 1=1 --"])
    def test_whoever_it_is(self, limits, who):
        assert [passes(limits, who, Limit("login", 1, 60.0)) for _ in range(2)] == [True, False]


class TestForget:
    def test_counts_anew(self, limits):
        for _ in range(4):
            passes(limits)
        limits.forget(THREE, "alice")

        assert [passes(limits) for _ in range(4)] == [True, True, True, False]

    def test_leaves_others_and_other_limits_alone(self, limits):
        other = Limit("register", 1, 60.0)
        assert passes(limits, "bob", other)
        assert passes(limits, "alice", other)
        limits.forget(other, "alice")
        limits.forget(THREE, "bob")

        assert not passes(limits, "bob", other)

    def test_what_was_never_counted_can_be_forgotten(self, limits):
        limits.forget(THREE, "nobody")


class TestWhoCounts:
    def test_without_a_redis_the_database(self, app, context):
        passes(Limits())

        assert [row.tries for row in stored(app, RateLimit)] == [1]

    def test_a_redis_leaves_the_database_alone(self, app, context, redis, redis_url):
        passes(Limits(RedisCounter(redis_url)))

        assert keys(app) == []
        assert len(redis.keys()) == 1

    def test_when_a_redis_dies_the_database_goes_on(self, app, context):
        with valkey() as url:
            limits = Limits(RedisCounter(url))
            assert [passes(limits) for _ in range(4)] == [True, True, True, False]
            assert keys(app) == []

        assert [passes(limits) for _ in range(4)] == [True, True, True, False]
        assert [row.tries for row in stored(app, RateLimit)] == [4]

    def test_what_the_database_counted_while_redis_was_down_is_forgotten_too(self, app, context, redis, redis_url):
        passes(Limits(RedisCounter(NOWHERE)))
        assert len(keys(app)) == 1
        Limits(RedisCounter(redis_url)).forget(THREE, "alice")

        assert keys(app) == []

    @pytest.mark.parametrize("counted_in", ["database", "redis"])
    def test_processes_count_together(self, make_app, redis, redis_url, counted_in):
        processes = [make_app(redis_url=redis_url if counted_in == "redis" else "") for _ in range(2)]
        passed = []
        for number in range(6):
            with processes[number % 2].app_context():
                passed.append(passes(processes[number % 2].extensions["authenticator"].limits))

        assert passed == [True, True, True, False, False, False]

    def test_a_window_of_the_database_that_is_over_begins_anew(self, app, context):
        limits = Limits()
        for _ in range(4):
            passes(limits)
        edit(app, RateLimit, expires_at=utcnow() - timedelta(seconds=1))

        assert [passes(limits) for _ in range(4)] == [True, True, True, False]

    def test_a_name_is_not_kept(self, app, context, redis, redis_url):
        name = f"hunter2-{uuid4()}"
        passes(Limits(), name)
        passes(Limits(RedisCounter(redis_url)), name)

        (key,), (redis_key,) = keys(app), redis.keys()
        assert key.startswith("login:")
        assert "hunter2" not in key + redis_key.decode()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        (None, "unknown"),
        ("", "unknown"),
        ("localhost", "unknown"),
        ("192.0.2", "unknown"),
        ("192.0.2.256", "unknown"),
        ("192.0.2.07", "unknown"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("[2001:db8:1:2::7]:4711", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::7]", "2001:db8:1:2::/64"),
        ("[::ffff:192.0.2.7]:4711", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6:4711", "unknown"),
        ("192.0.2.7:", "unknown"),
        ("192.0.2.7:port", "unknown"),
        ("192.0.2.7:4711:4711", "unknown"),
        ("192.0.2:4711", "unknown"),
        ("[192.0.2.7", "unknown"),
        ("[]:4711", "unknown"),
        ("192.0.2.7, 192.0.2.8", "unknown"),
        ("\ud800", "unknown"),
        ("9" * 10_000, "unknown"),
    ],
)
def test_a_network_is_an_address_or_a_64_of_them(address, expected):
    assert network(address) == expected
