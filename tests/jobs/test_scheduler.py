"""The scheduler, whatever becomes of the clock that the library goes by."""

from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest
import schedule

from aggregator.jobs import scheduler
from aggregator.jobs.scheduler import SteadyScheduler


@pytest.fixture
def steady(monkeypatch) -> list[float]:
    """What the monotonic clock says; a test may change it."""
    says = [1_000.0]
    monkeypatch.setattr(scheduler, "monotonic", lambda: says[0])
    return says


@pytest.mark.parametrize("hours", [-2, 0, 2])
def test_jobs_are_started_when_they_are_due_by_the_monotonic_clock(steady, monkeypatch, hours):
    started: list[str] = []
    clock = SteadyScheduler()
    clock.every(1).seconds.do(started.append, "often")
    clock.every(60).seconds.do(started.append, "seldom")
    wrong = type("Wrong", (datetime,), {"now": lambda *_: datetime(2026, 10, 25, 2) + timedelta(hours=hours)})
    monkeypatch.setattr(schedule, "datetime", SimpleNamespace(datetime=wrong, timedelta=timedelta))

    for seconds in (0.5, 0.6, 0.2, 0.8, 57, 1):  # 0.5, 1.1, 1.3, 2.1, 59.1, 60.1
        steady[0] += seconds
        clock.run_pending()

    assert started == ["often", "often", "often", "seldom", "often"]


def test_what_is_due_first_is_started_first(steady):
    started: list[str] = []
    clock = SteadyScheduler()
    clock.every(3).seconds.do(started.append, "later")
    clock.every(2).seconds.do(started.append, "first")
    steady[0] += 5
    clock.run_pending()

    assert started == ["first", "later"]
