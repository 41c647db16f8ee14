"""What a history and a trend are, worked out the plain way: all points in a list, all numbers exact."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import groupby, pairwise
from typing import Any

Points = list[tuple[datetime, int | None]]  # in the order of time; None while nothing is to be had
LENGTH, MIDNIGHT = {"hour": timedelta(hours=1), "day": timedelta(days=1)}, datetime(2000, 1, 1, tzinfo=UTC)


def history(points: Points, since: datetime, until: datetime, interval: str) -> list[dict[str, Any]]:
    if interval == "raw":
        alike = groupby(held(points, since, until), lambda piece: piece[0])
        return [{"at": next(pieces)[1], "price": price} for price, pieces in alike]
    buckets, start = [], since - (since - MIDNIGHT) % LENGTH[interval]
    while start < until:
        end = min(start + LENGTH[interval], until)
        if any(at < end and price is not None for at, price in points):  # the first price has been asked by then
            pieces = held(points, max(start, since), end)
            buckets.append({"at": start, **figures(pieces, "avg"), "last": pieces[-1][0]})
        start += LENGTH[interval]
    return buckets


def trend(points: Points, since: datetime, until: datetime) -> dict[str, Any]:
    asked = [(price, begin, end) for price, begin, end in held(points, since, until) if price is not None]
    answer = {"since": since, "until": until, "enough_data": bool(asked), **figures(asked, "average")}
    if not asked:
        return answer | dict.fromkeys(("first", "last", "change", "change_percent", "direction"))
    (first, begin, _), (last, _, end) = asked[0], asked[-1]
    answer |= {"first": {"at": begin, "price": first}, "last": {"at": end, "price": last}, "change": last - first}
    answer |= {"direction": "up" if last > first else "down" if last < first else "flat"}
    return answer | {"change_percent": rounded(Fraction(100 * (last - first), first)) if first else None}


def held(points: Points, since: datetime, until: datetime) -> list[tuple[Any, datetime, datetime]]:
    """The prices between two moments, and from when until when each of them held."""
    spans = [(price, max(at, since), min(end, until)) for (at, price), (end, _) in pairwise([*points, (until, None)])]
    return [(price, begin, end) for price, begin, end in spans if begin < end]


def figures(pieces: list[tuple[Any, datetime, datetime]], average: str) -> dict[str, Any]:
    asked = [(price, (end - begin) // timedelta.resolution) for price, begin, end in pieces if price is not None]
    mean = Fraction(sum(price * time for price, time in asked), sum(time for _, time in asked)) if asked else None
    return {"min": min(asked, default=[None])[0], "max": max(asked, default=[None])[0], average: rounded(mean)}


def rounded(number: Fraction | None) -> Fraction | None:  # to hundredths; half of one goes away from 0
    return number and Fraction((abs(number) * 200 + 1) // 2 * (1 if number > 0 else -1), 100)
