"""The job that looks each hour for what must never be in the data."""

from datetime import timedelta

import structlog

from aggregator.clock import utcnow
from aggregator.jobs import audit
from aggregator.jobs.run import Run
from aggregator.jobs.runner import run_job
from aggregator.jobs.timetable import JOBS
from aggregator.models import JobRun, Product
from tests.builders import edit, make_product, stored


def test_logs_each_violation_and_counts_them(app):
    product = make_product(app, stock=3)
    edit(app, Product, stock=4)

    with app.app_context(), structlog.testing.capture_logs() as logs:
        assert audit.look(Run()) == {"violations": 1}

    (line,) = [line for line in logs if line["event"] == "audit violation"]
    assert (line["log_level"], line["rule"], line["product"]) == ("error", "stock-explained", str(product))


def test_runs_once_an_hour_and_leaves_a_trace_even_where_all_is_well(app):
    job = JOBS["audit"]
    with app.app_context():
        assert job.due()
        run_job(job, Run())
        assert not job.due()
    assert [run.summary for run in stored(app, JobRun)] == ['{"violations": 0}']

    edit(app, JobRun, started_at=utcnow() - timedelta(hours=1))
    with app.app_context():
        assert job.due()


def test_stops_when_the_worker_does(app):
    make_product(app, stock=3)
    edit(app, Product, stock=4)
    run = Run()
    run.stop.set()

    with app.app_context():
        assert audit.look(run) == {"violations": 0}
