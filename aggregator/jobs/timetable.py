"""What the worker does, and how often, as one list."""

from collections.abc import Callable
from dataclasses import dataclass

from aggregator.jobs import announcements, audit, history, housekeeping, images, mails, offers, orders, webhooks
from aggregator.jobs.run import Run, Summary


@dataclass(frozen=True)
class Job:
    """Something to do every so many seconds. It is run only when it is due; a run returns what it did.

    What is due is read from the database: the clock keeps nothing, and a restart forgets nothing.
    """

    name: str
    seconds: float
    run: Callable[[Run], Summary]
    due: Callable[[], bool] = lambda: True


JOBS = {
    job.name: job
    for job in (
        Job("sync-offers", 1, offers.sync_due, offers.anything_due),
        Job("announce", 1, announcements.announce, announcements.anything_new),
        Job("send-mails", 1, mails.send_due, mails.anything_due),
        Job("send-webhooks", 1, webhooks.send_due, webhooks.anything_due),
        Job("make-images", 1, images.make_due, images.anything_due),
        Job("lapse-orders", 10, orders.lapse_due, orders.anything_due),
        Job("daily-mail", 30, mails.queue_daily, mails.daily_is_due),
        Job(housekeeping.CLEAN_UP, housekeeping.CLEAN_UP_SECONDS, housekeeping.clean_up, housekeeping.clean_up_is_due),
        Job(history.ROLL_UP, history.ROLL_UP_SECONDS, history.roll_up, history.roll_up_is_due),
        Job(audit.AUDIT, audit.AUDIT_SECONDS, audit.look, audit.audit_is_due),
    )
}
