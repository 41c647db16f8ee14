"""Sends mails: those that are due, and each morning the daily one."""

from functools import partial
from zoneinfo import ZoneInfo

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import post, settings
from aggregator.flows.mails import deliver
from aggregator.jobs.run import Run, Summary
from aggregator.models import Channel
from aggregator.services import mails, outbox


def anything_due() -> bool:
    """Whether a mail is due, and the server is not left alone just now."""
    return not post().rests and outbox.anything_due(Channel.MAIL)


def send_due(run: Run) -> Summary:
    """Send the mails that are due."""
    return deliver(post(), run.stop, run.alive)


def daily_is_due() -> bool:
    """Whether it is past eight in the morning, and somebody has not had the mail of today."""
    day = mails.day_to_tell(utcnow(), ZoneInfo(settings().timezone))
    return day is not None and mails.anybody_waits(day)


def queue_daily(run: Run) -> Summary:
    """Queue the daily mail for everybody who has not had it."""
    now = utcnow()
    day = mails.day_to_tell(now, ZoneInfo(settings().timezone))
    if day is None:
        return {}
    news = mails.daily_news(day, settings().currency, now)
    queued, last = 0, None
    while not run.stop.is_set():
        new, last = in_transaction(partial(mails.queue_daily, day, news, now, last))
        if last is None:
            in_transaction(partial(mails.note_told, day, now))
            break
        queued += new
        run.alive()
    return {"queued": queued}
