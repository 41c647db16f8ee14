"""What a history, a trend and alerts are, worked out the plain way: all points in a list, all numbers exact."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import groupby, pairwise
from typing import Any

from aggregator.models import AlertKind

Points = list[tuple[datetime, int | None]]  # in the order of time; None while nothing is to be had
Spans = Sequence[tuple[datetime, datetime]]  # from when until when only what it came to is known
LENGTH, MIDNIGHT = {"hour": timedelta(hours=1), "day": timedelta(days=1)}, datetime(2000, 1, 1, tzinfo=UTC)


def rolled(points: Points, hours_before: datetime, days_before: datetime) -> Spans:
    """The hours and the days that take the place of points from before two moments."""
    spans = set()
    for at, _ in points:
        if at < hours_before:
            length = LENGTH["day" if at < days_before else "hour"]
            start = at - (at - MIDNIGHT) % length
            spans.add((start, start + length))
    return sorted(spans)


def covered(since: datetime, until: datetime, spans: Spans) -> tuple[datetime, datetime]:
    """The period that can be told: all of each span that it begins or ends in."""
    outer = min([since, *(start for start, end in spans if start < since < end)])
    return outer, max([until, *(end for start, end in spans if start < until < end)])


def history(points: Points, since: datetime, until: datetime, interval: str, spans: Spans = ()) -> dict[str, Any]:
    since, until = covered(since, until, spans)
    tell = changes(points, since, until, spans) if interval == "raw" else buckets(points, since, until, interval, spans)
    return {"interval": interval, "since": since, "until": until, "points": tell}


def changes(points: Points, since: datetime, until: datetime, spans: Spans) -> list[dict[str, Any]]:
    known = {since} | {at for at, _ in points if not any(start <= at < end for start, end in spans)}
    for start, end in spans:
        asked = [piece for piece in held(points, start, end) if piece[0] is not None]
        known |= {start, end} | ({asked[0][1], asked[-1][2]} if asked else set())
    begin = max(since, min([*(at for at, _ in points), *(start for start, _ in spans)], default=until))
    told = [(at, price_at(points, at)) for at in sorted(known) if begin <= at < until]
    return [{"at": next(alike)[0], "price": price} for price, alike in groupby(told, lambda change: change[1])]


def buckets(points: Points, since: datetime, until: datetime, interval: str, spans: Spans) -> list[dict[str, Any]]:
    length, found = LENGTH[interval], []
    full = since - (since - MIDNIGHT) % length
    hours = [full + number * length for number in range(1, -((full - until) // length))]
    inside = {hour for hour in hours for start, end in spans if start < hour < end}
    for start, end in pairwise([since, *(hour for hour in hours if hour not in inside), until]):
        if any(at < end and price is not None for at, price in points):  # the first price has been asked by then
            pieces = held(points, start, end)
            at = start - (start - MIDNIGHT) % length
            found.append({"at": at, **figures(pieces, "avg"), "last": price_at(points, end - timedelta.resolution)})
    return found


def trend(points: Points, since: datetime, until: datetime, spans: Spans = ()) -> dict[str, Any]:
    since, until = covered(since, until, spans)
    asked = [(price, begin, end) for price, begin, end in held(points, since, until) if price is not None]
    answer = {"since": since, "until": until, "enough_data": bool(asked), **figures(asked, "average")}
    if not asked:
        return answer | dict.fromkeys(("first", "last", "change", "change_percent", "direction"))
    (first, begin, _), (last, _, end) = asked[0], asked[-1]
    answer |= {"first": {"at": begin, "price": first}, "last": {"at": end, "price": last}, "change": last - first}
    answer |= {"direction": "up" if last > first else "down" if last < first else "flat"}
    return answer | {"change_percent": rounded(Fraction(100 * (last - first), first)) if first else None}


def price_at(points: Points, moment: datetime) -> int | None:
    return next((price for at, price in reversed(points) if at <= moment), None)


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


def alert_moments(
    kind: AlertKind, walk: Points, silence: timedelta, target: int | None = None, percent: int = 0
) -> list[datetime]:
    """When an alert that has seen all of a walk sends a message: at a movement, or at the end of its silence.

    There is a message whenever the alert is not silent and something is news to who has heard the last one.
    """
    sent: list[datetime] = []
    moments = [at for at, _ in walk]
    while moments:
        moment, moments = moments[0], moments[1:]
        heard = [piece for piece in walk if sent and piece[0] <= sent[-1]]
        silent = bool(sent) and moment < sent[-1] + silence
        seen = [piece for piece in walk if piece[0] <= moment]
        if not silent and is_news(kind, heard, seen, target, percent):
            sent.append(moment)
            moments = sorted({*moments, moment + silence} if silence else moments)
    return sent


def is_news(kind: AlertKind, heard: Points, seen: Points, target: int | None, percent: int) -> bool:
    """Whether the end of what was seen is news to who was sent a message at the end of what was heard."""
    now, since = seen[-1][1], seen[max(len(heard) - 1, 0) :]
    if kind in (AlertKind.BACK_IN_STOCK, AlertKind.SOLD_OUT):
        turned = any((a is None) != (b is None) and (b is None) == (now is None) for (_, a), (_, b) in pairwise(since))
        return turned and (now is None) == (kind is AlertKind.SOLD_OUT)
    if now is None:
        return False
    known = [price for _, price in heard or seen[:-1] if price is not None]
    if kind is AlertKind.NEW_LOW:
        return bool(known) and now < min(known)
    if kind is AlertKind.NEW_HIGH:
        return bool(known) and now > max(known)
    if kind is AlertKind.BELOW:
        assert target is not None
        armed = not heard or any(price is not None and price > target for _, price in since)
        return now <= target and (armed or now < known[-1])
    last = known[-1] if heard else next(price for _, price in seen if price is not None)
    if kind is AlertKind.CHANGE and 100 * abs(now - last) < percent * last:
        return False
    return bool(now != last)
