"""Tells the outside what has changed."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import settings
from aggregator.jobs.run import Run, Summary
from aggregator.services import announcements


def anything_new() -> bool:
    """Whether there is a change that has not been announced, or an alert has something to say late."""
    return announcements.anything_new(utcnow())


def announce(run: Run) -> Summary:
    """Set off alerts and queue webhooks for all that has changed, then for what alerts saw in their silence."""
    done: Counter[str] = Counter()
    for name, step in (("changes", announcements.announce), ("late", announcements.announce_late)):
        while not run.stop.is_set():
            announced, messages = in_transaction(partial(_now, step))
            if not announced:
                break
            done += Counter({name: announced, "messages": messages})
            run.alive()
    return {**done}


def _now(step: Callable[[str, datetime], tuple[int, int]]) -> tuple[int, int]:
    return step(settings().currency, utcnow())
