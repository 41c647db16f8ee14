"""Forgets what nobody needs any more."""

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.jobs.run import Run, Summary
from aggregator.services import idempotency, jobs

LOST_WORKER_SECONDS = 24 * 3600.0


def clean_up(_: Run) -> Summary:
    """Forget old idempotency keys, old runs, and the workers that died without a word."""
    now = utcnow()
    return {
        "idempotency_keys": in_transaction(lambda: idempotency.expire(now)),
        "job_runs": in_transaction(lambda: jobs.expire_runs(now)),
        "workers": in_transaction(lambda: jobs.forget_lost_workers(LOST_WORKER_SECONDS)),
    }
