"""The record of what the workers do, and of the workers themselves."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic

import sqlalchemy as sa

from aggregator.database import database_now, db, dialect
from aggregator.models import JobRun, RunStatus, Worker
from aggregator.models.base import table_of
from aggregator.reading import read
from aggregator.sql import Select, in_code_points, now_plus, upsert

RUNS_KEPT = timedelta(days=7)
EXPIRED_AT_ONCE = 5_000
WORKER_LOST_SECONDS = 120.0
PROBLEM_SECONDS = 3600.0
AT_ONCE_SECONDS = 1.0
MAX_ERROR = 2_000


def start_run(job: str, worker: str, now: datetime) -> int:
    """Note that a job begins; returns the number of the run."""
    run = JobRun(job=job, worker=worker, status=RunStatus.RUNNING, started_at=now)
    db.session.add(run)
    db.session.flush()
    return run.id


def end_run(run_id: int, now: datetime, summary: Mapping[str, object] | None, error: str | None) -> None:
    """Note how a run ended; one that found nothing to do leaves no trace."""
    run = db.session.get(JobRun, run_id)
    if run is None:
        return
    if not summary and error is None:
        db.session.delete(run)
        return
    run.status = RunStatus.FAILED if error else RunStatus.DONE
    run.finished_at = max(now, run.started_at)  # the clock may have gone back
    run.summary = json.dumps(summary) if summary is not None else None
    run.error = error[-MAX_ERROR:] if error else None


def latest_runs(limit: int, job: str | None = None) -> Sequence[JobRun]:
    """The latest runs, of one job or of all, the newest first."""
    runs = sa.select(JobRun).order_by(JobRun.id.desc()).limit(limit)
    return db.session.scalars(runs.where(JobRun.job == job) if job else runs).all()


def expire_runs(now: datetime) -> int:
    """Forget some of the runs of more than a week ago, up to a batch, and count them."""
    old = sa.select(JobRun.id).where(JobRun.started_at < now - RUNS_KEPT).limit(EXPIRED_AT_ONCE)
    return len(db.session.execute(sa.delete(JobRun).where(JobRun.id.in_(old)).returning(JobRun.id)).all())


def has_run_within(job: str, seconds: float) -> bool:
    """Whether any worker has begun a run of job in the last seconds that did not fail.

    By the database's clock. A run that lies ahead of it was begun before the clock went back, nobody knows when.
    """
    return bool(read(_run_within, seconds, job=job))


def problem_of_latest_run(job: str) -> str | None:
    """What the latest run of a job has found to be wrong outside, if that was in the last hour."""
    rows = read(_latest, job=job)
    problem = json.loads(rows[0].summary or "{}").get("problem") if rows else None
    return str(problem) if problem else None


def _latest() -> Select:
    lately = JobRun.started_at.between(now_plus(-PROBLEM_SECONDS), now_plus(0))
    runs = sa.select(JobRun.summary).where(JobRun.job == sa.bindparam("job"), lately)
    return runs.order_by(JobRun.started_at.desc(), JobRun.id.desc()).limit(1)


def _run_within(seconds: float) -> Select:
    lately = JobRun.started_at.between(now_plus(-seconds), now_plus(0))
    return (
        sa.select(sa.literal(1))
        .select_from(JobRun)
        .where(JobRun.job == sa.bindparam("job"), lately, JobRun.status != RunStatus.FAILED)
        .limit(1)
    )


def beat(worker: str, version: str, started_at: datetime) -> None:
    """Note that a worker is alive."""
    beat = {"beat_at": database_now(), "steady_beat": monotonic()}
    insert = upsert(table_of(Worker), dialect()).values(name=worker, version=version, started_at=started_at, **beat)
    db.session.execute(insert.on_conflict_do_update(index_elements=["name"], set_=beat))


def sign_off(worker: str) -> None:
    """Note that a worker has stopped in peace."""
    db.session.execute(sa.delete(Worker).where(Worker.name == worker))


def forget_lost_workers(seconds: float) -> int:
    """Forget the workers that have not been heard of for so long, and count them."""
    is_lost = sa.or_(Worker.beat_at < now_plus(-seconds), Worker.beat_at > now_plus(seconds))
    return len(db.session.execute(sa.delete(Worker).where(is_lost).returning(Worker.name)).all())


def workers() -> Sequence[Worker]:
    """The workers that have not signed off."""
    return db.session.scalars(sa.select(Worker).order_by(in_code_points(Worker.name))).all()


def is_heard_of() -> sa.ColumnElement[bool]:
    """Whether a worker has been heard of lately, by the database's clock; one that lies ahead of it has not."""
    return Worker.beat_at.between(now_plus(-WORKER_LOST_SECONDS), now_plus(AT_ONCE_SECONDS))


def silences(host: str) -> list[float]:
    """For how many seconds each worker of this host has not been heard of, the shortest silence first.

    By the monotonic clock that all processes of a host have in common: whatever is done to the wall clock, it says
    who is alive. A beat that lies ahead is from before the host was started, or of an older version before the
    database's clock went back: nobody knows how long ago that was.
    """
    named = f"{host[:40]}:"
    theirs = sa.func.substr(Worker.name, 1, len(named)) == named
    beats = db.session.execute(sa.select(Worker.beat_at, Worker.steady_beat).where(theirs)).all()
    now, steady = database_now(), monotonic()
    ages = [(now - at).total_seconds() if beat is None else steady - beat for at, beat in beats]
    return sorted(age for age in ages if age > -AT_ONCE_SECONDS)
