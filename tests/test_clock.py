"""The clock that everything goes by: the database's, carried on by the monotonic one."""

from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from aggregator import clock
from aggregator.clock import Clock


@pytest.fixture
def steady(monkeypatch) -> list[float]:
    """What the monotonic clock says; a test may change it."""
    says = [monotonic()]
    monkeypatch.setattr(clock, "monotonic", lambda: says[0])
    return says


def test_it_begins_with_the_time_of_the_host():
    assert abs(Clock().now() - datetime.now(UTC)) < timedelta(seconds=1)


@pytest.mark.parametrize("hours", [-2, 2])
def test_it_goes_on_when_the_clock_of_the_host_is_set(steady, monkeypatch, hours):
    ours = Clock()
    before = ours.now()
    monkeypatch.setattr(clock, "time", lambda: (before + timedelta(hours=hours)).timestamp())
    steady[0] += 10

    assert abs(ours.now() - before - timedelta(seconds=10)) < timedelta(milliseconds=1)


@pytest.mark.parametrize("hours", [-2, 2])
def test_it_follows_the_database(steady, hours):
    ours = Clock()
    theirs = ours.now() + timedelta(hours=hours)
    ours.follow(theirs)
    steady[0] += 10

    assert abs(ours.now() - theirs - timedelta(seconds=10)) < timedelta(milliseconds=1)


def test_it_does_not_jump_for_less_than_a_second(steady):
    ours = Clock()
    before = ours.now()
    ours.follow(before - timedelta(seconds=0.9))

    assert ours.now() == before
