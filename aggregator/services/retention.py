"""How long prices are kept how exactly: every point for some days, then what each hour came to, then each day.

There is a bucket only where there were points. Nothing is lost or doubled, wherever it is interrupted: a batch is one
transaction, and what is in a bucket is seen from the buckets themselves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aggregator.database import db, dialect, one_at_a_time, tune_for_batches
from aggregator.reading import read
from aggregator.services import roll_ups
from aggregator.services.price_series import EPOCH, MICROSECOND
from aggregator.services.price_tables import Key, Kind
from aggregator.services.roll_ups import LENGTH, Level

SERIES_AT_ONCE = {"sqlite": 50, "postgresql": 400}  # SQLite has one writer, and the sync must get its turn
# After each batch, in seconds; on SQLite longer than its writers sleep before they look again.
REST = {"sqlite": 0.1, "postgresql": 0.02}
ENTRIES_AT_ONCE = 100  # of a series; what it has more of is left for the next batch

Span = tuple[Key, datetime, datetime, datetime]  # a series, the entry before, and from and until when


@dataclass(frozen=True)
class Cuts:
    """The moments before which points are made into hours, and hours into days; a full hour, and a midnight."""

    points: datetime
    hours: datetime

    def of(self, level: Level) -> datetime:
        """The cut of a level."""
        return self.points if level is Level.POINTS else self.hours


def cuts(now: datetime, raw_days: int, hourly_days: int) -> Cuts:
    """The cuts where points are kept for some days, and hours until they are so many days old."""
    points = _floor(now - timedelta(days=raw_days), Level.POINTS)
    return Cuts(points, _floor(min(points, now - timedelta(days=hourly_days)), Level.HOURS))


def rest() -> float:
    """How many seconds to leave the database to others after a batch."""
    return REST[dialect()]


def series_after(kind: Kind, key: Key | None = None) -> list[Key]:
    """The keys of some series, in their order: those after a key, or the first ones."""
    values = {"key": key, "limit": SERIES_AT_ONCE[dialect()]}
    found = [row[0] for row in read(roll_ups.keys, kind, key is None, **values)]
    return [int(key) for key in found] if kind is Kind.OFFER else found


def roll_up(kind: Kind, level: Level, keys: Sequence[Key], cut: datetime) -> int | None:
    """Roll up what some series have before a cut, up to a batch, and count what went; None where there is nothing.

    The last point of a series stays, so a batch may be done of which nothing goes. Call it until there is nothing.
    """
    one_at_a_time("retention")
    tune_for_batches()
    spans = _spans(kind, level, keys, cut)
    if not spans:
        return None
    connection = db.session.connection()
    columns = tuple(zip(*spans, strict=True))
    rows, add = roll_ups.add_buckets(kind, level, dialect())
    connection.execute(add, rows.parameters(*columns))
    rows, drop = roll_ups.drop_entries(kind, level, dialect())
    return connection.execute(drop, rows.parameters(*columns)).rowcount


def _spans(kind: Kind, level: Level, keys: Sequence[Key], cut: datetime) -> list[Span]:
    """Which of the series have something to be rolled up, and from and until when to do it now."""
    rows, statement = roll_ups.work(kind, level, dialect())
    values = {"cut": cut, "beginning": EPOCH, "limit": ENTRIES_AT_ONCE}
    found = db.session.connection().execute(statement, rows.parameters(keys) | values)
    spans = [
        (key, before or first, first, _end(level, cut, first, nth, point)) for key, before, first, nth, point in found
    ]
    return [span for span in spans if span[2] < span[3]]


def _end(level: Level, cut: datetime, first: datetime, nth: datetime | None, point: datetime | None) -> datetime:
    if level is Level.HOURS and point is not None:
        cut = min(cut, _floor(point, level))  # a day is made of all its hours
    if nth is None or nth >= cut:
        return cut
    return max(_floor(nth, level), _floor(first, level) + LENGTH[level] * MICROSECOND)


def _floor(moment: datetime, level: Level) -> datetime:
    """The full hour or the midnight before."""
    hour = 0 if level is Level.HOURS else moment.hour
    return moment.replace(hour=hour, minute=0, second=0, microsecond=0)
