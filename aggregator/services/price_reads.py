"""History and trend of prices, as the outside reads them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import dropwhile
from typing import Any

from aggregator.errors import Invalid, TooManyPoints, ValidationFailed
from aggregator.services import price_series
from aggregator.services.price_series import DAY, HOUR, Series, Stretch, microsecond, moment

MAX_POINTS = 10_000
USUAL = timedelta(days=30)


class Interval(StrEnum):
    """How fine a history is."""

    RAW = "raw"
    HOUR = "hour"
    DAY = "day"


LENGTH = {Interval.HOUR: HOUR, Interval.DAY: DAY}


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
        raise ValidationFailed(errors={"query": {"since": ["Must be before until, and in the past."]}})
    return Period(begin, end)


def history(series: Series, period: Period, interval: Interval) -> str:
    """The prices in a period: each change of the price, or what each hour or day (of UTC) came to.

    Where the period begins or ends inside of what has been rolled up, all of that is told, and from when until when
    it is. Invalid where that would be more than MAX_POINTS.
    """
    tell = _changes(series, period) if interval is Interval.RAW else _buckets(series, period, LENGTH[interval])
    return _json({"interval": interval, **tell})


def trend(series: Series, period: Period) -> str:
    """How the price went in a period, from the first one asked in it to the last one.

    The percentage is null where the first price was 0; all of it is null where nothing was to be had.
    """
    (stretch,) = price_series.stretches(series, [microsecond(period.since), microsecond(period.until)])
    first, last = stretch.first_price, stretch.last_price
    change = None if first is None or last is None else last - first
    return _json(
        {
            "since": text(stretch.since),
            "until": text(stretch.until),
            "first": priced(stretch.first_at, first),
            "last": priced(stretch.last_until, last),
            "change": change,
            "change_percent": None if change is None or first is None else percent(change, first),
            "direction": None if change is None else ("flat", "up", "down")[(change > 0) - (change < 0)],
            "min": stretch.low,
            "max": stretch.high,
            "average": _average(stretch),
            "enough_data": change is not None,
        }
    )


def percent(change: int, base: int) -> float | None:
    """A change in percent of base, rounded to two decimals, halves away from zero; None for a base of 0."""
    return None if base == 0 else rounded(100 * change, base)


def _changes(series: Series, period: Period) -> dict[str, Any]:
    found = price_series.changes(series, period.since, period.until, MAX_POINTS + 1)
    if len(found.points) > MAX_POINTS:
        raise _too_many()
    points = [{"at": text(at), "price": price} for at, price in found.points]
    return {"since": text(found.since), "until": text(found.until), "points": points}


def _buckets(series: Series, period: Period, length: int) -> dict[str, Any]:
    since, until = microsecond(period.since), microsecond(period.until)
    if (until - 1) // length - since // length >= MAX_POINTS:
        raise _too_many()
    found = price_series.stretches(series, list(_marks(since, until, length)))
    ends = {"since": text(found[0].since), "until": text(found[-1].until)}
    if found[0].low is None and not price_series.has_prices(series, found[0].since):
        # Before the first price there is nothing to tell, not even a gap.
        found = list(dropwhile(lambda stretch: stretch.low is None, found))
    return {**ends, "points": [_bucket(stretch, length) for stretch in found]}


def _bucket(stretch: Stretch, length: int) -> dict[str, Any]:
    return {
        "at": text(stretch.since - stretch.since % length),
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


def priced(at: int | None, price: int | None) -> dict[str, Any] | None:
    """A moment and the price then; None for no moment."""
    return None if at is None else {"at": text(at), "price": price}


def _average(stretch: Stretch) -> float | None:
    """The average price, each weighted by how long it was asked; two decimals, halves away from zero."""
    if stretch.weighted is None:
        return None
    return rounded(stretch.weighted, stretch.had)


def rounded(numerator: int, denominator: int) -> float:
    """A fraction rounded to two decimals, halves away from zero; exact, whatever its size."""
    cents = (200 * abs(numerator) + denominator) // (2 * denominator)
    return (cents if numerator >= 0 else -cents) / 100


@lru_cache(maxsize=20_000)  # the histories of all products have the same hours and days
def text(microsecond: int) -> str:
    """A moment as the API writes it."""
    return moment(microsecond).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


def _too_many() -> Invalid:
    message = f"More than {MAX_POINTS} points: ask for a shorter period or a longer interval."
    return TooManyPoints(errors={"query": {"interval": [message]}})
