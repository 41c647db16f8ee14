"""Prices over time. A price holds until the next point, so a day without a point still has a price.

A series is the price points of an offer, or of a product: of a product the price is the lowest of what is in stock.
Of long ago there are no points any more, but buckets: what the points of an hour or a day came to. Both are read as
one. A mark inside of a bucket cannot be answered for, so the first one moves down to where the bucket begins, the last
one up to where it ends, and one in between is left out: what is told is exact, and says of when it is.

Moments are microseconds since 1970, whole numbers, so that nothing is lost on either database.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby, pairwise
from typing import Any, NamedTuple
from uuid import UUID

from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.reading import read, reader_dialect
from aggregator.services import price_queries
from aggregator.services.price_tables import Key, Kind
from aggregator.sql import Row

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HOUR, DAY = 3_600_000_000, 86_400_000_000  # microseconds

Change = tuple[int, int | None]  # a moment, and the price from then on; None where nothing is to be had


@dataclass(frozen=True)
class Series:
    """The prices of an offer, named by its key, or of a product, named by its id."""

    kind: Kind
    key: Key

    @classmethod
    def of_product(cls, product_id: UUID) -> "Series":
        """The lowest prices of a product."""
        return cls(Kind.PRODUCT, str(product_id))

    @classmethod
    def of_offer(cls, key: int) -> "Series":
        """The prices of an offer, by its key in our database."""
        return cls(Kind.OFFER, key)


class Stretch(NamedTuple):
    """What a series came to from one moment to another; None where nothing was to be had at any moment of it."""

    since: int
    until: int
    low: int | None = None
    high: int | None = None
    weighted: int | None = None  # the sum of price x microseconds
    had: int = 0  # microseconds in which something was to be had
    first_at: int | None = None  # the first of those moments
    first_price: int | None = None  # the price then
    last_until: int | None = None  # the end of the last of those moments
    last_price: int | None = None  # the price before it

    @property
    def begins_with(self) -> int | None:
        """The price at its beginning; None where nothing is to be had then."""
        return self.first_price if self.first_at == self.since else None

    @property
    def last(self) -> int | None:
        """The price at its end; None where nothing is to be had then."""
        return self.last_price if self.last_until == self.until else None

    def followed_by(self, following: "Stretch") -> "Stretch":
        """This stretch and the one after it as one."""
        if following.had == 0:
            return self._replace(until=following.until)
        if self.had == 0:
            return following._replace(since=self.since)
        return Stretch(
            self.since,
            following.until,
            min(self.low or 0, following.low or 0),  # they are never None here
            max(self.high or 0, following.high or 0),
            (self.weighted or 0) + (following.weighted or 0),
            self.had + following.had,
            self.first_at,
            self.first_price,
            following.last_until,
            following.last_price,
        )


@dataclass(frozen=True)
class Changes:
    """The changes of the price between two moments."""

    since: int
    until: int
    points: list[Change]


def microsecond(moment: datetime) -> int:
    """A moment as a whole number."""
    return (moment - EPOCH) // MICROSECOND


def moment(microsecond: int) -> datetime:
    """The moment of a whole number."""
    return EPOCH + microsecond * MICROSECOND


def stretches(series: Series, marks: Sequence[int]) -> list[Stretch]:
    """The stretches between marks, which ascend: one less than there are, or fewer where some lie inside of buckets."""
    dialect = reader_dialect()
    values = _parameters(series, marks[0], marks[-1]) | price_queries.marks(dialect).parameters(list(marks))
    buckets, rows = _split(read(price_queries.stretches, series.kind, dialect, **values))
    points = [_stretch(row, following.since) for row, following in pairwise(rows)]
    if rows[0].since == marks[0]:
        return points
    before = [*marks[: bisect_left(marks, rows[0].since)], min(rows[0].since, marks[-1])]
    return _between(marks, chain(_without_gaps(buckets, before), points))


def changes(series: Series, since: datetime, until: datetime, limit: int) -> Changes:
    """The moments at which the price became another one, and that price; up to limit of them.

    The first is since, with the price in force then, if there was a point before. Of a bucket are told the prices at
    its beginning, where something was to be had for the first and the last time, and at its end.
    """
    first, last = microsecond(since), microsecond(until)
    buckets, rows = _split(read(price_queries.changes, series.kind, **_parameters(series, first, last), limit=limit))
    found = _joined(first, last, buckets, [(row.since, row.first_price) for row in rows])
    return Changes(found.since, found.until, found.points[:limit])


def histories(product_ids: Sequence[UUID], until: datetime) -> dict[UUID, list[Change]]:
    """All changes of the lowest prices of products before a moment, as changes() tells them, in one query."""
    dialect, last = reader_dialect(), microsecond(until)
    keys = price_queries.keys(Kind.PRODUCT, dialect).parameters([str(product_id) for product_id in product_ids])
    rows = read(price_queries.histories, Kind.PRODUCT, dialect, **keys, until=_text(last))
    found: dict[UUID, list[Change]] = {product_id: [] for product_id in product_ids}
    for key, of_series in groupby(rows, lambda row: row.key):
        buckets, points = _split(list(of_series))
        in_force = [(bucket.until, bucket.last) for bucket in buckets[-1:]]
        known = _joined(0, last, buckets, [*in_force, *((row.since, row.first_price) for row in points)])
        found[UUID(key)] = known.points
    return found


def _joined(first: int, last: int, buckets: Sequence[Stretch], points: Sequence[Change]) -> Changes:
    """The changes that are known between two moments: of the buckets, and of the points from the last one's end on."""
    pieces: list[Stretch] = []
    if buckets:  # the price in force at the end of the last one is the first of the points
        pieces += _without_gaps(buckets, [max(first, buckets[0].since), min(points[0][0], last)])
    known = [change for piece in pieces for change in _told(piece)]
    known += [point for point in points if point[0] < last]
    others = [new for old, new in zip([None, *known], known, strict=False) if old is None or old[1] != new[1]]
    begin, end = min([first, *(piece.since for piece in pieces)]), max([last, *(piece.until for piece in pieces)])
    return Changes(begin, end, others)


def price_at(series: Series, microsecond: int) -> int | None:
    """The price in force at a moment, or where the bucket begins that it lies in; None where nothing is to be had."""
    (stretch,) = stretches(series, [microsecond, microsecond + 1])
    return stretch.begins_with


def has_prices(series: Series, microsecond: int) -> bool:
    """Whether anything was to be had at any moment up to this one."""
    return bool(read(price_queries.anything_before, series.kind, key=series.key, until=_text(microsecond)))


def extreme(series: Series, since: int, until: int, highest: bool = False) -> Change | None:
    """The lowest of the prices that came between two moments, or the highest, and when; None where none came.

    In a bucket it is as if it had been asked from its beginning on.
    """
    ends = {"since": _text(since), "until": _text(until)}
    rows = read(price_queries.extreme, series.kind, highest, key=series.key, **ends)
    return (rows[0].at, rows[0].price) if rows else None


def _parameters(series: Series, since: int, until: int) -> dict[str, Any]:
    return {"key": series.key, "since": _text(since), "until": _text(until)}


def _text(microsecond: int) -> str:
    return moment(microsecond).strftime(TIMESTAMP_FORMAT)


def _split(rows: Sequence[Row]) -> tuple[list[Stretch], Sequence[Row]]:
    """The buckets among rows, and the rows after them."""
    count = next((number for number, row in enumerate(rows) if row.until is None), len(rows))
    return [_stretch(row, row.until) for row in rows[:count]], rows[count:]


def _stretch(row: Row, until: int) -> Stretch:
    since, _, low, high, weighted, had, *ends = row[:10]
    return Stretch(since, until, low, high, None if weighted is None else int(weighted), had or 0, *ends)


def _constant(since: int, until: int, price: int | None) -> Stretch:
    if price is None:
        return Stretch(since, until)
    length = until - since
    return Stretch(since, until, price, price, price * length, length, since, price, until, price)


def _without_gaps(buckets: Sequence[Stretch], marks: Sequence[int]) -> Iterator[Stretch]:
    """Those buckets that touch the period from the first to the last mark, and the rest of it, cut at the marks.

    Between two buckets the price is the one at the end of the first of them.
    """
    at, price = marks[0], None
    for bucket in buckets:
        yield from _gap(at, bucket.since, price, marks)
        if bucket.until > marks[0]:
            yield bucket
        at, price = max(bucket.until, marks[0]), bucket.last
    yield from _gap(at, marks[-1], price, marks)


def _gap(since: int, until: int, price: int | None, marks: Sequence[int]) -> Iterator[Stretch]:
    if since < until:
        inside = marks[bisect_right(marks, since) : bisect_left(marks, until)]
        for begin, end in pairwise([since, *inside, until]):
            yield _constant(begin, end, price)


def _between(marks: Sequence[int], pieces: Iterable[Stretch]) -> list[Stretch]:
    """The pieces, joined to one from each mark at which one of them begins to the next such mark."""
    found: list[Stretch] = []
    begin = set(marks)
    for piece in pieces:
        if found and piece.since not in begin:
            found[-1] = found[-1].followed_by(piece)
        else:
            found.append(piece)
    return found


def _told(piece: Stretch) -> Iterator[Change]:
    """What is known of the price inside of a bucket; what comes after it tells the price at its end."""
    yield piece.since, piece.begins_with
    if piece.first_at is not None and piece.first_at > piece.since:
        yield piece.first_at, piece.first_price
    if piece.last_until is not None and piece.last_until < piece.until:
        yield piece.last_until, None
