"""Makes old prices into hours and days, a little at a time, and never in the way of the sync."""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import settings
from aggregator.jobs.run import Run, Summary
from aggregator.services import jobs, retention
from aggregator.services.price_tables import Key, Kind
from aggregator.services.retention import Cuts
from aggregator.services.roll_ups import Level

ROLL_UP = "roll-up-prices"
ROLL_UP_SECONDS = 3600.0


def roll_up_is_due() -> bool:
    """Whether no worker has rolled up prices for about an hour, however often workers are restarted."""
    return not jobs.has_run_within(ROLL_UP, 0.9 * ROLL_UP_SECONDS)


def roll_up(run: Run) -> Summary:
    """Make the points and the hours that are too old into hours and days, of all series in the order of their keys.

    There is nothing to resume from: what has been done is seen from what there is.
    """
    cuts = retention.cuts(utcnow(), settings().history_raw_days, settings().history_hourly_days)
    rolled: Counter[str] = Counter(points=0, hours=0)
    for kind in Kind:
        keys = retention.series_after(kind)
        while keys and not run.stop.is_set():
            rolled += _roll_up(run, kind, keys, cuts)
            keys = retention.series_after(kind, keys[-1])
    return {"points": rolled["points"], "hours": rolled["hours"]}


def _roll_up(run: Run, kind: Kind, keys: Sequence[Key], cuts: Cuts) -> Counter[str]:
    """Roll up all that some series have, a batch in a transaction each, with a rest in between."""
    done: Counter[str] = Counter()
    for level in Level:  # the points first: a day needs all of its hours
        batch = partial(retention.roll_up, kind, level, keys, cuts.of(level))
        while not run.stop.is_set():
            run.alive()
            gone = in_transaction(batch)
            if gone is None:
                break
            done[level] += gone
            run.stop.wait(retention.rest())
    return done
