"""Forgets what nobody needs any more."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import gallery, offers_box, webhook_box
from aggregator.jobs.run import Run, Summary
from aggregator.services import (
    changes,
    idempotency,
    images,
    jobs,
    limits,
    outbox,
    sign_ins,
    sort_keys,
    stored_secrets,
    webhooks,
)

CLEAN_UP = "clean-up"
CLEAN_UP_SECONDS = 3600.0
LOST_WORKER_SECONDS = 24 * 3600.0


def clean_up_is_due() -> bool:
    """Whether no worker has cleaned up for about an hour, however often workers are restarted."""
    return not jobs.has_run_within(CLEAN_UP, 0.9 * CLEAN_UP_SECONDS)


def clean_up(run: Run) -> Summary:
    """Forget old keys, deliveries, deleted webhooks, needless changes, runs, limits, sign-ins and lost workers.

    And the images of deleted products, and what lies in their store that no image speaks of. Keys that another version
    has left out of date are mended, and secrets encrypted that it has stored as they are.
    """
    return {
        "idempotency_keys": _all(run, idempotency.expire),
        "deliveries": _all(run, outbox.expire) + _all(run, webhooks.expire_log),
        "webhooks": _all(run, webhooks.expire),  # after the last of their deliveries
        "changes": _compact_changes(run),
        "job_runs": _all(run, jobs.expire_runs),
        "rate_limits": _all(run, limits.expire),
        "sign_ins": _all(run, sign_ins.expire),
        "images": _all(run, images.expire),
        "lost_image_files": gallery().sweep(run.stop, run.alive),
        "sort_keys": _all(run, sort_keys.mend),
        "encrypted": encrypt_secrets(run),
        "workers": in_transaction(lambda: jobs.forget_lost_workers(LOST_WORKER_SECONDS)),
    }


def encrypt_secrets(run: Run) -> int:
    """Encrypt all stored secrets with the current key that are not, as far as they can be read, and count them."""
    last: UUID | None = None
    total = in_transaction(lambda: stored_secrets.renew_token(offers_box()))
    while not run.stop.is_set():
        last, renewed = in_transaction(lambda after=last: stored_secrets.renew_webhooks(webhook_box(), after))  # type: ignore[misc]
        total += renewed
        run.alive()
        if last is None:
            break
    return total


def _all(run: Run, expire: Callable[[datetime], int]) -> int:
    """Expire a batch at a time, in a transaction each, until there is nothing left."""
    now, total = utcnow(), 0
    while not run.stop.is_set() and (expired := in_transaction(lambda: expire(now))):
        total += expired
        run.alive()
    return total


def _compact_changes(run: Run) -> int:
    now, total = utcnow(), 0
    number: int | None = 0
    while number is not None and not run.stop.is_set():
        number, forgotten = in_transaction(lambda after=number: changes.compact(after, now))  # type: ignore[misc]
        total += forgotten
        run.alive()
    return total
