"""what tells a clock that has gone back"""

import sqlalchemy as sa
from alembic import op
from aggregator.models.types import UTCDateTime
revision = '5b3e9c61f7a4'
down_revision = 'b4e0c6d1f873'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('workers', sa.Column('steady_beat', sa.Float(), nullable=True))
    op.add_column('access', sa.Column('obtained_at', UTCDateTime(), nullable=True))
    op.add_column('feeds', sa.Column('points_until', UTCDateTime(), nullable=True))


def downgrade():
    op.drop_column('feeds', 'points_until')
    op.drop_column('access', 'obtained_at')
    op.drop_column('workers', 'steady_beat')
