"""Tries, counted in the database."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from flask import Flask

from aggregator.clock import utcnow
from aggregator.database import db, in_transaction, transaction
from aggregator.models import RateLimit
from aggregator.services import limits
from tests.builders import edit, stored

pytestmark = pytest.mark.usefixtures("context")


def hit(key: str = "login:a", seconds: float = 60.0) -> tuple[int, float]:
    return in_transaction(lambda: limits.hit(key, seconds))


def counts(app: Flask) -> dict[str, int]:
    return {row.key: row.tries for row in stored(app, RateLimit)}


class TestHit:
    def test_counts_from_one(self):
        assert [hit()[0] for _ in range(3)] == [1, 2, 3]

    def test_each_key_has_a_count_of_its_own(self, app):
        for key in "aab":
            hit(key)

        assert counts(app) == {"a": 2, "b": 1}

    def test_tells_what_is_left_of_the_window(self, app):
        assert hit() == (1, 60.0)
        edit(app, RateLimit, expires_at=utcnow() + timedelta(seconds=20))

        tries, left = hit()

        assert tries == 2
        assert 15 < left <= 21

    def test_a_later_try_does_not_make_the_window_longer(self, app):
        hit()
        (before,) = stored(app, RateLimit)
        hit(seconds=3600.0)
        (after,) = stored(app, RateLimit)

        assert after.expires_at == before.expires_at

    def test_a_window_that_is_over_begins_anew(self, app):
        hit()
        hit()
        edit(app, RateLimit, expires_at=utcnow() - timedelta(seconds=1))

        assert hit(seconds=30.0) == (1, 30.0)
        assert hit()[0] == 2

    def test_many_at_once_each_count(self, app):
        def work(_: int) -> int:
            with app.app_context():
                return hit()[0]

        with ThreadPoolExecutor(8) as threads:
            assert sorted(threads.map(work, range(40))) == list(range(1, 41))

    def test_what_is_rolled_back_was_no_try(self, app):
        hit()
        with transaction():
            limits.hit("login:a", 60.0)
            db.session.rollback()

        assert counts(app) == {"login:a": 1}


class TestForget:
    def test_the_next_try_is_the_first(self, app):
        for key in "aab":
            hit(key)
        with transaction():
            limits.forget("a")

        assert counts(app) == {"b": 1}
        assert hit("a")[0] == 1

    def test_what_was_never_counted_can_be_forgotten(self):
        with transaction():
            limits.forget("nothing")


class TestExpire:
    def test_forgets_windows_that_are_over_and_counts_them(self, app, now):
        for key in "abc":
            hit(key)
        edit(app, RateLimit, expires_at=now)
        edit(app, RateLimit, RateLimit.key == "b", expires_at=now - timedelta(seconds=1))

        with transaction():
            assert limits.expire(now) == 1
        assert counts(app) == {"a": 1, "c": 1}

    def test_spares_a_window_that_a_try_begins_anew_meanwhile(self, app, now):
        def expire() -> int:
            with app.app_context():
                return in_transaction(lambda: limits.expire(now))

        hit()
        edit(app, RateLimit, expires_at=now - timedelta(seconds=1))
        with ThreadPoolExecutor(1) as threads:
            with transaction():
                limits.hit("login:a", 60.0)
                expired = threads.submit(expire)
                with pytest.raises(TimeoutError):
                    expired.result(0.3)  # it waits for the row
            assert expired.result(10) == 0

        assert counts(app) == {"login:a": 1}

    def test_takes_no_more_than_a_batch(self, app, now):
        with transaction():
            rows = [{"key": str(n), "tries": 1, "expires_at": now - timedelta(1)} for n in range(5_003)]
            db.session.execute(sa.insert(RateLimit), rows)

        with transaction():
            assert limits.expire(now) == 5_000
        with transaction():
            assert limits.expire(now) == 3
        with transaction():
            assert limits.expire(now) == 0
