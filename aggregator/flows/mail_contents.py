"""What a mail is about, whether its user wants it, and how to have no more of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

from aggregator.clients.mail import MailRefused
from aggregator.database import in_transaction
from aggregator.models import Event
from aggregator.services import mail_limits
from aggregator.services.confirmations import PREFERENCES
from aggregator.services.mail_tokens import CONFIRMATION_LASTS, MailList, MailTokens
from aggregator.services.mails import Recipient
from aggregator.services.outbox import Claimed

CONFIRM_PATH, UNSUBSCRIBE_PATH = "/account/confirm-email", "/api/v1/mail/unsubscribe"
LISTS = {Event.PRICE_ALERT: MailList.ALERTS, Event.DIGEST: MailList.ALERTS, Event.DAILY: MailList.DAILY}
ONE_CLICK = "List-Unsubscribe=One-Click"  # RFC 8058's words


@dataclass(frozen=True)
class Links:
    """What mails lead to: the pages of our own web, where it is known how people reach it."""

    tokens: MailTokens
    public_url: str
    sender: str

    def confirmation(self, user_id: UUID, confirmation_id: UUID) -> dict[str, Any]:
        """What the mail says that asks for a confirmation: a link, or else the token."""
        token = self.tokens.confirmation(user_id, confirmation_id)
        link = f"{self.public_url}{CONFIRM_PATH}?{urlencode({'token': token})}" if self.public_url else ""
        return {"link": link, "token": token, "hours": int(CONFIRMATION_LASTS.total_seconds()) // 3600}

    def opt_out(self, event: Event, user_id: UUID) -> tuple[dict[str, str], dict[str, str]]:
        """The headers by which mail programs unsubscribe, and what the mail itself says; nothing for some events."""
        which = LISTS.get(event)
        if which is None:
            return {}, {}
        preference = PREFERENCES[which]
        if self.public_url:
            token = self.tokens.unsubscription(user_id, which)
            link = f"{self.public_url}{UNSUBSCRIBE_PATH}?{urlencode({'token': token})}"
            headers = {"List-Unsubscribe": f"<{link}>", "List-Unsubscribe-Post": ONE_CLICK}
            return headers, {"link": link, "preference": preference}
        headers = {}
        if "." in self.sender.rpartition("@")[2]:  # an address that may have somebody behind it
            headers = {"List-Unsubscribe": f"<mailto:{quote(self.sender, safe='@')}?subject=unsubscribe%20{which}>"}
        return headers, {"link": "", "preference": preference}


def check_wanted(delivery: Claimed, recipient: Recipient) -> None:
    """Return if the user is to get the mail. MailRefused where the address is not confirmed, or the mail not wanted."""
    if delivery.event is Event.CONFIRM_EMAIL:
        if str(recipient.confirmation_id) != delivery.payload["confirmation_id"]:
            raise MailRefused("the address has been confirmed or changed since")
        return
    if not recipient.confirmed:
        raise MailRefused("the address is not confirmed")
    which = LISTS.get(delivery.event)
    if not {MailList.ALERTS: recipient.alerts, MailList.DAILY: recipient.daily, None: True}[which]:
        raise MailRefused("the user wants no such mails")


def news_of(delivery: Claimed, links: Links) -> dict[str, Any]:
    """What a template needs to know. MailRefused where there is nothing to be said any more."""
    if delivery.event is Event.CONFIRM_EMAIL:
        return links.confirmation(delivery.user_id, UUID(delivery.payload["confirmation_id"]))
    if delivery.event is not Event.DIGEST:
        return dict(delivery.payload)
    since = datetime.fromisoformat(delivery.payload["since"])
    digest = in_transaction(lambda: mail_limits.digest(delivery.user_id, since))
    if not digest["count"]:
        raise MailRefused("there is nothing to be said")
    return {**delivery.payload, **digest}
