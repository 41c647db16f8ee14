"""What history and trend say about the prices of a period, to the last digit."""

import json
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.errors import Invalid
from aggregator.models.base import MAX_PRICE
from aggregator.services import retention
from aggregator.services.price_reads import MAX_POINTS, Interval, Period, history, percent, period, trend
from aggregator.services.price_tables import Kind
from aggregator.services.retention import Cuts
from tests.evidence_prices import Case, answered, cases, expected, make_series, roll_up, write

TINY, HOUR, DAY = timedelta(microseconds=1), timedelta(hours=1), timedelta(days=1)
TOO_MANY = {"query": {"interval": ["More than 10000 points: ask for a shorter period or a longer interval."]}}
NOTHING = {"min": None, "avg": None, "max": None, "last": None}


@pytest.fixture(params=Kind)
def kind(request) -> Kind:
    """Whose prices. What uses it holds for offers and for products."""
    return request.param


def at(hour: int, minute: int = 0, second: int = 0, microsecond: int = 0, day: int = 4) -> datetime:
    """A moment in May 2026."""
    return datetime(2026, 5, day, hour, minute, second, microsecond, UTC)


def text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def raw(series, since: datetime, until: datetime) -> list[tuple[str, int | None]]:
    points = json.loads(history(series, Period(since, until), Interval.RAW))["points"]
    return [(point["at"], point["price"]) for point in points]


def hours(series, since: datetime, until: datetime) -> list[dict]:
    return json.loads(history(series, Period(since, until), Interval.HOUR))["points"]


def days(series, since: datetime, until: datetime) -> list[dict]:
    return json.loads(history(series, Period(since, until), Interval.DAY))["points"]


def trend_of(series, since: datetime, until: datetime) -> dict:
    return json.loads(trend(series, Period(since, until)))


def bucket(moment: datetime, low: int, average: float, high: int, last: int | None) -> dict:
    return {"at": text(moment), "min": low, "avg": average, "max": high, "last": last}


class TestPeriod:
    def test_is_the_last_30_days_unless_told_otherwise(self, now):
        assert period(now) == Period(now - 30 * DAY, now)

    def test_begins_30_days_before_its_end_unless_told_otherwise(self, now):
        assert period(now, until=now - 5 * DAY) == Period(now - 35 * DAY, now - 5 * DAY)

    def test_ends_now_unless_told_otherwise(self, now):
        assert period(now, since=now - 400 * DAY) == Period(now - 400 * DAY, now)

    def test_is_what_one_says_it_is(self, now):
        assert period(now, now - 2 * DAY, now - DAY) == Period(now - 2 * DAY, now - DAY)
        assert period(now, now - DAY, now - DAY + TINY) == Period(now - DAY, now - DAY + TINY)

    def test_never_ends_later_than_now(self, now):
        assert period(now, now - DAY, now + DAY) == Period(now - DAY, now)
        assert period(now, until=now + DAY) == Period(now - 30 * DAY, now)

    @pytest.mark.parametrize(
        ("since", "until"), [(-1, -1), (-1, -2), (0, None), (1, None), (1, 2), (0, 1)], ids=lambda days: f"{days} days"
    )
    def test_that_has_no_length_is_invalid(self, now, since, until):
        with pytest.raises(Invalid) as refusal:
            period(now, now + since * DAY, None if until is None else now + until * DAY)

        assert refusal.value.extra == {"errors": {"query": {"since": ["Must be before until, and in the past."]}}}


@pytest.mark.usefixtures("context")
class TestRawHistory:
    def test_is_json_with_moments_in_utc_to_the_microsecond(self, kind):
        series = make_series(kind, (at(9), 300), (at(11, 0, 0, 50), None))

        assert history(series, Period(at(10), at(12)), Interval.RAW) == (
            '{"interval":"raw","since":"2026-05-04T10:00:00.000000Z","until":"2026-05-04T12:00:00.000000Z",'
            '"points":[{"at":"2026-05-04T10:00:00.000000Z","price":300},'
            '{"at":"2026-05-04T11:00:00.000050Z","price":null}]}'
        )

    def test_begins_with_the_price_in_force_and_tells_each_change(self, kind):
        series = make_series(kind, (at(8), 400), (at(9), 300), (at(10, 30), 200), (at(11), 500), (at(12), 100))

        assert raw(series, at(10), at(12)) == [(text(at(10)), 300), (text(at(10, 30)), 200), (text(at(11)), 500)]

    def test_begins_with_a_gap_where_nothing_was_to_be_had(self, kind):
        series = make_series(kind, (at(8), 400), (at(9), None), (at(11), 500))

        assert raw(series, at(10), at(12)) == [(text(at(10)), None), (text(at(11)), 500)]

    def test_begins_with_the_first_point_where_there_was_none_before(self, kind):
        series = make_series(kind, (at(11), 500))

        assert raw(series, at(10), at(12)) == [(text(at(11)), 500)]

    def test_tells_a_price_that_comes_again_once(self, kind):
        points = [(at(9), 300), (at(10, 10), 300), (at(10, 20), None), (at(10, 30), None), (at(10, 40), 300)]

        assert raw(make_series(kind, *points), at(10), at(11)) == [
            (text(at(10)), 300),
            (text(at(10, 20)), None),
            (text(at(10, 40)), 300),
        ]

    def test_of_a_product_tells_no_change_where_only_the_number_of_offers_does(self):
        points = ((at(9), 300, 1), (at(10, 10), 300, 2), (at(10, 20), None, 0), (at(10, 30), None, 2))
        (series,) = write([Case(Kind.PRODUCT, points, at(9), at(11))])

        assert raw(series, at(9), at(11)) == [(text(at(9)), 300), (text(at(10, 20)), None)]

    def test_is_empty_before_the_first_point_and_without_any(self, kind):
        assert raw(make_series(kind), at(10), at(12)) == []
        assert raw(make_series(kind, (at(12), 1), (at(13), 2)), at(10), at(12)) == []

    def test_is_the_price_in_force_after_the_last_point(self, kind):
        assert raw(make_series(kind, (at(8), 1), (at(9), 2)), at(10), at(12)) == [(text(at(10)), 2)]

    @pytest.mark.parametrize("microseconds", [1, 500_000, 999_499, 999_500, 999_999])
    def test_tells_moments_exactly(self, kind, microseconds):
        series = make_series(kind, (at(10, 59, 59, microseconds), 1))

        assert raw(series, at(10), at(12)) == [(f"2026-05-04T10:59:59.{microseconds:06}Z", 1)]

    def test_of_as_many_points_as_there_may_be_is_told(self, kind):
        series = make_series(kind, *((at(10) + number * TINY, number) for number in range(MAX_POINTS + 1)))

        points = raw(series, at(10) + TINY, at(11))

        assert len(points) == MAX_POINTS
        assert points[-1] == ("2026-05-04T10:00:00.010000Z", 10_000)

    def test_of_more_points_is_invalid(self, kind):
        series = make_series(kind, *((at(10) + number * TINY, number) for number in range(MAX_POINTS + 1)))

        with pytest.raises(Invalid) as refusal:
            raw(series, at(10), at(11))

        assert refusal.value.extra == {"errors": TOO_MANY}

    def test_counts_only_changes(self, kind):
        series = make_series(kind, *((at(10) + number * TINY, number // 2) for number in range(2 * MAX_POINTS)))

        assert len(raw(series, at(10), at(11))) == MAX_POINTS


@pytest.mark.usefixtures("context")
class TestHistoryByHoursAndDays:
    def test_is_json_with_whole_prices_and_an_average(self, kind):
        series = make_series(kind, (at(9), 300), (at(10, 30), 400))

        assert history(series, Period(at(10), at(11)), Interval.HOUR) == (
            '{"interval":"hour","since":"2026-05-04T10:00:00.000000Z","until":"2026-05-04T11:00:00.000000Z","points":'
            '[{"at":"2026-05-04T10:00:00.000000Z","min":300,"avg":350.0,"max":400,"last":400}]}'
        )

    def test_an_hour_has_its_lowest_highest_last_and_average_price_weighted_by_time(self, kind):
        series = make_series(kind, (at(9), 100), (at(10, 15), 400), (at(10, 45), 200), (at(12), 7))

        assert hours(series, at(10), at(12)) == [
            bucket(at(10), 100, 275.0, 400, 200),
            bucket(at(11), 200, 200.0, 200, 200),
        ]

    def test_a_day_begins_at_midnight_utc(self, kind):
        series = make_series(kind, (at(6, day=4), 100), (at(12, day=5), 300), (at(0, day=6), 500))

        assert days(series, at(0, day=4), at(0, day=7)) == [
            bucket(at(0, day=4), 100, 100.0, 100, 100),
            bucket(at(0, day=5), 100, 200.0, 300, 300),
            bucket(at(0, day=6), 500, 500.0, 500, 500),
        ]

    def test_hours_and_days_are_clipped_to_the_period_and_named_by_their_beginning(self, kind):
        series = make_series(kind, (at(9), 100), (at(10, 15), 200), (at(10, 45), 400), (at(11, 30), 800))

        assert hours(series, at(10, 30), at(11, 15)) == [
            bucket(at(10), 200, 300.0, 400, 400),
            bucket(at(11), 400, 400.0, 400, 400),
        ]
        assert days(series, at(10, 30), at(11, 15)) == [bucket(at(0), 200, 333.33, 400, 400)]

    def test_only_the_time_in_which_something_was_to_be_had_counts(self, kind):
        series = make_series(kind, (at(10), 100), (at(10, 10), None), (at(10, 30), 400), (at(10, 35), None))

        assert hours(series, at(10), at(11)) == [bucket(at(10), 100, 200.0, 400, None)]

    def test_an_hour_wholly_in_a_gap_has_nothing(self, kind):
        series = make_series(kind, (at(10), 100), (at(10, 30), None), (at(12, 30), 200))

        assert hours(series, at(10), at(13)) == [
            bucket(at(10), 100, 100.0, 100, None),
            {"at": text(at(11)), **NOTHING},
            bucket(at(12), 200, 200.0, 200, 200),
        ]

    def test_a_period_may_begin_with_hours_in_a_gap(self, kind):
        series = make_series(kind, (at(8), 100), (at(9), None), (at(11, 30), 200))

        assert hours(series, at(10), at(12)) == [
            {"at": text(at(10)), **NOTHING},
            bucket(at(11), 200, 200.0, 200, 200),
        ]

    def test_a_period_wholly_in_a_gap_has_hours_with_nothing(self, kind):
        series = make_series(kind, (at(8), 100), (at(9), None))

        assert hours(series, at(10), at(12)) == [{"at": text(at(10)), **NOTHING}, {"at": text(at(11)), **NOTHING}]

    @pytest.mark.parametrize("points", [[], [(9, None)]], ids=["no point", "a point of nothing"])
    def test_hours_before_the_first_price_are_left_out(self, kind, points):
        series = make_series(kind, *((at(hour), price) for hour, price in points), (at(11, 30), 200))

        assert hours(series, at(8), at(12)) == [bucket(at(11), 200, 200.0, 200, 200)]

    def test_without_a_price_there_are_no_hours(self, kind):
        assert hours(make_series(kind), at(10), at(12)) == []
        assert hours(make_series(kind, (at(9), None), (at(12), 1)), at(10), at(12)) == []

    def test_a_point_on_a_full_hour_belongs_to_the_hour_it_begins(self, kind):
        series = make_series(kind, (at(10), 100), (at(11), 200), (at(12), 300))

        assert hours(series, at(10), at(12)) == [
            bucket(at(10), 100, 100.0, 100, 100),
            bucket(at(11), 200, 200.0, 200, 200),
        ]

    def test_a_point_a_microsecond_before_a_full_hour_belongs_to_the_hour_it_ends(self, kind):
        series = make_series(kind, (at(10), 100), (at(11) - TINY, 200))

        assert hours(series, at(10), at(12)) == [
            bucket(at(10), 100, 100.0, 200, 200),
            bucket(at(11), 200, 200.0, 200, 200),
        ]

    @pytest.mark.parametrize(
        ("minutes", "average"),
        [((1, 199), 100.01), ((1, 200), 100.0), ((3, 197), 100.02), ((1, 2), 100.33), ((2, 1), 100.67)],
        ids=lambda value: str(value),
    )
    def test_averages_are_rounded_half_up_to_two_decimals(self, kind, minutes, average):
        high, low = (timedelta(minutes=number) for number in minutes)
        series = make_series(kind, (at(10), 101), (at(10) + high, 100), (at(10) + high + low, None))

        assert [day["avg"] for day in days(series, at(10), at(20))] == [average]

    def test_a_price_of_0_is_a_price(self, kind):
        series = make_series(kind, (at(10), 0), (at(10, 15), 100))

        assert hours(series, at(10), at(11)) == [bucket(at(10), 0, 75.0, 100, 100)]

    @pytest.mark.parametrize(
        ("interval", "length"), [(Interval.HOUR, HOUR), (Interval.DAY, DAY)], ids=["hours", "days"]
    )
    def test_of_as_many_points_as_there_may_be_are_told(self, kind, interval, length):
        until = at(0)
        series = make_series(kind, (datetime(1990, 1, 1, tzinfo=UTC), 5))

        points = json.loads(history(series, Period(until - MAX_POINTS * length, until), interval))["points"]

        assert [point["at"] for point in points] == [
            text(until - number * length) for number in range(MAX_POINTS, 0, -1)
        ]
        assert {(point["min"], point["avg"], point["max"], point["last"]) for point in points} == {(5, 5.0, 5, 5)}

    @pytest.mark.parametrize(
        ("interval", "length"), [(Interval.HOUR, HOUR), (Interval.DAY, DAY)], ids=["hours", "days"]
    )
    @pytest.mark.parametrize(
        ("earlier", "later"),
        [
            pytest.param(TINY, 0 * TINY, id="one begins earlier"),
            pytest.param(0 * TINY, TINY, id="one ends later"),
            pytest.param(TINY, -TINY, id="of the first and the last only a part"),
            pytest.param(DAY, 0 * TINY, id="a day more"),
        ],
    )
    def test_of_more_points_are_invalid(self, kind, interval, length, earlier, later):
        series = make_series(kind, (datetime(1990, 1, 1, tzinfo=UTC), 5))
        asked = Period(at(0) - MAX_POINTS * length - earlier, at(0) + later)

        with pytest.raises(Invalid) as refusal:
            history(series, asked, interval)

        assert refusal.value.extra == {"errors": TOO_MANY}


@pytest.mark.usefixtures("context")
class TestTrend:
    def test_goes_from_the_first_price_of_the_period_to_the_last_one(self, kind):
        series = make_series(kind, (at(9), 200), (at(10, 15), 150), (at(10, 45), 250), (at(11), 999))

        assert trend(series, Period(at(10), at(11))) == (
            '{"since":"2026-05-04T10:00:00.000000Z","until":"2026-05-04T11:00:00.000000Z",'
            '"first":{"at":"2026-05-04T10:00:00.000000Z","price":200},'
            '"last":{"at":"2026-05-04T11:00:00.000000Z","price":250},'
            '"change":50,"change_percent":25.0,"direction":"up","min":150,"max":250,"average":187.5,'
            '"enough_data":true}'
        )

    def test_of_a_day_without_a_point_is_flat(self, kind):
        series = make_series(kind, (at(9, day=1), 200))

        assert trend_of(series, at(0, day=3), at(0, day=4)) == {
            "since": text(at(0, day=3)),
            "until": text(at(0, day=4)),
            "first": {"at": text(at(0, day=3)), "price": 200},
            "last": {"at": text(at(0, day=4)), "price": 200},
            "change": 0,
            "change_percent": 0.0,
            "direction": "flat",
            "min": 200,
            "max": 200,
            "average": 200.0,
            "enough_data": True,
        }

    def test_goes_from_when_the_first_price_was_asked_until_the_last_one_was_asked_no_more(self, kind):
        points = [(at(9), None), (at(10, 10), 300), (at(10, 20), None), (at(10, 30), 200), (at(10, 40), None)]

        found = trend_of(make_series(kind, *points), at(10), at(11))

        assert found["first"] == {"at": text(at(10, 10)), "price": 300}
        assert found["last"] == {"at": text(at(10, 40)), "price": 200}
        assert (found["change"], found["change_percent"], found["direction"]) == (-100, -33.33, "down")
        assert (found["min"], found["max"], found["average"]) == (200, 300, 250.0)

    def test_a_price_that_ends_as_the_period_begins_is_none_of_it(self, kind):
        series = make_series(kind, (at(9), 300), (at(10), None), (at(10, 30), 100))

        found = trend_of(series, at(10), at(11))

        assert found["first"] == {"at": text(at(10, 30)), "price": 100}
        assert (found["min"], found["max"], found["average"], found["change"]) == (100, 100, 100.0, 0)

    def test_a_price_that_begins_as_the_period_ends_is_none_of_it(self, kind):
        series = make_series(kind, (at(9), 300), (at(10, 30), None), (at(11), 100))

        found = trend_of(series, at(10), at(11))

        assert found["last"] == {"at": text(at(10, 30)), "price": 300}
        assert (found["min"], found["max"], found["average"], found["change"]) == (300, 300, 300.0, 0)

    @pytest.mark.parametrize("points", [[], [(9, None)], [(9, 5), (10, None)], [(11, 5)]], ids=str)
    def test_where_nothing_was_to_be_had_there_is_none(self, kind, points):
        series = make_series(kind, *((at(hour), price) for hour, price in points))

        assert trend_of(series, at(10), at(11)) == {
            "since": text(at(10)),
            "until": text(at(11)),
            "first": None,
            "last": None,
            "change": None,
            "change_percent": None,
            "direction": None,
            "min": None,
            "max": None,
            "average": None,
            "enough_data": False,
        }

    @pytest.mark.parametrize(("last", "direction"), [(5, "up"), (0, "flat")])
    def test_from_a_price_of_0_has_no_percentage(self, kind, last, direction):
        found = trend_of(make_series(kind, (at(9), 0), (at(10, 30), last)), at(10), at(11))

        assert (found["change"], found["change_percent"], found["direction"]) == (last, None, direction)
        assert (found["min"], found["enough_data"]) == (0, True)

    def test_to_a_price_of_0_is_a_fall_of_100_percent(self, kind):
        found = trend_of(make_series(kind, (at(9), 30), (at(10, 30), 0)), at(10), at(11))

        assert (found["change"], found["change_percent"], found["direction"]) == (-30, -100.0, "down")

    def test_of_a_microsecond_is_exact(self, kind):
        series = make_series(kind, (at(10), 1), (at(10) + TINY, 2), (at(10) + 2 * TINY, 3))

        found = trend_of(series, at(10) + TINY, at(10) + 2 * TINY)

        assert found["first"] == {"at": "2026-05-04T10:00:00.000001Z", "price": 2}
        assert found["last"] == {"at": "2026-05-04T10:00:00.000002Z", "price": 2}
        assert (found["min"], found["max"], found["average"]) == (2, 2, 2.0)

    def test_averages_the_highest_prices_over_half_a_century(self, kind):
        since, until = datetime(1976, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
        middle = since + (until - since) / 2
        series = make_series(kind, (since, MAX_PRICE), (middle, MAX_PRICE - 1))

        found = trend_of(series, since, until)

        assert (found["average"], found["change"], found["change_percent"]) == (999_999_999_999.5, -1, 0.0)

    def test_an_average_a_hair_below_a_half_is_rounded_down(self, kind):
        # The higher price is asked for a little less than one part in 200: it adds 0.005 - 0.0000000000000000025.
        moments = 10**13
        since = datetime(1960, 1, 1, tzinfo=UTC)
        until = since + (200 * moments + 1) * TINY
        series = make_series(kind, (since, MAX_PRICE - 1), (until - moments * TINY, MAX_PRICE))

        assert trend_of(series, since, until)["average"] == 999_999_999_999.0

    def test_may_be_asked_of_a_period_that_is_too_long_for_a_history(self, kind):
        series = make_series(kind, *((at(10) + number * TINY, number) for number in range(MAX_POINTS + 1)))

        found = trend_of(series, datetime(1971, 1, 1, tzinfo=UTC), at(11))

        assert (found["first"]["price"], found["last"]["price"], found["max"]) == (0, MAX_POINTS, MAX_POINTS)


class TestPercent:
    @pytest.mark.parametrize(
        ("change", "base", "expected"),
        [
            (50, 200, 25.0),
            (-50, 200, -25.0),
            (0, 7, 0.0),
            (1, 3, 33.33),
            (2, 3, 66.67),
            (1, 20_000, 0.01),  # 0.005, a half
            (-1, 20_000, -0.01),
            (1, 20_001, 0.0),
            (MAX_PRICE - 1, 1, 99_999_999_999_900.0),
            (MAX_PRICE - 3, 3, 33_333_333_333_233.33),
            (-1, MAX_PRICE, 0.0),
        ],
    )
    def test_is_rounded_half_up_to_two_decimals(self, change, base, expected):
        assert percent(change, base) == expected

    @pytest.mark.parametrize("change", [0, 5])
    def test_there_is_none_of_0(self, change):
        assert percent(change, 0) is None


@pytest.mark.usefixtures("context")
class TestOfWhatIsRolledUp:
    """The points of the 1st and 2nd have become days, those of the 3rd hours, and those of the 4th are points."""

    @pytest.fixture
    def series(self, kind):
        walk = [(at(6, day=1), 100), (at(18, day=1), 200), (at(12, day=2), 400)]
        series = make_series(kind, *walk, (at(9, 30, day=3), 300), (at(9, 45, day=3), 600), (at(0), 500))
        roll_up(series, Cuts(at(0), at(0, day=3)))
        return series

    def test_an_hourly_history_tells_days_where_there_are_only_days(self, series):
        told = json.loads(history(series, Period(at(12, day=1), at(2)), Interval.HOUR))

        assert (told["since"], told["until"]) == (text(at(0, day=1)), text(at(2)))
        # The 1st, the 2nd, all hours of the 3rd, and two of the 4th.
        assert told["points"][:2] == [
            bucket(at(0, day=1), 100, 133.33, 200, 200),
            bucket(at(0, day=2), 200, 300.0, 400, 400),
        ]
        assert [point["at"] for point in told["points"][2:]] == [text(at(0, day=3) + n * HOUR) for n in range(26)]
        assert told["points"][2 + 9] == bucket(at(9, day=3), 300, 425.0, 600, 600)

    def test_a_daily_history_is_that_of_the_points(self, kind, series):
        assert days(series, at(0, day=1), at(0, day=5)) == [
            bucket(at(0, day=1), 100, 133.33, 200, 200),
            bucket(at(0, day=2), 200, 300.0, 400, 400),
            bucket(at(0, day=3), 300, 517.71, 600, 600),
            bucket(at(0, day=4), 500, 500.0, 500, 500),
        ]

    def test_a_trend_is_of_all_of_the_days_that_it_begins_and_ends_in(self, series):
        found = trend_of(series, at(12, day=1), at(12, day=2))

        assert (found["since"], found["until"]) == (text(at(0, day=1)), text(at(0, day=3)))
        assert found["first"] == {"at": text(at(6, day=1)), "price": 100}
        assert found["last"] == {"at": text(at(0, day=3)), "price": 400}
        assert (found["min"], found["max"], found["average"], found["change_percent"]) == (100, 400, 228.57, 300.0)

    def test_a_trend_from_days_to_points_is_one(self, series):
        found = trend_of(series, at(0, day=1), at(12))

        assert (found["since"], found["until"]) == (text(at(0, day=1)), text(at(12)))
        assert (found["first"]["price"], found["last"], found["max"]) == (100, {"at": text(at(12)), "price": 500}, 600)


@pytest.mark.usefixtures("context")
class TestAgainstTheReference:
    @settings(
        max_examples=100,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(cases())
    def test_every_history_and_trend_is_what_the_plain_way_comes_to(self, case):
        (series,) = write([case])

        assert answered(series, case) == expected(case)

    @settings(
        max_examples=60,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.integers(1, 3).flatmap(cases))
    def test_so_it_is_after_roll_ups_whenever_they_were(self, case):
        with patch.object(retention, "ENTRIES_AT_ONCE", 3):
            (series,) = write([case])

        assert answered(series, case) == expected(case)
