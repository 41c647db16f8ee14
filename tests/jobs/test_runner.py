"""The worker's runner: it records what was done, and survives whatever a job or the database does."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from aggregator import __version__
from aggregator.clock import utcnow
from aggregator.database import db, transaction
from aggregator.jobs import runner as runner_module
from aggregator.jobs.run import Run
from aggregator.jobs.runner import EX_SOFTWARE, Runner, run_job
from aggregator.jobs.timetable import JOBS, Job
from aggregator.models import (
    Channel,
    Delivery,
    DeliveryStatus,
    Endpoint,
    Event,
    JobRun,
    RateLimit,
    RunStatus,
    SignIn,
    User,
    Webhook,
    Worker,
)
from aggregator.services import access, jobs, limits, outbox, sign_ins
from aggregator.services.outbox import Message
from tests.builders import LONG_AGO, edit, make_delivery, make_product, make_user, make_webhook, stored
from tests.flows.passes import hasty

NOTHING_OLD = dict.fromkeys(
    (
        *("idempotency_keys", "deliveries", "webhooks", "changes", "job_runs", "rate_limits", "sign_ins"),
        *("images", "lost_image_files", "sort_keys", "encrypted", "workers"),
    ),
    0,
)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return hasty(make_app())


def job(run: Callable[[Run], dict] = lambda run: {"done": 1}, due: Callable[[], bool] = lambda: True) -> Job:
    return Job("chore", 1, run, due)


def fail(*_: object) -> None:
    raise LookupError("this went wrong")


def run_once(app: Flask, job: Job) -> object:
    with app.app_context():
        return run_job(job, Run())


def eventually(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@contextmanager
def running(app: Flask, *timetable: Job) -> Iterator[Runner]:
    """A runner at work; it is told to stop in the end, and must do so within seconds."""
    runner = Runner(app, {job.name: job for job in timetable})
    thread = threading.Thread(target=runner.run)
    thread.start()
    try:
        yield runner
    finally:
        runner.ask_to_stop()
        thread.join(10)
        runner.threads.shutdown(wait=False)
        assert not thread.is_alive()


class TestARun:
    def test_is_recorded_with_what_it_did(self, app):
        before = utcnow()

        assert run_once(app, job()) == {"done": 1}
        (row,) = stored(app, JobRun)
        assert (row.job, row.status, row.summary, row.error) == ("chore", RunStatus.DONE, '{"done": 1}', None)
        assert before <= row.started_at <= row.finished_at <= utcnow()
        assert row.worker == runner_module.process_name()

    def test_is_recorded_while_it_goes_on(self, app):
        seen = []
        run_once(app, job(lambda run: seen.extend(stored(app, JobRun)) or {"done": 1}))

        assert [(row.status, row.finished_at) for row in seen] == [(RunStatus.RUNNING, None)]

    def test_of_what_is_not_due_leaves_no_trace_and_does_not_happen(self, app):
        assert run_once(app, job(fail, due=lambda: False)) is None
        assert stored(app, JobRun) == []

    def test_that_found_nothing_to_do_leaves_no_trace(self, app):
        run_once(app, job(lambda run: {}))

        assert stored(app, JobRun) == []

    def test_of_the_sync_while_the_service_is_left_alone_leaves_no_trace(self, app):
        make_product(app)
        with app.app_context(), transaction():
            access.open_circuit(Endpoint.OFFERS, "it answered 503", 60)
        for _ in range(3):
            run_once(app, JOBS["sync-offers"])

        assert stored(app, JobRun) == []

    def test_that_fails_is_recorded_with_the_reason_and_harms_nobody(self, app):
        assert run_once(app, job(fail)) is None
        (row,) = stored(app, JobRun)
        assert (row.status, row.summary) == (RunStatus.FAILED, None)
        assert row.error.rstrip().endswith("LookupError: this went wrong")

    def test_that_fails_at_length_is_recorded_by_its_end(self, app):
        def fail_at_length(_: Run) -> None:
            raise LookupError("x" * 10_000 + " the end")

        run_once(app, job(fail_at_length))
        (row,) = stored(app, JobRun)
        assert len(row.error) == jobs.MAX_ERROR
        assert row.error.rstrip().endswith("the end")

    def test_of_the_sync_says_what_it_synced_and_what_got_in_the_way(self, app, sandbox):
        make_product(app, {"status": "pending"})
        sandbox.faults = ["503@auth"]

        assert run_once(app, JOBS["sync-offers"]) == {"problem": "it answered 503"}
        (row,) = stored(app, JobRun)
        assert (row.status, row.summary) == (RunStatus.DONE, '{"problem": "it answered 503"}')

    def test_of_the_sync_is_due_when_a_product_is(self, app):
        with app.app_context():
            assert JOBS["sync-offers"].due() is False
            make_product(app)
            assert JOBS["sync-offers"].due() is True


class TestTheTimetable:
    def test_names_every_job_and_how_often_it_is_run(self):
        assert {name: job.seconds for name, job in JOBS.items()} == {
            "sync-offers": 1,
            "announce": 1,
            "send-mails": 1,
            "send-webhooks": 1,
            "make-images": 1,
            "daily-mail": 30,
            "lapse-orders": 10,
            "clean-up": 3600,
            "roll-up-prices": 3600,
            "audit": 3600,
        }
        assert all(name == job.name for name, job in JOBS.items())

    def test_cleaning_up_forgets_what_is_old_and_nothing_else(self, app):
        with app.app_context(), transaction():
            old = jobs.start_run("old", "w", utcnow() - timedelta(days=8))
            young = jobs.start_run("young", "w", utcnow() - timedelta(days=6))
            jobs.beat("lost", "1", LONG_AGO)
            jobs.beat("alive", "1", LONG_AGO)
        edit(app, Worker, Worker.name == "lost", beat_at=utcnow() - timedelta(hours=25))

        assert run_once(app, JOBS["clean-up"]) == NOTHING_OLD | {"job_runs": 1, "workers": 1}
        assert old not in {row.id for row in stored(app, JobRun)}
        assert young in {row.id for row in stored(app, JobRun)}
        assert [row.name for row in stored(app, Worker)] == ["alive"]

    def test_cleaning_up_forgets_the_limits_that_are_over(self, app):
        with app.app_context(), transaction():
            for key in ("over", "going on"):
                limits.hit(key, 60)
        edit(app, RateLimit, RateLimit.key == "over", expires_at=utcnow() - timedelta(seconds=1))

        assert run_once(app, JOBS["clean-up"]) == NOTHING_OLD | {"rate_limits": 1}
        assert [row.key for row in stored(app, RateLimit)] == ["going on"]

    def test_cleaning_up_forgets_sign_ins_a_week_after_they_expired(self, app):
        user_id, now = make_user(app), utcnow()
        begun = {}
        with app.app_context(), transaction():
            user = db.session.get_one(User, user_id)
            for hours in (-1, 1, 7 * 24 - 1, 7 * 24 + 1, 365 * 24):  # since they expired
                begun[hours] = sign_ins.begin(user, LONG_AGO, now - timedelta(hours=hours) - LONG_AGO).id

        assert run_once(app, JOBS["clean-up"]) == NOTHING_OLD | {"sign_ins": 2}
        assert {row.id for row in stored(app, SignIn)} == {begun[hours] for hours in (-1, 1, 7 * 24 - 1)}

    def test_cleaning_up_forgets_deliveries_that_ended_more_than_a_month_ago(self, app):
        user_id = make_user(app)
        with app.app_context(), transaction():
            for key in ("old", "pending", "young"):
                outbox.queue([Message(Channel.MAIL, Event.DAILY, user_id, {}, key=key)], utcnow())
        edit(app, Delivery, Delivery.key != "young", created_at=utcnow() - timedelta(days=31))
        edit(app, Delivery, Delivery.key != "pending", status=DeliveryStatus.DELIVERED)

        assert run_once(app, JOBS["clean-up"]) == NOTHING_OLD | {"deliveries": 1}
        assert {row.key for row in stored(app, Delivery)} == {"pending", "young"}

    def test_cleaning_up_forgets_deleted_webhooks_with_all_that_was_sent_there(self, app):
        user_id = make_user(app)
        deleted, other = make_webhook(app, user_id), make_webhook(app, user_id)
        for webhook_id in (deleted, deleted, other):
            make_delivery(app, webhook_id, created_at=utcnow())
        edit(app, Webhook, Webhook.id == deleted, deleted_at=utcnow())

        assert run_once(app, JOBS["clean-up"]) == NOTHING_OLD | {"deliveries": 2, "webhooks": 1}
        assert [row.id for row in stored(app, Webhook)] == [other]
        assert [row.webhook_id for row in stored(app, Delivery)] == [other]


class TestTheRunner:
    def test_runs_jobs_at_once_and_then_by_the_clock(self, app):
        ran = []
        with running(app, job(lambda run: ran.append(time.monotonic()) or {"done": 1})):
            assert eventually(lambda: len(ran) == 3)

        assert ran[1] - ran[0] < 2.5
        assert {row.status for row in stored(app, JobRun)} == {RunStatus.DONE}

    def test_is_seen_while_it_lives_and_signs_off_in_the_end(self, app):
        with running(app, job(due=lambda: False)) as runner:
            assert eventually(lambda: len(stored(app, Worker)) == 1)
            (row,) = stored(app, Worker)

        assert (row.name, row.version, row.started_at) == (runner.name, __version__, runner.started_at)
        assert (utcnow() - row.beat_at).total_seconds() < 5
        assert stored(app, Worker) == []

    def test_beats_again_and_again(self, app, monkeypatch):
        monkeypatch.setattr(runner_module, "BEAT_SECONDS", 0.05)
        with running(app, job(due=lambda: False)):
            assert eventually(lambda: len(stored(app, Worker)) == 1)
            first = stored(app, Worker)[0].beat_at

            assert eventually(lambda: stored(app, Worker)[0].beat_at > first)

    def test_does_not_beat_while_it_starts_nothing(self, app, monkeypatch):
        monkeypatch.setattr(runner_module, "BEAT_SECONDS", 0.05)
        monkeypatch.setattr(runner_module, "STALLED_SECONDS", 0.5)
        with running(app, job(due=lambda: False)):
            assert eventually(lambda: len(stored(app, Worker)) == 1)
            monkeypatch.setattr(runner_module.SteadyScheduler, "run_pending", lambda self: None)
            time.sleep(1.8)
            last = stored(app, Worker)[0].beat_at
            time.sleep(0.5)

            assert stored(app, Worker)[0].beat_at == last

    def test_never_runs_a_job_twice_at_once(self, app):
        at_once, most = [], []

        def slowly(run: Run) -> dict:
            at_once.append(1)
            most.append(len(at_once))
            run.stop.wait(1.6)
            at_once.pop()
            return {"done": 1}

        with running(app, job(slowly)):
            assert eventually(lambda: len(most) == 2)

        assert most == [1, 1]

    def test_does_not_let_a_slow_job_hold_up_the_others(self, app):
        quick = []
        slow = Job("slow", 1, lambda run: run.stop.wait(30) and {"done": 1})
        with running(app, slow, job(lambda run: quick.append(1) or {"done": 1})):
            assert eventually(lambda: len(quick) >= 3)

    def test_goes_on_after_a_job_has_failed(self, app):
        calls = []

        def fail_first(run: Run) -> dict:
            calls.append(1)
            if len(calls) == 1:
                fail()
            return {"done": 1}

        with running(app, job(fail_first)):
            assert eventually(lambda: len(stored(app, JobRun)) == 2 and len(calls) == 2)

        assert [row.status for row in stored(app, JobRun)][:2] == [RunStatus.FAILED, RunStatus.DONE]

    def test_goes_on_when_the_database_has_been_away(self, app, monkeypatch):
        away, ran = threading.Event(), []
        away.set()
        real = runner_module.in_transaction

        def moody(work):
            if away.is_set():
                raise OperationalError("SELECT 1", {}, Exception("the database is away"))
            return real(work)

        monkeypatch.setattr(runner_module, "in_transaction", moody)
        with running(app, job(lambda run: ran.append(1) or {"done": 1})):
            time.sleep(1.2)
            assert ran == []
            away.clear()
            assert eventually(lambda: bool(ran) and bool(stored(app, Worker)))

    def test_goes_on_when_asking_what_is_due_fails(self, app):
        asked = []

        def due() -> bool:
            asked.append(1)
            if len(asked) == 1:
                fail()
            return True

        with running(app, job(due=due)):
            assert eventually(lambda: len(stored(app, JobRun)) >= 1)

    def test_stops_within_a_moment_when_nothing_is_running(self, app):
        with running(app, job(due=lambda: False)):
            assert eventually(lambda: len(stored(app, Worker)) == 1)
            started = time.monotonic()

        assert time.monotonic() - started < 1.5

    def test_lets_a_job_that_is_running_come_to_an_end(self, app):
        def finish(run: Run) -> dict:
            run.stop.wait(10)
            time.sleep(0.3)
            return {"finished": 1}

        with running(app, job(finish)):
            assert eventually(lambda: len(stored(app, JobRun)) == 1)

        (row,) = stored(app, JobRun)
        assert (row.status, row.summary) == (RunStatus.DONE, '{"finished": 1}')

    def test_does_not_wait_for_ever_for_a_job_that_does_not_stop(self, app, monkeypatch):
        monkeypatch.setattr(runner_module, "STOP_SECONDS", 0.3)
        release = threading.Event()
        with running(app, job(lambda run: release.wait(20) and {"done": 1})):
            assert eventually(lambda: len(stored(app, JobRun)) == 1)
            started = time.monotonic()
        seconds = time.monotonic() - started
        release.set()

        assert seconds < 2
        assert stored(app, Worker) == []
        assert eventually(lambda: stored(app, JobRun)[0].status == RunStatus.DONE)


class Impatient(threading.Event):
    """A stop that is set once the process would have ended, and at which nobody waits for long."""

    def __init__(self, codes: list[int]) -> None:
        super().__init__()
        self.codes = codes

    def wait(self, timeout: float | None = None) -> bool:
        return super().wait(min(timeout or 0.0, 0.02)) or bool(self.codes)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
class TestTheWatchdog:
    @pytest.fixture
    def ended(self, monkeypatch) -> list[int]:
        """The codes with which the process would have ended."""
        codes: list[int] = []
        monkeypatch.setattr(runner_module.os, "_exit", codes.append)
        monkeypatch.setattr(runner_module, "STUCK_SECONDS", 0.3)
        return codes

    def watched(self, app: Flask, ended: list[int], seconds: float, tick: Callable[[Runner], None]) -> None:
        """Let the watchdog look at a runner for so many seconds, with something happening all the time."""
        runner = Runner(app, {"chore": job()})
        runner.stop = Impatient(ended)
        watchdog = threading.Thread(target=runner._watch)
        watchdog.start()
        until = time.monotonic() + seconds
        while time.monotonic() < until and watchdog.is_alive():
            tick(runner)
            time.sleep(0.02)
        runner.stop.set()
        watchdog.join(5)
        runner.threads.shutdown()

    def test_is_content_while_the_loop_goes_round(self, app, ended):
        self.watched(app, ended, 0.6, lambda runner: setattr(runner, "ticked_at", time.monotonic()))

        assert ended == []

    def test_ends_the_process_when_the_loop_stands_still(self, app, ended):
        self.watched(app, ended, 2, lambda runner: None)

        assert ended == [EX_SOFTWARE]

    def test_ends_the_process_when_no_job_is_started_any_more(self, app, ended):
        self.watched(app, ended, 3, lambda runner: setattr(runner, "ticked_at", time.monotonic()))

        assert ended == [EX_SOFTWARE]

    def test_ends_the_process_when_a_job_gets_nowhere(self, app, ended):
        run, future = Run(), runner_module.Future()

        def tick(runner: Runner) -> None:
            runner.ticked_at = time.monotonic()
            runner.running["chore"] = (future, run)

        self.watched(app, ended, 2, tick)

        assert ended == [EX_SOFTWARE]

    def test_is_content_while_a_job_says_that_it_is_getting_on(self, app, ended):
        run, future = Run(), runner_module.Future()

        def tick(runner: Runner) -> None:
            runner.ticked_at = time.monotonic()
            runner.running["chore"] = (future, run)
            run.alive()

        self.watched(app, ended, 0.6, tick)

        assert ended == []

    def test_cares_for_no_job_that_is_done(self, app, ended):
        run, future = Run(alive_at=0.0), runner_module.Future()
        future.set_result(None)

        def tick(runner: Runner) -> None:
            runner.ticked_at = time.monotonic()
            runner.running["chore"] = (future, run)

        self.watched(app, ended, 0.6, tick)

        assert ended == []
