"""rows of answers that were rejected, and offers that stand in them"""

from alembic import op
import sqlalchemy as sa
from aggregator.models.types import UTCDateTime
revision = 'f3b91c6d2a70'
down_revision = 'c94e27b6f1d3'
branch_labels = None
depends_on = None

FEEDS = ('rejected_rows', 'rejected_reason', 'rejected_offer_id')


def upgrade():
    # Without a batch: both databases add columns without copying the table.
    op.add_column('feeds', sa.Column('rejected_rows', sa.Integer(), server_default='0', nullable=False))
    op.add_column('feeds', sa.Column('rejected_reason', sa.Text(), nullable=True))
    op.add_column('feeds', sa.Column('rejected_offer_id', sa.String(36), nullable=True))
    op.add_column('offers', sa.Column('confirmed_at', UTCDateTime(), nullable=True))


def downgrade():
    op.drop_column('offers', 'confirmed_at')
    for name in reversed(FEEDS):
        op.drop_column('feeds', name)
