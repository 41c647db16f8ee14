"""room for secrets of webhooks that are encrypted

The rows stay as they are: the version that still runs could not read them. The worker encrypts them when it cleans up, and
`flask secrets rotate` at once. The way down decrypts them with SECRET_KEY and SECRET_KEY_FALLBACKS. A webhook whose secret
cannot be read is disabled, with a secret that nobody knows: its user rotates it, and enables it again.
"""

from base64 import b64encode
from secrets import token_bytes

import sqlalchemy as sa
from alembic import op

from aggregator.extensions import offers_box, webhook_box
from aggregator.models.types import GUID

revision = 'a7d15e83c4b9'
down_revision = 'f3b91c6d2a70'
branch_labels = None
depends_on = None

WEBHOOKS = sa.table(
    'webhooks',
    sa.column('id', GUID()),
    *map(sa.column, ('secret', 'old_secret', 'old_secret_until', 'disabled_reason')),
    sa.column('enabled', sa.Boolean()),
)
ACCESS = sa.table('access', sa.column('token'))
LOST = 'secret lost'


def upgrade():
    if on_postgresql():  # SQLite minds no length
        op.alter_column('webhooks', 'secret', type_=sa.Text(), existing_nullable=False)
        op.alter_column('webhooks', 'old_secret', type_=sa.Text(), existing_nullable=True)


def downgrade():
    for row in op.get_bind().execute(sa.select(WEBHOOKS)).all():
        op.get_bind().execute(sa.update(WEBHOOKS).where(WEBHOOKS.c.id == row.id).values(decrypted(row)))
    token = op.get_bind().scalar(sa.select(ACCESS.c.token))
    if token and offers_box().can_open(token):  # else it is left: where there is none, the older version signs up anew
        op.get_bind().execute(sa.update(ACCESS).values(token=offers_box().open(token)))
    if on_postgresql():
        op.alter_column('webhooks', 'old_secret', type_=sa.String(100), existing_nullable=True)
        op.alter_column('webhooks', 'secret', type_=sa.String(100), existing_nullable=False)


def on_postgresql():
    return op.get_bind().dialect.name == 'postgresql'


def decrypted(row):
    """The secrets of a webhook as the version before stores them."""
    box = webhook_box()
    old = row.old_secret and box.can_open(row.old_secret)
    values = {'old_secret': box.open(row.old_secret)} if old else {'old_secret': None, 'old_secret_until': None}
    if box.can_open(row.secret):
        return values | {'secret': box.open(row.secret)}
    unknown = f'whsec_{b64encode(token_bytes(32)).decode()}'
    return values | {'secret': unknown, 'enabled': False, 'disabled_reason': LOST}
