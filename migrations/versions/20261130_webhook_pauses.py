"""until when receivers of webhooks want to be left alone"""

import sqlalchemy as sa
from alembic import op

from aggregator.models.types import UTCDateTime

revision = 'b5f08c61d9a4'
down_revision = '7e1d93ab5c02'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('webhooks', sa.Column('paused_until', UTCDateTime(), nullable=True))


def downgrade():
    op.drop_column('webhooks', 'paused_until')
