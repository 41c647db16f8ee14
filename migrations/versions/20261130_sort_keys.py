"""columns for one order and one folding of texts"""

import sqlalchemy as sa
from alembic import op

from aggregator.models.types import in_code_points

revision = '3d90c2f7a6e1'
down_revision = 'c4a97e2f60bd'
branch_labels = None
depends_on = None

# Sorted or compared as they are, these need the order of code points themselves.
IN_CODE_POINTS = {'users': ('email_key', 762), 'categories': ('slug', 120)}


def upgrade():
    for table in ('products', 'categories', 'users'):
        op.add_column(table, sa.Column('sort_key', in_code_points(600), server_default='', nullable=False))
    op.add_column('products', sa.Column('brand_key', in_code_points(360), nullable=True))
    collate('C')


def downgrade():
    collate('default')
    op.drop_column('products', 'brand_key')
    for table in ('users', 'categories', 'products'):
        op.drop_column(table, 'sort_key')


def collate(collation):
    if op.get_bind().dialect.name == 'postgresql':  # SQLite has this order and no other
        for table, (column, length) in IN_CODE_POINTS.items():
            op.execute(f'ALTER TABLE {table} ALTER COLUMN {column} TYPE VARCHAR({length}) COLLATE "{collation}"')
