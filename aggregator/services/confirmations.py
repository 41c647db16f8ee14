"""Whether a user's address is theirs: until it is confirmed, it gets no mail but the one that asks for that.

The caller owns the transaction.
"""

from datetime import datetime
from uuid import UUID, uuid4

from aggregator.errors import AlreadyConfirmed, BadMailToken, NotFound
from aggregator.models import Channel, Event, User
from aggregator.services import accounts, outbox
from aggregator.services.mail_tokens import MailList
from aggregator.services.outbox import Message

PREFERENCES = {MailList.ALERTS: "mail_alerts", MailList.DAILY: "mail_daily"}


def ask(user: User, now: datetime) -> None:
    """Send a user the mail that asks for a confirmation. Those sent before for the same address stay good."""
    user.confirmation_id = user.confirmation_id or uuid4()
    payload = {"confirmation_id": str(user.confirmation_id)}
    outbox.queue([Message(Channel.MAIL, Event.CONFIRM_EMAIL, user.id, payload)], now)


def ask_again(user_id: UUID, now: datetime) -> None:
    """Send the mail once more. AlreadyConfirmed where there is nothing to be confirmed."""
    user = accounts.get(user_id)
    if user.email_confirmed:
        raise AlreadyConfirmed
    ask(user, now)


def confirm(user_id: UUID, confirmation_id: UUID, now: datetime) -> None:
    """Note that a user's address is theirs. BadMailToken where it is another by now, or has been confirmed."""
    try:
        user = accounts.get(user_id)
    except NotFound:
        raise BadMailToken from None
    if user.confirmation_id != confirmation_id:
        raise BadMailToken
    accounts.set_confirmed(user, True, now)


def unsubscribe(user_id: UUID, which: MailList, now: datetime) -> None:
    """Send a user no more mails of a kind."""
    user = accounts.get(user_id)
    if getattr(user, PREFERENCES[which]):
        setattr(user, PREFERENCES[which], False)
        user.updated_at = now
