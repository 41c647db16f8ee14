"""The present moment, asked for in one place so that everything else takes it as an argument.

It is the time as the database last gave it, carried on by the monotonic clock of this host. A host whose wall clock is
wrong, or is set while a process runs, changes nothing: all processes go by one clock.
"""

from datetime import UTC, datetime, timedelta
from time import monotonic, time

TOLERANCE = timedelta(seconds=1)  # so far two hosts may differ, and the way to the database takes its time


class Clock:
    """A clock that starts with the host's time, runs on steadily, and follows the database's."""

    def __init__(self) -> None:
        self._offset = time() - monotonic()
        self.follows = False  # whether the database has been heard yet

    def now(self) -> datetime:
        """The present moment, aware and in UTC."""
        return datetime.fromtimestamp(monotonic() + self._offset, UTC)

    def follow(self, moment: datetime) -> None:
        """Go by what the database says that the time is now."""
        self.follows = True
        if abs(moment - self.now()) > TOLERANCE:
            self._offset = moment.timestamp() - monotonic()


CLOCK = Clock()


def utcnow() -> datetime:
    """The present moment, aware and in UTC."""
    return CLOCK.now()
