"""Outages: one line in the log when something breaks, and one when it is well again."""

import time
from threading import Lock

import structlog
from sqlalchemy.engine import URL

from aggregator.troubles import Trouble, trouble_of

# What comes and goes with the load is over when nothing of it has been seen for that long.
BUSY_SECONDS = 10.0

log = structlog.get_logger(__name__)


class Outage:
    """Something outside of this process that works, or does not."""

    def __init__(self, thing: str, level: str = "error", quiet_seconds: float = 0.0) -> None:
        self.thing = thing
        self.trouble = ""  # what is wrong, while it is
        self._level, self._quiet = level, quiet_seconds
        self._since = self._last = 0.0
        self._lock = Lock()

    def begins(self, trouble: str) -> None:
        """It does not work: say so, unless that has been said."""
        with self._lock:
            self._last = time.monotonic()
            new, self.trouble = not self.trouble, trouble
            if new:
                self._since = self._last
        if new:
            getattr(log, self._level)("outage begins", thing=self.thing, trouble=trouble)

    def ends(self) -> None:
        """It works: say so, if it did not."""
        if not self.trouble:
            return
        with self._lock:
            now = time.monotonic()
            if not self.trouble or now - self._last < self._quiet:
                return
            self.trouble = ""
            seconds = round(now - self._since, 1)
        log.info("outage ends", thing=self.thing, seconds=seconds)


class DatabaseOutages:
    """What this process has found to be wrong with its database."""

    def __init__(self, url: URL) -> None:
        self.url = url
        self._any = Outage("database")
        self._writing = Outage("writing to the database")
        self._busy = Outage("busy database", "warning", BUSY_SECONDS)

    def note(self, error: BaseException) -> Trouble | None:
        """What an error says about the database, which goes to the log once; None where it is about something else."""
        trouble = trouble_of(error, self.url)
        if trouble is not None:
            kind = trouble.kind
            outage = self._busy if kind.is_busy else self._writing if kind.is_about_writing else self._any
            outage.begins(str(trouble))
        return trouble

    def works(self, wrote: bool = False) -> None:
        """The database has answered, or has written something."""
        if self._any.trouble:
            self._any.ends()
        if self._busy.trouble:
            self._busy.ends()
        if wrote and self._writing.trouble:
            self._writing.ends()

    def forget(self) -> None:
        """Begin anew, as a new process does."""
        for outage in (self._any, self._writing, self._busy):
            outage.trouble = ""

    def troubles(self) -> list[str]:
        """All that is wrong now, as far as this process knows."""
        self._busy.ends()
        return [outage.trouble for outage in (self._any, self._writing, self._busy) if outage.trouble]
