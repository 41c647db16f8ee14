"""What a history and a trend are, worked out the plain way: all points in a list, all numbers exact."""

from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

Points = list[tuple[datetime, int | None]]  # in their order; None while nothing is to be had


def held(points: Points, since: datetime, until: datetime) -> list[tuple[int | None, datetime, datetime]]:
    """The prices between two moments, and from when until when each of them held."""
    both = [(price, max(at, since), min(end, until)) for (at, price), (end, _) in pairwise([*points, (until, None)])]
    return [(price, begin, end) for price, begin, end in both if begin < end]


def changes(points: Points, since: datetime, until: datetime) -> list[dict[str, Any]]:
    prices = [("none", since, since), *held(points, since, until)]
    return [{"at": text(begin), "price": price} for (old, *_), (price, begin, _) in pairwise(prices) if price != old]


def buckets(points: Points, since: datetime, until: datetime, length: timedelta) -> list[dict[str, Any]]:
    start, found = since - (since - since.replace(2000, 1, 1, 0, 0, 0, 0)) % length, []
    while start < until:
        end = min(start + length, until)
        if any(at < end and price is not None for at, price in points):  # before the first price there are none
            prices = held(points, max(start, since), end)
            found.append({"at": text(start), **figures(prices, "avg"), "last": prices[-1][0]})
        start += length
    return found


def trend(points: Points, since: datetime, until: datetime) -> dict[str, Any]:
    prices = [each for each in held(points, since, until) if each[0] is not None]
    ends = ((prices[0][0], prices[0][1]), (prices[-1][0], prices[-1][2])) if prices else ()
    first, last = ({"at": text(at), "price": price} for price, at in ends) if prices else (None, None)
    change = last["price"] - first["price"] if first and last else None
    percent = rounded(Fraction(100 * change, first["price"])) if first and first["price"] else None
    direction = None if change is None else "flat" if change == 0 else "up" if change > 0 else "down"
    about = {"since": text(since), "until": text(until), "first": first, "last": last, "enough_data": bool(prices)}
    return about | {"change": change, "change_percent": percent, "direction": direction} | figures(prices, "average")


def figures(prices: list[tuple[int | None, datetime, datetime]], average: str) -> dict[str, Any]:
    asked = [(price, Fraction((end - begin) // timedelta.resolution)) for price, begin, end in prices if price is not None]
    if not asked: ...
