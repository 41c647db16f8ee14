"""History and trend of prices, as the outside reads them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from aggregator.errors import Invalid
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.services import price_series
from aggregator.services.price_series import Series, Stretch, microsecond, moment

MAX_POINTS = 10_000
USUAL = timedelta(days=30)


class Interval(StrEnum):
    """How fine a history is."""

    RAW = "raw"
    HOUR = "hour"
    DAY = "day"


LENGTH = {Interval.HOUR: 3_600_000_000, Interval.DAY: 86_400_000_000}  # microseconds


@dataclass(frozen=True)
class Period:
    """From a moment up to another one, which is later and not in the future."""

    since: datetime
    until: datetime


def period(now: datetime, since: datetime | None = None, until: datetime | None = None) -> Period:
    """The period from since, 30 days before its end unless given, to until, and never later than now.

    Invalid for a period that would have no length.
    """
    end = min(until or now, now)
    begin = since or end - USUAL
    if begin >= end:
        raise Invalid(errors={"query": {"since": ["Must be before until, and in the past."]}})
    return Period(begin, end)


def history(series: Series, period: Period, interval: Interval) -> str:
    """The prices in a period: each change of the price, or what each hour or day (of UTC) came to.

    Invalid where that would be more than MAX_POINTS.
    """
    points = _changes(series, period) if interval is Interval.RAW else _buckets(series, period, LENGTH[interval])
    return json.dumps({"interval": interval, "points": points}, separators=(",", ":"))


def trend(series: Series, period: Period) -> str:
    """How the price went in a period, from the first one asked in it to the last one.

    The percentage is null where the first price was 0; all of it is null where nothing was to be had.
    """
    since, until = microsecond(period.since), microsecond(period.until)
    (stretch,) = price_series.stretches(series, [since, until])
    first, last = _end(series, stretch.first_at), _end(series, stretch.last_until, 1)
    change = None if first is None or last is None else last["price"] - first["price"]
    document = {
        "since": _text(since),
        "until": _text(until),
        "first": first,
        "last": last,
        "change": change,
        "change_percent": None if change is None or first is None else percent(change, first["price"]),
        "direction": None if change is None else ("flat", "up", "down")[(change > 0) - (change < 0)],
        "min": stretch.low,
        "max": stretch.high,
        "average": _average(stretch),
        "enough_data": change is not None,
    }
    return json.dumps(document, separators=(",", ":"))


def percent(change: int, base: int) -> float | None:
    """A change in percent of base, rounded half up to two decimals; None for a base of 0."""
    return None if base == 0 else _rounded(100 * change, base)


def _changes(series: Series, period: Period) -> list[dict[str, Any]]:
    found = price_series.changes(series, period.since, period.until, MAX_POINTS + 1)
    if len(found) > MAX_POINTS:
        raise _too_many()
    return [{"at": _text(at), "price": price} for at, price in found]


def _buckets(series: Series, period: Period, length: int) -> list[dict[str, Any]]:
    since, until = microsecond(period.since), microsecond(period.until)
    if (until - 1) // length - since // length >= MAX_POINTS:
        raise _too_many()
    marks = list(_marks(since, until, length))
    buckets = [_bucket(stretch, length) for stretch in price_series.stretches(series, marks)]
    if price_series.price_at(series, marks[0]) is not None:
        return buckets
    known = next((index for index, bucket in enumerate(buckets) if bucket["min"] is not None), len(buckets))
    return buckets[known:]  # before the first price there is nothing to tell, not even a gap


def _bucket(stretch: Stretch, length: int) -> dict[str, Any]:
    return {
        "at": _text(stretch.since - stretch.since % length),
        "min": stretch.low,
        "avg": _average(stretch),
        "max": stretch.high,
        "last": stretch.last,
    }


def _marks(since: int, until: int, length: int) -> Iterator[int]:
    """since, every full hour or day in between, and until."""
    yield since
    yield from range(since - since % length + length, until, length)
    yield until


def _end(series: Series, at: int | None, before: int = 0) -> dict[str, Any] | None:
    """A moment at which something was to be had, and its price; of the end of such a time, the price before."""
    return None if at is None else {"at": _text(at), "price": price_series.price_at(series, at - before)}


def _average(stretch: Stretch) -> float | None:
    """The average price, each weighted by how long it was asked, rounded half up to two decimals."""
    if stretch.weighted is None:
        return None
    return _rounded(stretch.weighted, stretch.had)


def _rounded(numerator: int, denominator: int) -> float:
    """A fraction rounded to two decimals, halves away from zero; exact, whatever its size."""
    cents = (200 * abs(numerator) + denominator) // (2 * denominator)
    return (cents if numerator >= 0 else -cents) / 100


def _text(microsecond: int) -> str:
    return moment(microsecond).strftime(TIMESTAMP_FORMAT)


def _too_many() -> Invalid:
    message = f"More than {MAX_POINTS} points: ask for a shorter period or a longer interval."
    return Invalid(errors={"query": {"interval": [message]}})
