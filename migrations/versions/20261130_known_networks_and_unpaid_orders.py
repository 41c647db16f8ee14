"""where users sign in from, and orders that lapse"""

import sqlalchemy as sa
from alembic import op

revision = 'c4a97e2f60bd'
down_revision = 'b5f08c61d9a4'
branch_labels = None
depends_on = None

PLACED = 'ix_orders_placed'


def upgrade():
    op.add_column('sign_ins', sa.Column('network', sa.String(length=32), nullable=True))
    where = sa.text("status = 'placed'")
    op.create_index(PLACED, 'orders', ['created_at'], unique=False, postgresql_where=where, sqlite_where=where)
    with op.batch_alter_table('order_events') as table:
        table.alter_column('by', existing_type=sa.Uuid(), nullable=True)


def downgrade():
    # Whoever an order belongs to takes the place of the system.
    op.execute('UPDATE order_events SET "by" = (SELECT user_id FROM orders WHERE id = order_id) WHERE "by" IS NULL')
    with op.batch_alter_table('order_events') as table:
        table.alter_column('by', existing_type=sa.Uuid(), nullable=False)
    op.drop_index(PLACED, table_name='orders')
    op.drop_column('sign_ins', 'network')
