"""catalogue, offers, sync"""

import sqlalchemy as sa
from alembic import op
from aggregator.models.types import GUID, UTCDateTime
revision = '81f2fa3e1828'
down_revision = None
branch_labels = None
depends_on = None


def upgrade():
    access = op.create_table('access',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('fingerprint', sa.String(length=12), nullable=True),
    sa.Column('token', sa.Text(), nullable=True),
    sa.Column('expires_at', UTCDateTime(), nullable=True),
    sa.Column('in_doubt', sa.Boolean(), nullable=False),
    sa.Column('leased_by', sa.String(length=80), nullable=True),
    sa.Column('leased_until', UTCDateTime(), nullable=True),
    sa.CheckConstraint('id = 1', name=op.f('ck_access_single_row')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_access'))
    )
    circuits = op.create_table('circuits',
    sa.Column('endpoint', sa.Enum('auth', 'register', 'offers', name='endpoint', native_enum=False, create_constraint=True, length=16), nullable=False),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('retry_at', UTCDateTime(), nullable=True),
    sa.PrimaryKeyConstraint('endpoint', name=op.f('pk_circuits'))
    )
    op.create_table('idempotency_keys',
    sa.Column('owner', sa.String(length=36), nullable=False),
    sa.Column('key', sa.String(length=255), nullable=False),
    sa.Column('request_digest', sa.String(length=64), nullable=False),
    sa.Column('resource_id', GUID(), nullable=False),
    sa.Column('answer', sa.Text(), nullable=True),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('owner', 'key', name=op.f('pk_idempotency_keys'))
    )
    with op.batch_alter_table('idempotency_keys', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_idempotency_keys_created_at'), ['created_at'], unique=False)

    op.create_table('job_runs',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('job', sa.String(length=40), nullable=False),
    sa.Column('worker', sa.String(length=80), nullable=False),
    sa.Column('status', sa.Enum('running', 'done', 'failed', name='runstatus', native_enum=False, create_constraint=True, length=16), nullable=False),
    sa.Column('started_at', UTCDateTime(), nullable=False),
    sa.Column('finished_at', UTCDateTime(), nullable=True),
    sa.Column('summary', sa.Text(), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_job_runs'))
    )
    with op.batch_alter_table('job_runs', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_job_runs_job_started_at'), ['job', 'started_at'], unique=False)

    op.create_table('price_points',
    sa.Column('offer_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('observed_at', UTCDateTime(), nullable=False),
    sa.Column('price', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('price BETWEEN 0 AND 1000000000000', name=op.f('ck_price_points_price')),
    sa.PrimaryKeyConstraint('offer_id', 'observed_at', name=op.f('pk_price_points')),
    sqlite_with_rowid=False
    )
    op.create_table('product_price_points',
    sa.Column('product_id', GUID(), nullable=False),
    sa.Column('observed_at', UTCDateTime(), nullable=False),
    sa.Column('lowest_price', sa.BigInteger(), nullable=True),
    sa.Column('offer_count', sa.Integer(), nullable=False),
    sa.CheckConstraint('lowest_price BETWEEN 0 AND 1000000000000', name=op.f('ck_product_price_points_lowest_price')),
    sa.CheckConstraint('offer_count BETWEEN 0 AND 1000000000', name=op.f('ck_product_price_points_offer_count')),
    sa.PrimaryKeyConstraint('product_id', 'observed_at', name=op.f('pk_product_price_points')),
    sqlite_with_rowid=False
    )
    op.create_table('products',
    sa.Column('id', GUID(), nullable=False),
    sa.Column('name', sa.String(length=255), nullable=False),
    sa.Column('description', sa.Text(), nullable=False),
    sa.Column('brand', sa.String(length=120), nullable=True),
    sa.Column('price', sa.BigInteger(), nullable=True),
    sa.Column('stock', sa.Integer(), nullable=False),
    sa.Column('rating', sa.Float(), nullable=True),
    sa.Column('version', sa.Integer(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.Column('updated_at', UTCDateTime(), nullable=False),
    sa.Column('deleted_at', UTCDateTime(), nullable=True),
    sa.CheckConstraint('length(brand) <= 120', name=op.f('ck_products_brand_length')),
    sa.CheckConstraint('length(description) <= 20000', name=op.f('ck_products_description_length')),
    sa.CheckConstraint('length(name) <= 255', name=op.f('ck_products_name_length')),
    sa.CheckConstraint('length(name) >= 1', name=op.f('ck_products_name_given')),
    sa.CheckConstraint('price BETWEEN 0 AND 1000000000000', name=op.f('ck_products_price')),
    sa.CheckConstraint('rating BETWEEN 0 AND 5', name=op.f('ck_products_rating')),
    sa.CheckConstraint('stock BETWEEN 0 AND 1000000000', name=op.f('ck_products_stock')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_products'))
    )
    with op.batch_alter_table('products', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_products_created_at_id'), ['created_at', 'id'], unique=False)
        batch_op.create_index('uq_products_living_name', ['name'], unique=True, postgresql_where=sa.text('deleted_at IS NULL'), sqlite_where=sa.text('deleted_at IS NULL'))

    op.create_table('workers',
    sa.Column('name', sa.String(length=80), nullable=False),
    sa.Column('version', sa.String(length=40), nullable=False),
    sa.Column('started_at', UTCDateTime(), nullable=False),
    sa.Column('beat_at', UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_workers'))
    )
    op.create_table('feeds',
    sa.Column('product_id', GUID(), nullable=False),
    sa.Column('status', sa.Enum('pending', 'registered', 'refused', name='registration', native_enum=False, create_constraint=True, length=16), nullable=False),
    sa.Column('reason', sa.Text(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('registered_at', UTCDateTime(), nullable=True),
    sa.Column('registered_with', sa.String(length=12), nullable=True),
    sa.Column('id_is_ours', sa.Boolean(), nullable=False),
    sa.Column('due_at', UTCDateTime(), nullable=False),
    sa.Column('claimed_by', sa.String(length=80), nullable=True),
    sa.Column('claimed_until', UTCDateTime(), nullable=True),
    sa.Column('synced_at', UTCDateTime(), nullable=True),
    sa.Column('failures', sa.Integer(), nullable=False),
    sa.Column('failure', sa.Text(), nullable=True),
    sa.Column('lowest_price', sa.BigInteger(), nullable=True),
    sa.Column('offer_count', sa.Integer(), nullable=False),
    sa.Column('digest', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('lowest_price BETWEEN 0 AND 1000000000000', name=op.f('ck_feeds_lowest_price')),
    sa.CheckConstraint('offer_count BETWEEN 0 AND 1000000000', name=op.f('ck_feeds_offer_count')),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_feeds_product_id_products')),
    sa.PrimaryKeyConstraint('product_id', name=op.f('pk_feeds')),
    postgresql_with={'fillfactor': '50'}
    )
    with op.batch_alter_table('feeds', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_feeds_due_at'), ['due_at'], unique=False)

    op.create_table('offers',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('product_id', GUID(), nullable=False),
    sa.Column('upstream_id', sa.String(length=36), nullable=False),
    sa.Column('price', sa.BigInteger(), nullable=False),
    sa.Column('items_in_stock', sa.Integer(), nullable=False),
    sa.Column('first_seen_at', UTCDateTime(), nullable=False),
    sa.Column('last_seen_at', UTCDateTime(), nullable=True),
    sa.Column('sold_out_at', UTCDateTime(), nullable=True),
    sa.CheckConstraint('items_in_stock BETWEEN 0 AND 1000000000', name=op.f('ck_offers_items_in_stock')),
    sa.CheckConstraint('length(upstream_id) <= 36', name=op.f('ck_offers_upstream_id_length')),
    sa.CheckConstraint('price BETWEEN 0 AND 1000000000000', name=op.f('ck_offers_price')),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_offers_product_id_products')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_offers')),
    sa.UniqueConstraint('upstream_id', 'product_id', name=op.f('uq_offers_upstream_id_product_id')),
    postgresql_with={'fillfactor': '50'}
    )
    with op.batch_alter_table('offers', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_offers_product_id_last_seen_at'), ['product_id', 'last_seen_at'], unique=False)

    op.bulk_insert(access, [{'id': 1, 'in_doubt': False}])
    op.bulk_insert(circuits, [{'endpoint': name, 'failures': 0} for name in ('auth', 'register', 'offers')])


def downgrade():
    with op.batch_alter_table('offers', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_offers_product_id_last_seen_at'))

    op.drop_table('offers')
    with op.batch_alter_table('feeds', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_feeds_due_at'))

    op.drop_table('feeds')
    op.drop_table('workers')
    with op.batch_alter_table('products', schema=None) as batch_op:
        batch_op.drop_index('uq_products_living_name', postgresql_where=sa.text('deleted_at IS NULL'), sqlite_where=sa.text('deleted_at IS NULL'))
        batch_op.drop_index(batch_op.f('ix_products_created_at_id'))

    op.drop_table('products')
    op.drop_table('product_price_points')
    op.drop_table('price_points')
    with op.batch_alter_table('job_runs', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_job_runs_job_started_at'))

    op.drop_table('job_runs')
    with op.batch_alter_table('idempotency_keys', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_idempotency_keys_created_at'))

    op.drop_table('idempotency_keys')
    op.drop_table('circuits')
    op.drop_table('access')
