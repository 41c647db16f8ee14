"""What the workers do, and that they are alive."""

from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import Base
from aggregator.models.types import BigKey, choice


class RunStatus(StrEnum):
    """How a run of a job ended, if it has."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


class JobRun(Base):
    """One run of a job that found something to do."""

    __tablename__ = "job_runs"
    __table_args__ = (sa.Index(None, "job", "started_at"),)

    id: Mapped[int] = mapped_column(BigKey, primary_key=True)
    job: Mapped[str] = mapped_column(sa.String(40))
    worker: Mapped[str] = mapped_column(sa.String(80))
    status: Mapped[RunStatus] = mapped_column(choice(RunStatus))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    summary: Mapped[str | None] = mapped_column(sa.Text)
    error: Mapped[str | None] = mapped_column(sa.Text)


class Worker(Base):
    """A living worker process; it removes its row when it stops in peace."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(sa.String(80), primary_key=True)  # host:pid
    version: Mapped[str] = mapped_column(sa.String(40))
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]
    steady_beat: Mapped[float | None] = mapped_column(sa.Float)  # by the monotonic clock of its host, which nobody sets
