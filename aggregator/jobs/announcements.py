"""Tells the outside what has changed."""

from collections import Counter

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import settings
from aggregator.jobs.run import Run, Summary
from aggregator.services import announcements


def anything_new() -> bool:
    """Whether there is a change that has not been announced."""
    return announcements.anything_new()


def announce(run: Run) -> Summary:
    """Set off alerts and queue webhooks for all that has changed."""
    done: Counter[str] = Counter()
    while not run.stop.is_set():
        changes, messages = in_transaction(lambda: announcements.announce(settings().currency, utcnow()))
        if not changes:
            break
        done += Counter(changes=changes, messages=messages)
        run.alive()
    return {**done}
