"""whether an address is confirmed, and which mails are wanted"""

import sqlalchemy as sa
from alembic import op

from aggregator.models.types import GUID

revision = 'c94e27b6f1d3'
down_revision = '3c9a6e14f7b8'
branch_labels = None
depends_on = None

FLAGS = ('email_confirmed', 'mail_alerts', 'mail_daily')


def upgrade():
    # Whoever is there already counts as confirmed, and so does who is added by code that knows nothing of this.
    for name in FLAGS:
        op.add_column('users', sa.Column(name, sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column('users', sa.Column('confirmation_id', GUID(), nullable=True))


def downgrade():
    op.drop_column('users', 'confirmation_id')
    for name in reversed(FLAGS):
        op.drop_column('users', name)
