"""What becomes of old prices: hours, then days, each exact, and never anything lost or doubled."""

import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
import sqlalchemy as sa

from aggregator.database import db, in_transaction, transaction
from aggregator.models.base import MAX_PRICE
from aggregator.services import retention
from aggregator.services.price_reads import Interval, Period, history, trend
from aggregator.services.price_tables import Kind, tables
from aggregator.services.retention import Cuts, cuts
from aggregator.services.roll_ups import Level
from tests.databases import BACKENDS
from tests.evidence_prices import make_series, roll_up

MINUTE, HOUR, DAY, TINY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture(params=Kind)
def kind(request) -> Kind:
    """Whose prices. What uses it holds for offers and for products."""
    return request.param


def at(hour: int, minute: int = 0, day: int = 4) -> datetime:
    """A moment in May 2026."""
    return datetime(2026, 5, day, hour, minute, tzinfo=UTC)


def hours_before(moment: datetime) -> Cuts:
    """Cuts that leave hours before a moment, and no days."""
    return Cuts(moment, at(0, day=1))


def points(series) -> list[tuple]:
    """The points of a series that are left: when, and how much."""
    t = tables(series.kind)
    return rows(sa.select(t.at, t.price).where(t.point_key == key_of(series)).order_by(t.at))


def buckets(series) -> list[tuple]:
    """The buckets of a series: from and until when, lowest, highest, weighted, had, first and last."""
    t = tables(series.kind)
    columns = [column for column in t.buckets.c if column is not t.bucket_key]
    return rows(sa.select(*columns).where(t.bucket_key == key_of(series)).order_by(t.buckets.c.starts_at))


def key_of(series) -> int | UUID:
    return series.key if series.kind is Kind.OFFER else UUID(series.key)


def rows(statement) -> list[tuple]:
    with transaction():
        return [tuple(row) for row in db.session.execute(statement)]


def priced(*pieces: tuple[int, timedelta]) -> int:
    return sum(price * (length // TINY) for price, length in pieces)


def had(*lengths: timedelta) -> int:
    return sum(lengths, timedelta()) // TINY


NOTHING = (None, None, None, 0, None, None, None, None)


class TestCuts:
    @pytest.mark.parametrize(
        ("raw", "hourly", "expected"),
        [
            (1, 3, Cuts(at(12, day=9), at(0, day=7))),
            (2, 2, Cuts(at(12, day=8), at(0, day=8))),
            (3, 1, Cuts(at(12, day=7), at(0, day=7))),  # what has not become hours cannot become days
        ],
    )
    def test_are_a_full_hour_and_a_midnight_some_days_ago(self, raw, hourly, expected):
        assert cuts(at(12, 59, day=10) + 59 * TINY, raw, hourly) == expected

    def test_on_the_hour_and_at_midnight_are_that_very_moment(self):
        assert cuts(at(0, day=10), 1, 2) == Cuts(at(0, day=9), at(0, day=8))


class TestPointsBecomeHours:
    def test_with_all_that_is_known_of_them(self, kind):
        series = make_series(kind, (at(9, 50), 300), (at(10, 10), 100), (at(10, 30), None), (at(10, 45), 200))

        roll_up(series, hours_before(at(11)))

        ten = priced((300, 10 * MINUTE), (100, 20 * MINUTE), (200, 15 * MINUTE))
        assert buckets(series) == [
            (at(9), at(10), 300, 300, priced((300, 10 * MINUTE)), had(10 * MINUTE), at(9, 50), 300, at(10), 300),
            (at(10), at(11), 100, 300, ten, had(45 * MINUTE), at(10), 300, at(11), 200),
        ]

    def test_where_there_were_points_and_nowhere_else(self, kind):
        series = make_series(kind, (at(5, 30), 7), (at(9), 8))

        roll_up(series, hours_before(at(11)))

        assert [(bucket[0], bucket[1]) for bucket in buckets(series)] == [(at(5), at(6)), (at(9), at(10))]

    def test_that_tell_of_what_was_sold_out_when_it_was_had(self, kind):
        series = make_series(kind, (at(8, 10), None), (at(9, 10), 5), (at(9, 20), None), (at(10, 30), None))

        roll_up(series, hours_before(at(11)))

        (eight, nine, ten) = buckets(series)
        assert eight == (at(8), at(9), *NOTHING)
        assert nine[2:] == (5, 5, priced((5, 10 * MINUTE)), had(10 * MINUTE), at(9, 10), 5, at(9, 20), 5)
        assert ten == (at(10), at(11), *NOTHING)

    def test_of_prices_of_0_and_the_highest_ones_exactly(self, kind):
        series = make_series(kind, (at(9), 0), (at(10) - TINY, MAX_PRICE), (at(10), MAX_PRICE))

        roll_up(series, hours_before(at(11)))

        nine, ten = buckets(series)
        assert nine[2:] == (0, MAX_PRICE, MAX_PRICE, had(HOUR), at(9), 0, at(10), MAX_PRICE)
        assert ten[4] == priced((MAX_PRICE, HOUR))

    def test_and_the_last_one_before_the_cut_stays_for_it_is_in_force(self, kind):
        series = make_series(kind, (at(8), 1), (at(9), 2), (at(9, 30), 3), (at(10), 4), (at(10, 30), 5))

        roll_up(series, hours_before(at(10)))

        assert points(series) == [(at(9, 30), 3), (at(10), 4), (at(10, 30), 5)]
        assert [bucket[0] for bucket in buckets(series)] == [at(8), at(9)]

    def test_once_though_the_one_that_stays_is_met_again(self, kind):
        series = make_series(kind, (at(9, 30), 3), (at(12, 30), 4))
        for hour in (10, 11, 12, 13, 14):
            roll_up(series, hours_before(at(hour)))

        assert points(series) == [(at(12, 30), 4)]
        weighted = priced((3, 30 * MINUTE), (4, 30 * MINUTE))
        assert buckets(series)[1:] == [(at(12), at(13), 3, 4, weighted, had(HOUR), at(12), 3, at(13), 4)]

    def test_in_as_many_batches_as_it_takes(self, kind, monkeypatch):
        walk = [(at(9) + 7 * number * MINUTE, number % 3 or None) for number in range(60)]
        whole, split = make_series(kind, *walk), make_series(kind, *walk)
        roll_up(whole, hours_before(at(15)))
        monkeypatch.setattr(retention, "ENTRIES_AT_ONCE", 1)

        roll_up(split, hours_before(at(15)))

        assert (points(split), buckets(split)) == (points(whole), buckets(whole))

    def test_of_the_series_that_are_asked_for(self, kind):
        asked, other = make_series(kind, (at(9), 1)), make_series(kind, (at(9), 1))

        roll_up(asked, hours_before(at(10)))

        assert (len(buckets(asked)), buckets(other)) == (1, [])


class TestHoursBecomeDays:
    def test_with_all_that_is_known_of_them(self, kind):
        series = make_series(
            kind, (at(20, day=3), 400), (at(10, 30), 100), (at(15), None), (at(18), 200), (at(19), None)
        )
        roll_up(series, hours_before(at(0, day=6)))

        roll_up(series, Cuts(at(0, day=6), at(0, day=5)))

        weighted = priced((400, 10.5 * HOUR), (100, 4.5 * HOUR), (200, HOUR))
        assert buckets(series) == [
            (at(0, day=3), at(0), 400, 400, priced((400, 4 * HOUR)), had(4 * HOUR), at(20, day=3), 400, at(0), 400),
            (at(0), at(0, day=5), 100, 400, weighted, had(16 * HOUR), at(0), 400, at(19), 200),
        ]
        assert points(series) == [(at(19), None)]

    def test_as_if_they_had_been_days_at_once(self, kind):
        walk = [(at(0) + 97 * number * MINUTE, number % 5 or None) for number in range(40)]
        once, slowly = make_series(kind, *walk), make_series(kind, *walk)
        roll_up(once, Cuts(at(0, day=8), at(0, day=8)))

        for hour in range(0, 97, 5):
            now = at(0) + hour * HOUR
            roll_up(slowly, Cuts(now, now.replace(hour=0) - DAY))
        roll_up(slowly, Cuts(at(0, day=8), at(0, day=8)))

        assert buckets(slowly) == buckets(once)
        assert [bucket[1] - bucket[0] for bucket in buckets(once)] == [DAY] * 3

    def test_when_all_points_of_the_day_have_become_hours(self, kind, monkeypatch):
        series = make_series(kind, *((at(hour), hour) for hour in range(24)))
        monkeypatch.setattr(retention, "ENTRIES_AT_ONCE", 10)
        tomorrow = at(0, day=5)

        def batch(level: Level) -> int | None:
            return in_transaction(lambda: retention.roll_up(kind, level, [series.key], tomorrow))

        assert batch(Level.POINTS) == 9
        assert batch(Level.HOURS) is None
        assert [batch(Level.POINTS), batch(Level.POINTS), batch(Level.POINTS)] == [10, 4, None]
        assert [batch(Level.HOURS), batch(Level.HOURS)] == [23, None]
        assert [bucket[:2] for bucket in buckets(series)] == [(at(0), tomorrow)]


class TestWhereverItIsInterrupted:
    """A transaction is all or nothing, so this is about what is done in one."""

    WALK = [(at(3, day=2) + 41 * number * MINUTE, number % 7 or None) for number in range(90)]
    CUTS = Cuts(at(7, day=4), at(0, day=4))

    @pytest.fixture
    def result(self, kind) -> tuple[list, list]:
        """What is there in the end where nothing goes wrong."""
        series = make_series(kind, *self.WALK)
        roll_up(series, self.CUTS)
        return points(series), buckets(series)

    @contextmanager
    def failing(self, after: int):
        """Fail after so many statements."""
        numbers = count(1)

        def fail(*_) -> None:
            if next(numbers) == after:
                raise ZeroDivisionError

        sa.event.listen(db.engine, "after_cursor_execute", fail)
        try:
            yield
        finally:
            sa.event.remove(db.engine, "after_cursor_execute", fail)

    def test_the_next_run_comes_to_the_same(self, kind, result, monkeypatch):
        monkeypatch.setattr(retention, "ENTRIES_AT_ONCE", 40)
        for after in count(1):
            series = make_series(kind, *self.WALK)
            try:
                with self.failing(after):
                    roll_up(series, self.CUTS)
                    break
            except ZeroDivisionError:
                pass
            roll_up(series, self.CUTS)
            assert (points(series), buckets(series)) == result
        assert after > 9

    def test_two_at_once_come_to_the_same(self, app, kind, result, monkeypatch):
        monkeypatch.setattr(retention, "ENTRIES_AT_ONCE", 5)
        series = [make_series(kind, *self.WALK) for _ in range(3)]
        both, problems = threading.Barrier(2), []

        def work() -> None:
            with app.app_context():
                both.wait()
                try:
                    for each in series:
                        roll_up(each, self.CUTS)
                except Exception as error:
                    problems.append(error)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert problems == []
        assert [(points(each), buckets(each)) for each in series] == [result] * 3


def test_what_is_read_meanwhile_is_always_the_same(app, kind, monkeypatch):
    monkeypatch.setattr(retention, "ENTRIES_AT_ONCE", 5)
    series = make_series(kind, *((at(3, day=2) + 17 * number * MINUTE, number % 7 or None) for number in range(200)))
    days, done, told = Period(at(0, day=1), at(0, day=6)), threading.Event(), []

    def read() -> None:
        with app.app_context():
            while not done.is_set():
                told.append((trend(series, days), history(series, days, Interval.DAY)))

    reader = threading.Thread(target=read)
    before = (trend(series, days), history(series, days, Interval.DAY))
    reader.start()
    roll_up(series, Cuts(at(0, day=5), at(0, day=4)))
    done.set()
    reader.join()

    assert len(buckets(series)) == 2 + 12  # two days, and the hours of the third
    assert len(told) > 3
    assert set(told) == {before}


class TestSeriesAfter:
    def test_walks_all_of_them_in_the_order_of_their_keys(self, kind, monkeypatch):
        monkeypatch.setattr(retention, "SERIES_AT_ONCE", dict.fromkeys(BACKENDS, 2))
        keys = [make_series(kind, (at(9), 1), (at(10), 2)).key for _ in range(5)]

        found = [retention.series_after(kind)]
        while found[-1]:
            found.append(retention.series_after(kind, found[-1][-1]))

        assert found == [keys[:2], keys[2:4], keys[4:], []]

    def test_without_any_is_nothing(self, kind):
        assert retention.series_after(kind) == []
