"""what alerts saw in their silence"""

import sqlalchemy as sa
from alembic import op

from aggregator.models.types import UTCDateTime

revision = '7e1d93ab5c02'
down_revision = 'd2c7a5b90e41'
branch_labels = None
depends_on = None

DUE = 'ix_alert_states_due_at'


def upgrade():
    op.add_column('alert_states', sa.Column('missed_price', sa.BigInteger(), nullable=True))
    op.add_column('alert_states', sa.Column('due_at', UTCDateTime(), nullable=True))
    op.add_column('alert_states', sa.Column('seen_price', sa.BigInteger(), nullable=True))
    op.add_column('alert_states', sa.Column('seen_cheapest', sa.String(length=36), nullable=True))
    where = sa.text('due_at IS NOT NULL')
    op.create_index(DUE, 'alert_states', ['due_at'], unique=False, postgresql_where=where, sqlite_where=where)


def downgrade():
    op.drop_index(DUE, table_name='alert_states')
    for name in ('seen_cheapest', 'seen_price', 'due_at', 'missed_price'):
        op.drop_column('alert_states', name)
