"""Series of prices, cut up to the microsecond."""

from datetime import UTC, datetime, timedelta

import pytest

from aggregator.models.base import MAX_PRICE
from aggregator.services.price_series import Kind, Stretch, changes, microsecond, moment, price_at, stretches
from tests.evidence_prices import Case, make_series, write

pytestmark = pytest.mark.usefixtures("context")
MINUTE = 60_000_000  # microseconds
TINY = timedelta(microseconds=1)
ANY = 10_000  # changes


@pytest.fixture(params=Kind)
def kind(request) -> Kind:
    """Whose prices. What uses it holds for offers and for products."""
    return request.param


def at(hour: int, minute: int = 0, second: int = 0, microsecond: int = 0) -> datetime:
    """A moment of one afternoon."""
    return datetime(2026, 5, 4, hour, minute, second, microsecond, UTC)


def cut(series, *marks: datetime) -> list[Stretch]:
    return stretches(series, [microsecond(mark) for mark in marks])


def stretch(since, low, high, last, weighted, had, first_at, last_until) -> Stretch:
    return Stretch(microsecond(since), low, high, last, weighted, had, microsecond(first_at), microsecond(last_until))


def nothing(since: datetime) -> Stretch:
    return Stretch(microsecond(since), None, None, None, None, 0, None, None)


class TestMicrosecond:
    @pytest.mark.parametrize(
        ("when", "number"),
        [
            (datetime(1970, 1, 1, tzinfo=UTC), 0),
            (datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), -1),
            (datetime(2026, 5, 4, 12, 30, 15, 250_001, UTC), 1_777_897_815_250_001),
            (datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC), 253_402_300_799_999_999),
        ],
    )
    def test_a_moment_is_a_whole_number_and_back(self, when, number):
        assert microsecond(when) == number
        assert moment(number) == when


class TestStretches:
    def test_a_price_holds_until_the_next_point(self, kind):
        series = make_series(kind, (at(10), 100), (at(11), 200))

        assert cut(series, at(9), at(10, 30), at(12)) == [
            stretch(at(9), 100, 100, 100, 100 * 30 * MINUTE, 30 * MINUTE, at(10), at(10, 30)),
            stretch(at(10, 30), 100, 200, 200, (100 * 30 + 200 * 60) * MINUTE, 90 * MINUTE, at(10, 30), at(12)),
        ]

    def test_the_price_in_force_at_the_first_mark_may_be_an_old_one(self, kind):
        series = make_series(kind, (at(1), 300), (at(2), 100))

        assert cut(series, at(10), at(11), at(12)) == [
            stretch(at(10), 100, 100, 100, 100 * 60 * MINUTE, 60 * MINUTE, at(10), at(11)),
            stretch(at(11), 100, 100, 100, 100 * 60 * MINUTE, 60 * MINUTE, at(11), at(12)),
        ]

    def test_while_nothing_is_to_be_had_no_time_counts(self, kind):
        series = make_series(kind, (at(10), 100), (at(10, 10), None), (at(10, 40), 50), (at(10, 45), None))

        assert cut(series, at(10), at(11), at(12)) == [
            stretch(at(10), 50, 100, None, (100 * 10 + 50 * 5) * MINUTE, 15 * MINUTE, at(10), at(10, 45)),
            nothing(at(11)),
        ]

    def test_before_the_first_point_and_without_any_there_is_nothing(self, kind):
        assert cut(make_series(kind), at(10), at(11), at(12)) == [nothing(at(10)), nothing(at(11))]
        assert cut(make_series(kind, (at(13), 100)), at(10), at(12)) == [nothing(at(10))]

    def test_a_point_at_a_mark_belongs_to_what_follows(self, kind):
        series = make_series(kind, (at(10), 300), (at(11), 200), (at(12), 100))

        assert cut(series, at(10), at(11), at(12)) == [
            stretch(at(10), 300, 300, 300, 300 * 60 * MINUTE, 60 * MINUTE, at(10), at(11)),
            stretch(at(11), 200, 200, 200, 200 * 60 * MINUTE, 60 * MINUTE, at(11), at(12)),
        ]

    def test_a_price_of_0_is_a_price(self, kind):
        series = make_series(kind, (at(10), 0))

        assert cut(series, at(9), at(11)) == [stretch(at(9), 0, 0, 0, 0, 60 * MINUTE, at(10), at(11))]

    def test_points_a_microsecond_apart_are_apart(self, kind):
        points = [(at(10, 59, 59, 999_999), 5), (at(11), 7), (at(11, 0, 0, 1), None)]

        assert cut(make_series(kind, *points), at(10), at(11), at(12)) == [
            stretch(at(10), 5, 5, 5, 5, 1, at(10, 59, 59, 999_999), at(11)),
            stretch(at(11), 7, 7, None, 7, 1, at(11), at(11, 0, 0, 1)),
        ]

    @pytest.mark.parametrize("microseconds", [1, 499_999, 500_000, 999_499, 999_500, 999_999])
    def test_no_part_of_a_second_is_rounded(self, kind, microseconds):
        series = make_series(kind, (at(10, 0, 0, microseconds), 3))

        had = 60 * MINUTE - microseconds
        assert cut(series, at(10), at(11)) == [
            stretch(at(10), 3, 3, 3, 3 * had, had, at(10, 0, 0, microseconds), at(11))
        ]

    def test_the_highest_price_over_half_a_century_is_counted_exactly(self, kind):
        since, until = datetime(1976, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
        had = 18_263 * 86_400_000_000

        (found,) = cut(make_series(kind, (since, MAX_PRICE), (until - TINY, 1)), since, until)

        assert found == stretch(since, 1, MAX_PRICE, 1, MAX_PRICE * (had - 1) + 1, had, since, until)
        assert found.weighted > 2**90

    def test_thousands_of_marks_are_answered_in_their_order(self, kind):
        series = make_series(kind, (at(1), 9), (at(2), None), (at(3), 4))
        marks = [microsecond(at(1)) + number * 1_000_000 for number in range(10_001)]

        found = stretches(series, marks)

        assert [each.since for each in found] == marks[:-1]
        assert [each.last for each in found] == [9] * 3600 + [None] * 3600 + [4] * 2800
        assert [each.had for each in found] == [1_000_000] * 3600 + [0] * 3600 + [1_000_000] * 2800

    def test_the_points_of_others_are_not_counted(self, kind):
        others = [Case(which, ((at(10), 1, 1),), at(9), at(11)) for which in Kind for _ in range(3)]
        write(others[:2])
        series = make_series(kind, (at(10), 100))
        write(others)

        assert cut(series, at(10), at(11)) == [
            stretch(at(10), 100, 100, 100, 100 * 60 * MINUTE, 60 * MINUTE, at(10), at(11))
        ]


class TestChanges:
    def changes(self, series, since: datetime, until: datetime, limit: int = ANY) -> list[tuple[datetime, int | None]]:
        return [(moment(number), price) for number, price in changes(series, since, until, limit)]

    def test_begin_with_the_price_in_force(self, kind):
        series = make_series(kind, (at(8), 400), (at(9), 300), (at(11), 200))

        assert self.changes(series, at(10), at(12)) == [(at(10), 300), (at(11), 200)]

    def test_begin_with_nothing_where_nothing_was_to_be_had(self, kind):
        series = make_series(kind, (at(8), 400), (at(9), None), (at(11), 200))

        assert self.changes(series, at(10), at(12)) == [(at(10), None), (at(11), 200)]

    def test_begin_with_the_first_point_where_there_was_none_before(self, kind):
        assert self.changes(make_series(kind, (at(11), 200)), at(10), at(12)) == [(at(11), 200)]
        assert self.changes(make_series(kind, (at(11), None)), at(10), at(12)) == [(at(11), None)]
        assert self.changes(make_series(kind), at(10), at(12)) == []

    def test_are_told_once_where_a_price_comes_again(self, kind):
        points = [(at(8), 1), (at(9), 1), (at(11), 1), (at(12), 2), (at(13), 2), (at(14), None), (at(15), None)]

        found = self.changes(make_series(kind, *points, (at(16), 2)), at(10), at(17))

        assert found == [(at(10), 1), (at(12), 2), (at(14), None), (at(16), 2)]

    def test_include_since_and_exclude_until(self, kind):
        series = make_series(kind, (at(10), 1), (at(11), 2), (at(12), 3))

        assert self.changes(series, at(10), at(12)) == [(at(10), 1), (at(11), 2)]
        assert self.changes(series, at(10) - TINY, at(12) + TINY) == [(at(10), 1), (at(11), 2), (at(12), 3)]
        assert self.changes(series, at(10) + TINY, at(12) - TINY) == [(at(10) + TINY, 1), (at(11), 2)]

    @pytest.mark.parametrize("microseconds", [1, 500_000, 999_499, 999_500, 999_999])
    def test_are_told_to_the_microsecond(self, kind, microseconds):
        series = make_series(kind, (at(10, 0, 0, microseconds), 1), (at(10, 0, 1), 2))

        assert self.changes(series, at(9), at(11)) == [(at(10, 0, 0, microseconds), 1), (at(10, 0, 1), 2)]

    def test_are_no_more_than_the_limit_and_the_first_ones(self, kind):
        series = make_series(kind, *((at(10, minute), minute) for minute in range(60)))

        assert self.changes(series, at(10, 5), at(11), limit=3) == [(at(10, 5), 5), (at(10, 6), 6), (at(10, 7), 7)]

    def test_are_in_the_order_of_time_whatever_was_stored_first(self, kind):
        series = make_series(kind, (at(12), 3), (at(10), 1), (at(11), 2))

        assert self.changes(series, at(9), at(13)) == [(at(10), 1), (at(11), 2), (at(12), 3)]


class TestPriceAt:
    def test_is_the_last_one_asked_up_to_then(self, kind):
        series = make_series(kind, (at(10), 100), (at(11), 200), (at(12), None))

        found = [price_at(series, microsecond(when)) for when in (at(10), at(11) - TINY, at(11), at(12), at(20))]

        assert found == [100, 100, 200, 200, 200]

    def test_is_none_before_a_price_was_asked(self, kind):
        series = make_series(kind, (at(9), None), (at(10), 0))

        found = [price_at(series, microsecond(when)) for when in (at(8), at(9), at(10) - TINY, at(10))]

        assert found == [None, None, None, 0]
