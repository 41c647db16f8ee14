"""which category a change is of, where it is of one"""

import sqlalchemy as sa
from alembic import op

from aggregator.models.types import GUID

revision = '3c9a6e14f7b8'
down_revision = '5b3e9c61f7a4'
branch_labels = None
depends_on = None


def upgrade():
    op.add_column('changes', sa.Column('category_id', GUID(), nullable=True))


def downgrade():
    op.drop_column('changes', 'category_id')
