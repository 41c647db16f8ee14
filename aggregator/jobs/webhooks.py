"""Sends what is due to webhooks."""

from aggregator.extensions import webhook_settings
from aggregator.flows.webhooks import Sending
from aggregator.jobs.run import Run, Summary
from aggregator.models import Channel
from aggregator.services import outbox


def anything_due() -> bool:
    """Whether a message to a webhook wants to be sent now."""
    return outbox.anything_due(Channel.WEBHOOK)


def send_due(run: Run) -> Summary:
    """Send all that is due."""
    return {**Sending(webhook_settings(), run.stop, run.alive).run()}
