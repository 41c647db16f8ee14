"""The job that makes old prices into hours and days."""

from datetime import timedelta

import pytest

from aggregator.clock import utcnow
from aggregator.jobs import history
from aggregator.jobs.run import Run
from aggregator.jobs.runner import run_job
from aggregator.jobs.timetable import JOBS
from aggregator.models import JobRun, PriceBucket, PricePoint, ProductPriceBucket, ProductPricePoint, RunStatus
from aggregator.services import retention
from aggregator.services.price_tables import Kind
from tests.builders import edit, stored
from tests.databases import BACKENDS
from tests.evidence_prices import make_series

DAYS = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def app(make_app, monkeypatch):
    monkeypatch.setattr(retention, "REST", dict.fromkeys(retention.REST, 0))
    return make_app(history_raw_days=10, history_hourly_days=20)


@pytest.fixture
def midnight():
    """The last one."""
    return utcnow().replace(hour=0, minute=0, second=0, microsecond=0)


def make_walks(app, midnight, series: int) -> None:
    """Series with a price every eight hours of thirty days, of both kinds."""
    with app.app_context():
        for kind in Kind:
            for _ in range(series):
                make_series(kind, *((midnight - number * 8 * HOUR, 100 + number) for number in range(1, 91)))


def run(app, run: Run | None = None) -> dict:
    with app.app_context():
        return dict(history.roll_up(run or Run()))


def lengths(app, model) -> list[timedelta]:
    return [bucket.ends_at - bucket.starts_at for bucket in stored(app, model)]


def test_all_that_is_old_becomes_hours_and_then_days(app, midnight, monkeypatch):
    monkeypatch.setattr(retention, "SERIES_AT_ONCE", dict.fromkeys(BACKENDS, 2))
    make_walks(app, midnight, 3)

    summary = run(app)

    cuts = retention.cuts(utcnow(), 10, 20)
    oldest = midnight - 90 * 8 * HOUR
    days = (cuts.hours - oldest) // DAYS
    hours = len([n for n in range(1, 91) if cuts.hours <= midnight - n * 8 * HOUR < cuts.points])
    for points, buckets in ((PricePoint, PriceBucket), (ProductPricePoint, ProductPriceBucket)):
        assert lengths(app, buckets) == 3 * (days * [DAYS] + hours * [HOUR])
        left = [point.observed_at for point in stored(app, points)]
        assert len(left) == 3 * (90 - 3 * days - hours + 1)
        assert len([moment for moment in left if moment < cuts.points]) == 3
    assert summary == {"points": 6 * (3 * days + hours - 1), "hours": 6 * 2 * days}


def test_a_second_run_finds_nothing_left(app, midnight):
    make_walks(app, midnight, 1)
    run(app)
    before = [stored(app, model) for model in (PricePoint, PriceBucket)]

    assert run(app) == {"points": 0, "hours": 0}
    assert [len(rows) for rows in before] == [len(stored(app, model)) for model in (PricePoint, PriceBucket)]


def test_it_stops_when_it_is_told_to_and_the_next_run_goes_on(app, midnight, monkeypatch):
    monkeypatch.setattr(retention, "ENTRIES_AT_ONCE", 7)
    make_walks(app, midnight, 2)
    stopping = Run()
    monkeypatch.setattr(stopping, "alive", stopping.stop.set)

    first = run(app, stopping)
    rest = run(app)

    assert first == {"points": 2 * 6, "hours": 0}
    assert len(stored(app, PricePoint)) == len(stored(app, ProductPricePoint)) < 90
    assert rest["points"] + 2 * 6 == 2 * 2 * 90 - len(stored(app, PricePoint)) - len(stored(app, ProductPricePoint))


def test_it_says_that_it_is_getting_on(app, midnight):
    make_walks(app, midnight, 1)
    since = Run(alive_at=0.0)

    run(app, since)

    assert since.alive_at > 0


class TestWhenItIsDue:
    def due(self, app) -> bool:
        with app.app_context():
            return history.roll_up_is_due()

    def test_it_is_an_hour_after_the_last_run(self, app):
        assert self.due(app)
        with app.app_context():
            assert run_job(JOBS[history.ROLL_UP], Run()) == {"points": 0, "hours": 0}
        assert not self.due(app)

        edit(app, JobRun, started_at=utcnow() - timedelta(minutes=55))
        assert self.due(app)

    def test_a_run_that_failed_does_not_count(self, app):
        with app.app_context():
            run_job(JOBS[history.ROLL_UP], Run())
        edit(app, JobRun, status=RunStatus.FAILED)

        assert self.due(app)
