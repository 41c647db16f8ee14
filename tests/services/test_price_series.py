"""Series of prices, cut up to the microsecond."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from aggregator.models.base import MAX_PRICE
from aggregator.services.price_series import (
    EPOCH,
    Stretch,
    changes,
    extreme,
    has_prices,
    histories,
    microsecond,
    moment,
    price_at,
    stretches,
)
from aggregator.services.price_tables import Kind
from aggregator.services.retention import Cuts
from tests.evidence_prices import Case, make_series, roll_up, write

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


def stretch(since, until, low, high, weighted, had, first, last) -> Stretch:
    """A stretch; first and last are a moment and a price."""
    ends = (microsecond(first[0]), first[1], microsecond(last[0]), last[1])
    return Stretch(microsecond(since), microsecond(until), low, high, weighted, had, *ends)


def nothing(since: datetime, until: datetime) -> Stretch:
    return Stretch(microsecond(since), microsecond(until), None, None, None, 0, None, None, None, None)


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

        weighted = (100 * 30 + 200 * 60) * MINUTE
        assert cut(series, at(9), at(10, 30), at(12)) == [
            stretch(at(9), at(10, 30), 100, 100, 3000 * MINUTE, 30 * MINUTE, (at(10), 100), (at(10, 30), 100)),
            stretch(at(10, 30), at(12), 100, 200, weighted, 90 * MINUTE, (at(10, 30), 100), (at(12), 200)),
        ]

    def test_the_price_in_force_at_the_first_mark_may_be_an_old_one(self, kind):
        series = make_series(kind, (at(1), 300), (at(2), 100))

        assert cut(series, at(10), at(11), at(12)) == [
            stretch(at(10), at(11), 100, 100, 6000 * MINUTE, 60 * MINUTE, (at(10), 100), (at(11), 100)),
            stretch(at(11), at(12), 100, 100, 6000 * MINUTE, 60 * MINUTE, (at(11), 100), (at(12), 100)),
        ]

    def test_while_nothing_is_to_be_had_no_time_counts(self, kind):
        series = make_series(kind, (at(10), 100), (at(10, 10), None), (at(10, 40), 50), (at(10, 45), None))

        found = cut(series, at(10), at(11), at(12))

        assert found == [
            stretch(at(10), at(11), 50, 100, 1250 * MINUTE, 15 * MINUTE, (at(10), 100), (at(10, 45), 50)),
            nothing(at(11), at(12)),
        ]
        assert [each.begins_with for each in found] == [100, None]
        assert [each.last for each in found] == [None, None]

    def test_before_the_first_point_and_without_any_there_is_nothing(self, kind):
        assert cut(make_series(kind), at(10), at(11), at(12)) == [nothing(at(10), at(11)), nothing(at(11), at(12))]
        assert cut(make_series(kind, (at(13), 100)), at(10), at(12)) == [nothing(at(10), at(12))]

    def test_a_point_at_a_mark_belongs_to_what_follows(self, kind):
        series = make_series(kind, (at(10), 300), (at(11), 200), (at(12), 100))

        assert cut(series, at(10), at(11), at(12)) == [
            stretch(at(10), at(11), 300, 300, 18_000 * MINUTE, 60 * MINUTE, (at(10), 300), (at(11), 300)),
            stretch(at(11), at(12), 200, 200, 12_000 * MINUTE, 60 * MINUTE, (at(11), 200), (at(12), 200)),
        ]

    def test_a_price_of_0_is_a_price(self, kind):
        series = make_series(kind, (at(10), 0))

        assert cut(series, at(9), at(11)) == [
            stretch(at(9), at(11), 0, 0, 0, 60 * MINUTE, (at(10), 0), (at(11), 0)),
        ]

    def test_points_a_microsecond_apart_are_apart(self, kind):
        points = [(at(10, 59, 59, 999_999), 5), (at(11), 7), (at(11, 0, 0, 1), None)]

        assert cut(make_series(kind, *points), at(10), at(11), at(12)) == [
            stretch(at(10), at(11), 5, 5, 5, 1, (at(10, 59, 59, 999_999), 5), (at(11), 5)),
            stretch(at(11), at(12), 7, 7, 7, 1, (at(11), 7), (at(11, 0, 0, 1), 7)),
        ]

    @pytest.mark.parametrize("microseconds", [1, 499_999, 500_000, 999_499, 999_500, 999_999])
    def test_no_part_of_a_second_is_rounded(self, kind, microseconds):
        series = make_series(kind, (at(10, 0, 0, microseconds), 3))

        had = 60 * MINUTE - microseconds
        assert cut(series, at(10), at(11)) == [
            stretch(at(10), at(11), 3, 3, 3 * had, had, (at(10, 0, 0, microseconds), 3), (at(11), 3))
        ]

    def test_the_highest_price_over_half_a_century_is_counted_exactly(self, kind):
        since, until = datetime(1976, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
        had = 18_263 * 86_400_000_000

        (found,) = cut(make_series(kind, (since, MAX_PRICE), (until - TINY, 1)), since, until)

        weighted = MAX_PRICE * (had - 1) + 1
        assert found == stretch(since, until, 1, MAX_PRICE, weighted, had, (since, MAX_PRICE), (until, 1))
        assert found.weighted > 2**90

    def test_the_first_and_the_last_price_are_told_whatever_is_in_between(self, kind):
        series = make_series(kind, (at(10), MAX_PRICE), (at(10, 20), 0), (at(10, 40), MAX_PRICE - 1))

        (found,) = cut(series, at(9), at(11))

        assert (found.first_price, found.last_price, found.low) == (MAX_PRICE, MAX_PRICE - 1, 0)

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
            stretch(at(10), at(11), 100, 100, 6000 * MINUTE, 60 * MINUTE, (at(10), 100), (at(11), 100))
        ]


class TestStretchesOfWhatIsRolledUp:
    """The points of ten and eleven o'clock have become hours; those of noon are points."""

    @pytest.fixture
    def series(self, kind):
        walk = [(at(8, 30), 500), (at(10, 10), 100), (at(10, 20), 300), (at(11, 30), 200), (at(12, 15), 400)]
        series = make_series(kind, *walk)
        roll_up(series, Cuts(at(12), at(0)))
        return series

    def lengths(self, found: list[Stretch]) -> list[tuple[datetime, datetime]]:
        return [(moment(each.since), moment(each.until)) for each in found]

    def test_are_the_same_as_those_of_the_points_where_no_mark_lies_inside(self, series):
        found = cut(series, at(8), at(9, 17), at(10), at(12), at(12, 30))

        ten_and_eleven = (500 * 10 + 100 * 10 + 300 * 70 + 200 * 30) * MINUTE
        noon = (200 * 15 + 400 * 15) * MINUTE
        assert found == [
            stretch(at(8), at(9, 17), 500, 500, 23_500 * MINUTE, 47 * MINUTE, (at(8, 30), 500), (at(9, 17), 500)),
            stretch(at(9, 17), at(10), 500, 500, 21_500 * MINUTE, 43 * MINUTE, (at(9, 17), 500), (at(10), 500)),
            stretch(at(10), at(12), 100, 500, ten_and_eleven, 120 * MINUTE, (at(10), 500), (at(12), 200)),
            stretch(at(12), at(12, 30), 200, 400, noon, 30 * MINUTE, (at(12), 200), (at(12, 30), 400)),
        ]

    def test_begin_and_end_with_all_of_an_hour(self, series):
        assert self.lengths(cut(series, at(10, 30), at(10, 31))) == [(at(10), at(11))]
        assert self.lengths(cut(series, at(11, 59), at(12, 1))) == [(at(11), at(12, 1))]
        assert self.lengths(cut(series, at(9), at(11, 30))) == [(at(9), at(12))]

    def test_leave_out_the_marks_inside_of_an_hour(self, series):
        marks = (at(9), at(9, 30), at(10, 30), at(11), at(11, 30), at(12, 30), at(13))

        assert self.lengths(cut(series, *marks)) == [
            (at(9), at(9, 30)),
            (at(9, 30), at(11)),
            (at(11), at(12, 30)),
            (at(12, 30), at(13)),
        ]

    def test_end_before_there_is_anything(self, series):
        assert cut(series, at(6), at(7)) == [nothing(at(6), at(7))]

    def test_go_on_between_two_hours_with_the_price_at_the_end_of_the_first(self, series):
        (found,) = cut(series, at(9, 10), at(9, 40))

        assert found == stretch(
            at(9, 10), at(9, 40), 500, 500, 15_000 * MINUTE, 30 * MINUTE, (at(9, 10), 500), (at(9, 40), 500)
        )

    def test_may_come_after_all_that_there_is(self, series):
        assert [(each.low, each.last) for each in cut(series, at(20), at(21))] == [(400, 400)]


class TestStretch:
    def test_two_add_up_to_one(self):
        early = stretch(at(9), at(10), 5, 9, 700, 100, (at(9, 10), 9), (at(9, 50), 5))
        late = stretch(at(10), at(11), 3, 4, 300, 80, (at(10), 3), (at(11), 4))

        assert early.followed_by(late) == stretch(at(9), at(11), 3, 9, 1000, 180, (at(9, 10), 9), (at(11), 4))

    def test_nothing_adds_only_its_time(self):
        something = stretch(at(9), at(10), 0, 9, 700, 100, (at(9, 10), 9), (at(10), 0))

        found = something.followed_by(nothing(at(10), at(11)))
        assert (found, found.last) == (something._replace(until=microsecond(at(11))), None)
        assert nothing(at(8), at(9)).followed_by(something) == something._replace(since=microsecond(at(8)))


class TestChanges:
    def changes(self, series, since: datetime, until: datetime, limit: int = ANY) -> list[tuple[datetime, int | None]]:
        return [(moment(number), price) for number, price in changes(series, since, until, limit).points]

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


class TestChangesOfWhatIsRolledUp:
    @pytest.fixture
    def series(self, kind):
        walk = [(at(10, 10), None), (at(10, 20), 300), (at(10, 30), 100), (at(11, 30), 200), (at(11, 40), None)]
        series = make_series(kind, *walk, (at(13), 200), (at(14), 700))
        roll_up(series, Cuts(at(13), at(0)))
        return series

    def told(self, series, since: datetime, until: datetime) -> tuple:
        found = changes(series, since, until, ANY)
        points = [(moment(number), price) for number, price in found.points]
        return moment(found.since), moment(found.until), points

    def test_are_those_that_are_known(self, series):
        known = [(at(10), None), (at(10, 20), 300), (at(11), 100), (at(11, 40), None), (at(13), 200), (at(14), 700)]

        assert self.told(series, at(9), at(15)) == (at(9), at(15), known)

    def test_are_of_all_of_an_hour(self, series):
        assert self.told(series, at(10, 25), at(10, 26)) == (at(10), at(11), [(at(10), None), (at(10, 20), 300)])
        assert self.told(series, at(11, 45), at(14, 30)) == (
            at(11),
            at(14, 30),
            [(at(11), 100), (at(11, 40), None), (at(13), 200), (at(14), 700)],
        )

    def test_begin_with_the_price_in_force(self, series):
        assert self.told(series, at(12, 30), at(13, 30)) == (
            at(12, 30),
            at(13, 30),
            [(at(12, 30), None), (at(13), 200)],
        )

    def test_are_none_before_there_is_anything(self, series):
        assert self.told(series, at(8), at(9)) == (at(8), at(9), [])

    def test_are_no_more_than_the_limit(self, series):
        assert len(changes(series, at(9), at(15), 4).points) == 4


class TestHistories:
    def test_are_all_changes_of_each_product(self):
        walk = [(at(10, 10), None), (at(10, 20), 300), (at(10, 30), 100), (at(11, 30), 200), (at(11, 40), None)]
        made = {
            "rolled up in part": make_series(Kind.PRODUCT, *walk, (at(13), 200), (at(14), 700)),
            "rolled up as a whole": make_series(Kind.PRODUCT, *walk),
            "rolled up with a gap": make_series(Kind.PRODUCT, (at(8, 30), 5), (at(11, 30), 6), (at(12, 30), 6)),
            "not rolled up": make_series(Kind.PRODUCT, (at(13), 1), (at(14), 2), (at(14, 1), 2), (at(15), None)),
            "later": make_series(Kind.PRODUCT, (at(17), 1)),
            "empty": make_series(Kind.PRODUCT),
        }
        for series in made.values():
            roll_up(series, Cuts(at(13), at(0)))

        found = histories([UUID(str(series.key)) for series in made.values()], at(16))

        known = {name: found[UUID(str(series.key))] for name, series in made.items()}
        assert known == {name: changes(series, EPOCH, at(16), ANY).points for name, series in made.items()}
        assert known["rolled up in part"] == [
            (microsecond(when), price)
            for when, price in [
                (at(10), None),
                (at(10, 20), 300),
                (at(11), 100),
                (at(11, 40), None),
                (at(13), 200),
                (at(14), 700),
            ]
        ]
        assert known["not rolled up"] == [
            (microsecond(at(13)), 1),
            (microsecond(at(14)), 2),
            (microsecond(at(15)), None),
        ]
        assert known["later"] == known["empty"] == []


class TestPriceAt:
    def test_is_the_price_in_force(self, kind):
        series = make_series(kind, (at(10), 100), (at(11), 200), (at(12), None))

        found = [price_at(series, microsecond(when)) for when in (at(10), at(11) - TINY, at(11), at(12), at(20))]

        assert found == [100, 100, 200, None, None]

    def test_is_none_before_a_price_was_asked(self, kind):
        series = make_series(kind, (at(9), None), (at(10), 0))

        found = [price_at(series, microsecond(when)) for when in (at(8), at(9), at(10) - TINY, at(10))]

        assert found == [None, None, None, 0]

    def test_is_that_of_the_beginning_inside_of_an_hour_that_was_rolled_up(self, kind):
        series = make_series(kind, (at(9), 100), (at(11, 30), 200), (at(14, 30), 300))
        roll_up(series, Cuts(at(13), at(0)))

        found = [price_at(series, microsecond(at(hour, 45))) for hour in (8, 9, 10, 11, 12, 13, 14)]

        assert found == [None, 100, 100, 100, 200, 200, 300]


class TestHasPrices:
    @pytest.mark.parametrize("is_rolled_up", [False, True])
    def test_from_the_first_price_on(self, kind, is_rolled_up):
        series = make_series(kind, (at(9), None), (at(10), 0), (at(11), None), (at(14), 5))
        if is_rolled_up:
            roll_up(series, Cuts(at(13), at(0)))

        found = [has_prices(series, microsecond(when)) for when in (at(8), at(9), at(10) - TINY, at(10), at(12))]

        assert found == [False, False, False, True, True]


class TestExtreme:
    WALK = ((8, 300), (9, 100), (10, None), (11, 500), (12, 100), (13, 500), (14, 400))

    def told(self, series, *ends: datetime) -> list[tuple | None]:
        both = [extreme(series, *map(microsecond, ends), highest=highest) for highest in (False, True)]
        return [found and (moment(found[0]), found[1]) for found in both]

    def test_is_the_first_of_several(self, kind):
        series = make_series(kind, *((at(hour), price) for hour, price in self.WALK))

        assert self.told(series, at(7), at(20)) == [(at(9), 100), (at(11), 500)]
        assert self.told(series, at(11), at(12) + TINY) == [(at(12), 100), (at(12), 100)]
        assert self.told(series, at(9), at(11)) == [None, None]

    def test_is_asked_from_the_beginning_of_an_hour_that_was_rolled_up(self, kind):
        series = make_series(kind, *((at(hour, 20), price) for hour, price in self.WALK))
        roll_up(series, Cuts(at(12), at(0)))

        assert self.told(series, at(7), at(20)) == [(at(9), 100), (at(11), 500)]
        assert self.told(series, at(11, 40), at(20)) == [(at(12, 20), 100), (at(11), 500)]
        assert self.told(series, at(12), at(20)) == [(at(12, 20), 100), (at(13, 20), 500)]
