"""All secrets that are stored: which are to be encrypted again, and which cannot be read. The caller owns the
transaction."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db
from aggregator.models import Access, Webhook
from aggregator.reading import read
from aggregator.secret_box import MARK, PREFIX_LENGTH, SecretBox
from aggregator.sql import Select

AT_ONCE = 500


def renew_webhooks(box: SecretBox, after: UUID | None = None) -> tuple[UUID | None, int]:
    """Encrypt the secrets of some webhooks with the current key: the last of these webhooks, and how many secrets.

    After the last webhook there is None. What cannot be read stays as it is.
    """
    outdated = sa.or_(_is_outdated(Webhook.secret, box), _is_outdated(Webhook.old_secret, box))
    rows = sa.select(Webhook).where(outdated).order_by(Webhook.id).limit(AT_ONCE)
    if after is not None:
        rows = rows.where(Webhook.id > after)
    webhooks = db.session.scalars(rows.with_for_update(key_share=True)).all()
    renewed = 0
    for webhook in webhooks:
        for name in ("secret", "old_secret"):
            stored = getattr(webhook, name) or ""
            if (new := box.renewed(stored)) != stored:
                setattr(webhook, name, new)
                renewed += 1
    db.session.flush()
    return (webhooks[-1].id if webhooks else None), renewed


def renew_token(box: SecretBox) -> int:
    """Encrypt the access token with the current key; 1 where that was to be done."""
    access = db.session.scalar(sa.select(Access).where(_is_outdated(Access.token, box)).with_for_update())
    if access is None or access.token is None or (new := box.renewed(access.token)) == access.token:
        return 0
    access.token = new
    db.session.flush()
    return 1


def count_outdated(webhooks: SecretBox, token: SecretBox) -> int:
    """How many secrets are not encrypted with the current key: after they have been renewed, those that are lost."""
    columns: list[tuple[sa.SQLColumnExpression[Any], SecretBox]] = [(Webhook.secret, webhooks), (Access.token, token)]
    columns.append((Webhook.old_secret, webhooks))
    counts = [sa.select(sa.func.count()).where(_is_outdated(column, box)) for column, box in columns]
    return sum(db.session.scalars(count).one() for count in counts)


def unreadable_webhooks(prefixes: tuple[str, ...]) -> int:
    """How many webhooks have a secret whose key is not given any more."""
    return int(read(_unreadable_webhooks, prefixes)[0][0])


def is_unreadable(column: sa.SQLColumnExpression[Any], prefixes: tuple[str, ...]) -> sa.ColumnElement[bool]:
    """Whether a secret was encrypted with a key that is not given any more."""
    known = sa.or_(*(_prefix(column) == sa.literal_column(f"'{prefix}'") for prefix in prefixes))
    return sa.and_(sa.func.substr(column, 1, len(MARK)) == sa.literal_column(f"'{MARK}'"), sa.not_(known))


def _unreadable_webhooks(prefixes: tuple[str, ...]) -> Select:
    return sa.select(sa.func.count()).select_from(Webhook).where(is_unreadable(Webhook.secret, prefixes))


def _is_outdated(column: sa.SQLColumnExpression[Any], box: SecretBox) -> sa.ColumnElement[bool]:
    return sa.and_(column != "", _prefix(column) != box.current)


def _prefix(column: sa.SQLColumnExpression[Any]) -> sa.ColumnElement[str]:
    return sa.func.substr(column, 1, PREFIX_LENGTH)
