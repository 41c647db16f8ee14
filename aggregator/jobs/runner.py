"""Runs jobs by the monotonic clock, records each run, and survives whatever a job does."""

import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime

import structlog
from flask import Flask

from aggregator import __version__, database
from aggregator.clock import utcnow
from aggregator.database import database_now, in_transaction, outages
from aggregator.flows.claims import process_name
from aggregator.jobs.run import Run, Summary
from aggregator.jobs.scheduler import SteadyScheduler
from aggregator.jobs.timetable import JOBS, Job
from aggregator.logs import redacted
from aggregator.services import jobs

BEAT_SECONDS = 10.0
TICK_SECONDS = 0.2
STOP_SECONDS = 8.0  # a platform kills after 10 or 30
STUCK_SECONDS = 120.0
STALLED_SECONDS = 30.0  # after the next job should have been started
EX_SOFTWARE = 70

log = structlog.get_logger(__name__)


def run_job(job: Job, run: Run) -> Summary | None:
    """Run job if it is due, and record the run. None where it was not due, or failed."""
    if not job.due():
        return None
    worker = process_name()
    run_id = in_transaction(lambda: jobs.start_run(job.name, worker, database_now()))
    summary, error = None, None
    try:
        summary = job.run(run)
        if summary:
            log.info("job done", job=job.name, **summary)
    except Exception as failure:
        trouble = outages().note(failure)
        error = str(trouble) if trouble else redacted(traceback.format_exc())
        if not trouble:
            log.exception("job failed", job=job.name)
    in_transaction(lambda: jobs.end_run(run_id, database_now(), summary, error))
    return summary


def _leave_signals_to_the_main_thread() -> None:
    """Let no signal wake this thread: SQLite counts how often it has waited for its turn, not for how long."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})


class Runner:
    """A worker: the clock in the calling thread, each job in a thread of its own and never twice at once."""

    def __init__(self, app: Flask, timetable: Mapping[str, Job] | None = None) -> None:
        self.app = app
        self.timetable = JOBS if timetable is None else timetable
        self.stop = threading.Event()
        self.asked_to_stop = False
        self.name = process_name()
        self.started_at: datetime = utcnow()
        self.ticked_at = self.progressed_at = time.monotonic()
        self.threads = ThreadPoolExecutor(len(self.timetable), "job", initializer=_leave_signals_to_the_main_thread)
        self.running: dict[str, tuple[Future[None], Run]] = {}
        self.beaten_at = -BEAT_SECONDS

    def ask_to_stop(self) -> None:
        """Have run() come to an end. For signal handlers: they must not touch the event's lock."""
        self.asked_to_stop = True

    def run(self) -> None:
        """Run until asked to stop, and let what is running come to an end."""
        clock = SteadyScheduler()
        for job in self.timetable.values():
            clock.every(max(int(job.seconds), 1)).seconds.do(self._start, job)
        threading.Thread(target=self._watch, daemon=True, name="watchdog").start()
        log.info("worker started", worker=self.name)
        clock.run_all()
        while not self.asked_to_stop:
            self.ticked_at = time.monotonic()
            self._safely(self._beat)
            clock.run_pending()
            time.sleep(TICK_SECONDS)
        self.stop.set()
        self._end()

    def _start(self, job: Job) -> None:
        """Start a job, unless its last run is still going on."""
        self.progressed_at = time.monotonic()
        future, _ = self.running.get(job.name, (None, None))
        if future is None or future.done():
            run = Run(self.stop)
            self.running[job.name] = self.threads.submit(self._run_in_thread, job, run), run

    def _run_in_thread(self, job: Job, run: Run) -> None:
        with self.app.app_context():
            self._safely(lambda: run_job(job, run))

    def _safely(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:
            # Most likely the database is away; the next tick finds it back.
            if self.app.extensions["outages"].note(error) is None:
                log.exception("worker trouble")

    def _beat(self) -> None:
        """Note that this worker gets on; not while it only goes round and starts nothing."""
        if time.monotonic() - self.beaten_at < BEAT_SECONDS or self._stands_still(STALLED_SECONDS):
            return
        self.beaten_at = time.monotonic() - BEAT_SECONDS + 1.0  # where it fails, again in a second
        with self.app.app_context():
            in_transaction(lambda: jobs.beat(self.name, __version__, self.started_at))
        self.beaten_at = time.monotonic()

    def _stands_still(self, seconds: float) -> bool:
        """Whether no job has been started for so long after the most frequent one should have been."""
        often = min((job.seconds for job in self.timetable.values()), default=0.0)
        return time.monotonic() - self.progressed_at > often + seconds

    def _end(self) -> None:
        """Wait for the running jobs, which have been told to stop, and sign off."""
        log.info("worker stopping", worker=self.name)
        deadline = time.monotonic() + STOP_SECONDS
        for future, _ in self.running.values():
            try:
                future.result(timeout=max(deadline - time.monotonic(), 0.0))
            except TimeoutError:
                log.warning("a job did not stop in time; its claims will run out")
        self._safely(self._sign_off)
        database.close(self.app)
        log.info("worker stopped", worker=self.name)

    def _sign_off(self) -> None:
        with self.app.app_context():
            in_transaction(lambda: jobs.sign_off(self.name))

    def _watch(self) -> None:
        """End the process when something has made no progress for long: whoever runs it starts a new one."""
        while not self.stop.wait(5.0):
            alive = [run.alive_at for future, run in list(self.running.values()) if not future.done()]
            stuck = time.monotonic() - min([self.ticked_at, *alive]) > STUCK_SECONDS
            if stuck or self._stands_still(STUCK_SECONDS):
                log.error("worker stuck", worker=self.name)
                os._exit(EX_SOFTWARE)
