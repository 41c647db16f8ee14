"""The scheduler of the library `schedule`, by the monotonic clock.

The library goes by the host's local time: set back by two hours, or at the end of summer time, it would start nothing
for as long.
"""

from datetime import datetime, timedelta
from time import monotonic

import schedule


def steady_now() -> datetime:
    """The monotonic clock in the form that the library compares; it has nothing to do with the time of day."""
    return datetime.min + timedelta(seconds=monotonic())


class SteadyJob(schedule.Job):
    """A job that is due so many seconds after its last start, whatever happens to the host's clock."""

    @property
    def should_run(self) -> bool:
        """Whether it is due."""
        return self.next_run is not None and steady_now() >= self.next_run

    def _schedule_next_run(self) -> None:
        self.next_run = steady_now() + timedelta(**{self.unit or "seconds": self.interval})


class SteadyScheduler(schedule.Scheduler):
    """Starts jobs every so many seconds of the monotonic clock."""

    def every(self, interval: int = 1) -> SteadyJob:
        """A job of this scheduler."""
        return SteadyJob(interval, self)
