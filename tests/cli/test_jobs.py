"""flask jobs: what the worker does, has done, and can be told to do."""

from datetime import timedelta

import pytest

from aggregator.clock import utcnow
from aggregator.database import transaction
from aggregator.jobs.timetable import JOBS
from aggregator.models import IdempotencyKey, JobRun, RunStatus
from aggregator.services import jobs
from tests.builders import create, edit, stored


def run(runner, *arguments: str):
    return runner.invoke(args=["jobs", *arguments])


class TestList:
    def test_names_each_job_and_how_often_it_runs(self, runner):
        lines = run(runner, "list").stdout.splitlines()

        assert [line.split()[0] for line in lines] == list(JOBS)
        assert set(JOBS) == {
            *("sync-offers", "announce", "send-mails", "send-webhooks", "make-images", "daily-mail"),
            *("lapse-orders", "roll-up-prices", "audit", "clean-up"),
        }
        assert lines[0] == "sync-offers      every 1 s, when due: Sync and register all that is due."
        assert "send-mails       every 1 s, when due: Send the mails that are due." in lines
        assert "daily-mail       every 30 s, when due: Queue the daily mail for everybody who has not had it." in lines
        assert any(line.startswith("clean-up         every 3600 s") for line in lines)


class TestRun:
    def test_does_what_is_due_and_records_it(self, app, client, runner):
        create(client)

        result = run(runner, "run", "sync-offers")

        (recorded,) = stored(app, JobRun)
        assert result.exit_code == 0
        assert result.stdout.startswith("synced: 1, offers added: ")
        assert (recorded.job, recorded.status) == ("sync-offers", RunStatus.DONE)
        assert recorded.summary.startswith('{"synced": 1')

    def test_nothing_due_is_said_and_not_recorded(self, app, runner):
        result = run(runner, "run", "sync-offers")

        assert (result.exit_code, result.stdout) == (0, "There is nothing to do.\n")
        assert stored(app, JobRun) == []

    def test_cleans_up(self, app, client, runner):
        create(client, headers={"Idempotency-Key": "k"})
        edit(app, IdempotencyKey, created_at=utcnow() - timedelta(hours=25))

        result = run(runner, "run", "clean-up")

        assert result.exit_code == 0
        said = dict(part.split(": ") for part in result.stdout.strip().split(", "))
        assert said.pop("idempotency keys") == "1"
        assert set(said.values()) == {"0"}
        assert {"changes", "deliveries", "images", "job runs", "rate limits", "sign ins", "workers"} <= said.keys()
        assert stored(app, IdempotencyKey) == []

    def test_one_that_fails_exits_with_1_and_is_recorded(self, app, runner, monkeypatch):
        def fail(now) -> int:
            raise RuntimeError("no such luck")

        monkeypatch.setattr(jobs, "expire_runs", fail)

        result = run(runner, "run", "clean-up")

        (recorded,) = stored(app, JobRun)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "It failed; the log says why." in result.stderr
        assert recorded.status is RunStatus.FAILED
        assert recorded.error.endswith("RuntimeError: no such luck\n")

    @pytest.mark.parametrize("name", ["nothing", ""])
    def test_one_that_is_not_known_is_a_usage_error_that_names_those_that_are(self, runner, name):
        result = run(runner, "run", name)

        assert result.exit_code == 2
        assert "clean-up" in result.stderr


class TestStatus:
    def test_a_fresh_installation_has_no_worker(self, runner):
        assert run(runner, "status").stdout == "No worker is running.\n"

    def test_shows_the_workers_and_the_latest_runs(self, app, runner, now):
        with app.app_context(), transaction():
            jobs.beat("host:1", "1.0", now)
            first, second, _ = (jobs.start_run(name, "host:1", now) for name in ("a", "b", "c"))
            jobs.end_run(first, now, {"synced": 3}, None)
            jobs.end_run(second, now, None, "it broke")

        lines = run(runner, "status", "--limit", "3").stdout.splitlines()

        assert lines[0].startswith("worker host:1, version 1.0, last heard of at ")
        assert [line.rstrip() for line in lines[1:]] == [
            "2026-05-04 12:30:15  c                running",
            "2026-05-04 12:30:15  b                failed   it broke",
            '2026-05-04 12:30:15  a                done     {"synced": 3}',
        ]

    def test_shows_no_more_than_asked_for(self, app, runner, now):
        with app.app_context(), transaction():
            for _ in range(12):
                jobs.start_run("a", "host:1", now)

        assert len(run(runner, "status").stdout.splitlines()) == 1 + 10
        assert len(run(runner, "status", "--limit", "2").stdout.splitlines()) == 1 + 2
