"""Keeps the offers up to date, and registers what is still to be registered."""

from collections import Counter
from collections.abc import Callable
from uuid import UUID

import structlog
from flask import Flask, current_app

from aggregator.database import in_transaction
from aggregator.extensions import settings, sync_settings, tokens
from aggregator.flows.outcomes import Rejected
from aggregator.flows.sync import Sync
from aggregator.jobs.run import Run, Summary
from aggregator.services import feeds, health

# What of a summary says that something went wrong.
FAILURES = {"failed", "not_registered", "refused", "rejected_rows", "problem"}

log = structlog.get_logger(__name__)


def anything_due() -> bool:
    """Whether a product wants to be synced or registered now."""
    return feeds.anything_due() or feeds.anything_misdated(settings().sync_interval_seconds)


def sync_due(run: Run) -> Summary:
    """Sync and register all that is due."""
    return sync(run)


def sync(run: Run, only: UUID | None = None, progress: Callable[[int], None] = lambda products: None) -> Summary:
    """Sync and register all that is due, or one product; count what was done, and say what got in the way.

    What has just been registered is due for its first offers, so there may be more than one pass.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    done: Counter[str] = Counter()
    forward = in_transaction(lambda: feeds.bring_forward(settings().sync_interval_seconds))
    if forward:
        log.warning("the clock of the database has gone back", products_brought_forward=forward)
    rejected = Rejected()
    while True:
        work = Sync(app, tokens(), sync_settings(), run.stop, only, progress, run.alive)
        last = work.run()
        done += last
        rejected += work.verdicts.rejected
        if work.problem or not last["registered"] or run.stop.is_set():
            break
    return {**done, **rejected.summary()} | ({"problem": work.problem} if work.problem else {})


def left_over() -> str | None:
    """What keeps products that are due from being synced or registered; None where nothing does."""
    paused = health.paused_calls()
    if not paused or not feeds.anything_due():
        return None
    return "; ".join(f"calls of the offers service are paused, {call}: {reason}" for call, reason in paused.items())
