"""Keeps the offers up to date, and registers what is still to be registered."""

from collections.abc import Callable
from uuid import UUID

from flask import Flask, current_app

from aggregator.extensions import sync_settings, tokens
from aggregator.flows.sync import Sync
from aggregator.jobs.run import Run, Summary
from aggregator.services import feeds


def anything_due() -> bool:
    """Whether a product wants to be synced or registered now."""
    return feeds.anything_due()


def sync_due(run: Run) -> Summary:
    """Sync and register all that is due."""
    return sync(run)


def sync(run: Run, only: UUID | None = None, progress: Callable[[int], None] = lambda products: None) -> Summary:
    """Sync and register all that is due, or one product; count what was done, and say what got in the way."""
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    work = Sync(app, tokens(), sync_settings(), run.stop, only, progress, run.alive)
    done = {name: number for name, number in work.run().items() if number}
    return {**done, "problem": work.problem} if work.problem else {**done}
