"""The record of runs, and of the workers."""

from datetime import timedelta
from time import monotonic

import pytest

from aggregator.clock import utcnow
from aggregator.database import transaction
from aggregator.models import JobRun, RunStatus, Worker
from aggregator.services import jobs
from tests.builders import before, edit, stored

pytestmark = pytest.mark.usefixtures("context")


class TestRuns:
    def start(self, now, job: str = "sync-offers") -> int:
        with transaction():
            return jobs.start_run(job, "host:1", now)

    def end(self, run: int, now, summary=None, error=None) -> None:
        with transaction():
            jobs.end_run(run, now, summary, error)

    def test_one_that_goes_on_is_seen(self, app, now):
        self.start(now)

        (run,) = stored(app, JobRun)
        assert (run.job, run.worker, run.status, run.started_at) == ("sync-offers", "host:1", RunStatus.RUNNING, now)
        assert (run.finished_at, run.summary, run.error) == (None, None, None)

    def test_one_that_went_well_tells_what_it_did(self, app, now):
        self.end(self.start(now), now + timedelta(1), {"synced": 3})

        (run,) = stored(app, JobRun)
        assert (run.status, run.finished_at, run.summary) == (RunStatus.DONE, now + timedelta(1), '{"synced": 3}')

    def test_one_that_failed_tells_the_end_of_why(self, app, now):
        self.end(self.start(now), now, error="x" * 5_000 + "the end")

        (run,) = stored(app, JobRun)
        assert run.status is RunStatus.FAILED
        assert len(run.error) == 2_000
        assert run.error.endswith("the end")

    def test_one_that_found_nothing_to_do_leaves_no_trace(self, app, now):
        self.end(self.start(now), now)

        assert stored(app, JobRun) == []

    def test_one_that_is_forgotten_already_can_end(self, now):
        self.end(4711, now, {"synced": 3})

    def test_the_latest_come_first(self, now):
        runs = [self.start(now, job) for job in ("a", "b", "a", "b")]

        with transaction():
            assert [run.id for run in jobs.latest_runs(3)] == runs[:0:-1]
            assert [run.id for run in jobs.latest_runs(9, "a")] == [runs[2], runs[0]]

    def test_they_are_kept_for_a_week(self, app, now):
        self.start(before(now, days=7, seconds=1))
        kept = self.start(before(now, days=7))

        with transaction():
            assert jobs.expire_runs(now) == 1
        assert [run.id for run in stored(app, JobRun)] == [kept]

    def test_they_are_forgotten_a_batch_at_a_time(self, app, now, monkeypatch):
        monkeypatch.setattr(jobs, "EXPIRED_AT_ONCE", 2)
        for _ in range(5):
            self.start(before(now, days=8))
        kept = self.start(now)

        expired = []
        for _ in range(4):
            with transaction():
                expired.append(jobs.expire_runs(now))
        assert expired == [2, 2, 1, 0]
        assert [run.id for run in stored(app, JobRun)] == [kept]

    def test_thousands_are_a_batch(self):
        assert jobs.EXPIRED_AT_ONCE == 5_000

    def test_whether_a_job_has_run_lately_is_known(self):
        at = before(utcnow(), minutes=10)
        self.end(self.start(at, "clean-up"), at, {"job_runs": 1})

        assert jobs.has_run_within("clean-up", 660)
        assert not jobs.has_run_within("clean-up", 540)
        assert not jobs.has_run_within("sync-offers", 660)

    def test_one_that_goes_on_counts_as_run_and_one_that_failed_does_not(self):
        at = before(utcnow(), minutes=1)
        self.start(at, "goes on")
        self.end(self.start(at, "failed"), at, error="this went wrong")

        assert jobs.has_run_within("goes on", 120)
        assert not jobs.has_run_within("failed", 120)

    def test_one_that_lies_ahead_does_not_count(self):
        self.start(before(utcnow(), hours=-2), "clean-up")

        assert not jobs.has_run_within("clean-up", 3 * 3600)

    def test_one_that_a_clock_has_ended_before_it_began_has_taken_no_time(self, app, now):
        self.end(self.start(now), before(now, hours=2), {"done": 1})

        (run,) = stored(app, JobRun)
        assert (run.started_at, run.finished_at) == (now, now)


class TestWorkers:
    def beat(self, name: str, now) -> None:
        with transaction():
            jobs.beat(name, "1.0", now)

    def test_a_worker_is_known_from_its_first_beat(self, app, now):
        self.beat("host:1", now)

        (worker,) = stored(app, Worker)
        assert (worker.name, worker.version, worker.started_at) == ("host:1", "1.0", now)
        assert abs(worker.beat_at - utcnow()) < timedelta(seconds=5)

    def test_each_beat_only_says_that_it_is_still_there(self, app, now):
        self.beat("host:1", now)
        edit(app, Worker, beat_at=now)
        self.beat("host:1", now + timedelta(1))

        (worker,) = stored(app, Worker)
        assert worker.started_at == now
        assert worker.beat_at > now

    def test_one_that_signs_off_is_gone(self, now):
        self.beat("host:1", now)
        self.beat("host:2", now)
        with transaction():
            jobs.sign_off("host:1")

            assert [worker.name for worker in jobs.workers()] == ["host:2"]

    def test_those_not_heard_of_for_long_are_forgotten(self, app, now):
        self.beat("host:1", now)
        self.beat("host:2", now)
        edit(app, Worker, Worker.name == "host:1", beat_at=utcnow() - timedelta(hours=25))

        with transaction():
            assert jobs.forget_lost_workers(24 * 3600) == 1
            assert [worker.name for worker in jobs.workers()] == ["host:2"]

    def test_each_host_has_its_own(self, app, now):
        for name in ("host:1", "host:2", "host2:1", "hos_:1", "other:1"):
            self.beat(name, now)

        with transaction():
            counts = [len(jobs.silences(host)) for host in ("host", "host2", "hos_", "ho%", "nobody", "x" * 90)]
        assert counts == [2, 1, 1, 0, 0, 0]

    def silences(self) -> list[int]:
        with transaction():
            return [round(seconds / 10) * 10 for seconds in jobs.silences("host")]

    def test_how_long_one_was_not_heard_of_is_known_whatever_is_done_to_the_clock(self, app, now):
        self.beat("host:1", now)
        for hours in (-2, 0, 2):
            edit(app, Worker, beat_at=utcnow() + timedelta(hours=hours), steady_beat=monotonic() - 130)
            assert self.silences() == [130]

    def test_one_from_before_the_host_was_started_is_none(self, app, now):
        self.beat("host:1", now)
        edit(app, Worker, steady_beat=monotonic() + 1_000)

        assert self.silences() == []

    def test_one_of_an_older_version_is_known_by_the_databases_clock(self, app, now):
        for name, seconds in (("host:1", 50), ("host:2", -7_200), ("host:3", 20)):
            self.beat(name, now)
            edit(app, Worker, Worker.name == name, beat_at=before(utcnow(), seconds=seconds), steady_beat=None)

        assert self.silences() == [20, 50]

    def test_one_whose_last_beat_lies_a_day_ahead_is_forgotten(self, app, now):
        self.beat("host:1", now)
        edit(app, Worker, beat_at=before(utcnow(), hours=-25))

        with transaction():
            assert jobs.forget_lost_workers(24 * 3600) == 1
