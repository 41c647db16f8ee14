"""Tokens that stand in mails: signed, and stored nowhere. The caller owns the transaction."""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from itsdangerous import BadData, URLSafeTimedSerializer

from aggregator.errors import BadMailToken

CONFIRMATION_LASTS = timedelta(days=2)
UNSUBSCRIPTION_LASTS = timedelta(days=400)
MAX_LENGTH = 500


class MailList(StrEnum):
    """What mails a user can do without."""

    ALERTS = "alerts"
    DAILY = "daily"


class MailTokens:
    """Makes tokens with the first of its keys, and reads those that any of them has made."""

    def __init__(self, keys: Sequence[str]) -> None:
        oldest_first = list(reversed(keys))
        self._confirmations = URLSafeTimedSerializer(oldest_first, "confirmation of an address")
        self._unsubscriptions = URLSafeTimedSerializer(oldest_first, "mails no longer wanted")

    def confirmation(self, user_id: UUID, confirmation_id: UUID) -> str:
        """What confirms the address that a user has just now."""
        return str(self._confirmations.dumps([user_id.hex, confirmation_id.hex]))

    def read_confirmation(self, token: str) -> tuple[UUID, UUID]:
        """Whose address a token confirms, and which one. BadMailToken where it is none, or has expired."""
        user_id, confirmation_id = _read(self._confirmations, token, CONFIRMATION_LASTS)
        return UUID(user_id), UUID(confirmation_id)

    def unsubscription(self, user_id: UUID, which: MailList) -> str:
        """What ends mails of a kind to a user."""
        return str(self._unsubscriptions.dumps([user_id.hex, which]))

    def read_unsubscription(self, token: str) -> tuple[UUID, MailList]:
        """Who wants no more mails, and which. BadMailToken where it is none, or has expired."""
        user_id, which = _read(self._unsubscriptions, token, UNSUBSCRIPTION_LASTS)
        return UUID(user_id), MailList(which)


def _read(serializer: URLSafeTimedSerializer, token: str, lasts: timedelta) -> list[str]:
    try:
        if len(token) > MAX_LENGTH or not token.isascii():
            raise BadMailToken
        return list(serializer.loads(token, max_age=int(lasts.total_seconds())))
    except BadData:
        raise BadMailToken from None
