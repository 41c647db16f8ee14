"""history outbox alerts"""

import sqlalchemy as sa
from alembic import op
from aggregator.models.types import GUID, UTCDateTime, WholeNumber
revision = '342b0f5f7e81'
down_revision = 'f2ae1545c680'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('change_readers',
    sa.Column('name', sa.String(length=40), nullable=False),
    sa.Column('number', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_change_readers'))
    )
    op.create_table('changes',
    sa.Column('number', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('kind', sa.Enum('product.created', 'product.updated', 'product.deleted', 'offers.changed', name='changekind', native_enum=False, length=16), nullable=False),
    sa.Column('product_id', GUID(), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.Column('price_before', sa.BigInteger(), nullable=True),
    sa.Column('lowest_price', sa.BigInteger(), nullable=True),
    sa.Column('offer_count', sa.Integer(), nullable=True),
    sa.CheckConstraint('lowest_price BETWEEN 0 AND 1000000000000', name=op.f('ck_changes_lowest_price')),
    sa.CheckConstraint('offer_count BETWEEN 0 AND 1000000000', name=op.f('ck_changes_offer_count')),
    sa.CheckConstraint('price_before BETWEEN 0 AND 1000000000000', name=op.f('ck_changes_price_before')),
    sa.PrimaryKeyConstraint('number', name=op.f('pk_changes'))
    )
    with op.batch_alter_table('changes', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_changes_product_id_number'), ['product_id', 'number'], unique=False)

    # Whoever reads the changes from the beginning gets to know all products.
    op.execute(
        "INSERT INTO changes (kind, product_id, at) SELECT 'product.created', id, created_at FROM products"
        " WHERE deleted_at IS NULL ORDER BY created_at, id"
    )
    op.create_table('price_buckets',
    sa.Column('offer_id', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('starts_at', UTCDateTime(), nullable=False),
    sa.Column('ends_at', UTCDateTime(), nullable=False),
    sa.Column('low', sa.BigInteger(), nullable=True),
    sa.Column('high', sa.BigInteger(), nullable=True),
    sa.Column('weighted', WholeNumber(), nullable=True),
    sa.Column('had', sa.BigInteger(), nullable=False),
    sa.Column('first_at', UTCDateTime(), nullable=True),
    sa.Column('first_price', sa.BigInteger(), nullable=True),
    sa.Column('last_until', UTCDateTime(), nullable=True),
    sa.Column('last_price', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('(first_at IS NULL) = (low IS NULL)', name=op.f('ck_price_buckets_first_at_given')),
    sa.CheckConstraint('(first_price IS NULL) = (low IS NULL)', name=op.f('ck_price_buckets_first_price_given')),
    sa.CheckConstraint('(high IS NULL) = (low IS NULL)', name=op.f('ck_price_buckets_high_given')),
    sa.CheckConstraint('(last_price IS NULL) = (low IS NULL)', name=op.f('ck_price_buckets_last_price_given')),
    sa.CheckConstraint('(last_until IS NULL) = (low IS NULL)', name=op.f('ck_price_buckets_last_until_given')),
    sa.CheckConstraint('(weighted IS NULL) = (low IS NULL)', name=op.f('ck_price_buckets_weighted_given')),
    sa.CheckConstraint('first_price BETWEEN 0 AND 1000000000000', name=op.f('ck_price_buckets_first_price')),
    sa.CheckConstraint('high BETWEEN 0 AND 1000000000000', name=op.f('ck_price_buckets_high')),
    sa.CheckConstraint('last_price BETWEEN 0 AND 1000000000000', name=op.f('ck_price_buckets_last_price')),
    sa.CheckConstraint('low BETWEEN 0 AND 1000000000000', name=op.f('ck_price_buckets_low')),
    sa.CheckConstraint('starts_at < ends_at', name=op.f('ck_price_buckets_length')),
    sa.PrimaryKeyConstraint('offer_id', 'starts_at', name=op.f('pk_price_buckets')),
    sqlite_with_rowid=False
    )
    op.create_table('product_price_buckets',
    sa.Column('product_id', GUID(), nullable=False),
    sa.Column('starts_at', UTCDateTime(), nullable=False),
    sa.Column('ends_at', UTCDateTime(), nullable=False),
    sa.Column('low', sa.BigInteger(), nullable=True),
    sa.Column('high', sa.BigInteger(), nullable=True),
    sa.Column('weighted', WholeNumber(), nullable=True),
    sa.Column('had', sa.BigInteger(), nullable=False),
    sa.Column('first_at', UTCDateTime(), nullable=True),
    sa.Column('first_price', sa.BigInteger(), nullable=True),
    sa.Column('last_until', UTCDateTime(), nullable=True),
    sa.Column('last_price', sa.BigInteger(), nullable=True),
    sa.CheckConstraint('(first_at IS NULL) = (low IS NULL)', name=op.f('ck_product_price_buckets_first_at_given')),
    sa.CheckConstraint('(first_price IS NULL) = (low IS NULL)', name=op.f('ck_product_price_buckets_first_price_given')),
    sa.CheckConstraint('(high IS NULL) = (low IS NULL)', name=op.f('ck_product_price_buckets_high_given')),
    sa.CheckConstraint('(last_price IS NULL) = (low IS NULL)', name=op.f('ck_product_price_buckets_last_price_given')),
    sa.CheckConstraint('(last_until IS NULL) = (low IS NULL)', name=op.f('ck_product_price_buckets_last_until_given')),
    sa.CheckConstraint('(weighted IS NULL) = (low IS NULL)', name=op.f('ck_product_price_buckets_weighted_given')),
    sa.CheckConstraint('first_price BETWEEN 0 AND 1000000000000', name=op.f('ck_product_price_buckets_first_price')),
    sa.CheckConstraint('high BETWEEN 0 AND 1000000000000', name=op.f('ck_product_price_buckets_high')),
    sa.CheckConstraint('last_price BETWEEN 0 AND 1000000000000', name=op.f('ck_product_price_buckets_last_price')),
    sa.CheckConstraint('low BETWEEN 0 AND 1000000000000', name=op.f('ck_product_price_buckets_low')),
    sa.CheckConstraint('starts_at < ends_at', name=op.f('ck_product_price_buckets_length')),
    sa.PrimaryKeyConstraint('product_id', 'starts_at', name=op.f('pk_product_price_buckets')),
    sqlite_with_rowid=False
    )
    op.create_table('categories',
    sa.Column('id', GUID(), nullable=False),
    sa.Column('name', sa.String(length=120), nullable=False),
    sa.Column('slug', sa.String(length=120), nullable=False),
    sa.Column('parent_id', GUID(), nullable=True),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.Column('updated_at', UTCDateTime(), nullable=False),
    sa.CheckConstraint('length(name) <= 120', name=op.f('ck_categories_name_length')),
    sa.CheckConstraint('length(name) >= 1', name=op.f('ck_categories_name_given')),
    sa.CheckConstraint('length(slug) <= 120', name=op.f('ck_categories_slug_length')),
    sa.CheckConstraint('parent_id <> id', name=op.f('ck_categories_parent')),
    sa.ForeignKeyConstraint(['parent_id'], ['categories.id'], name=op.f('fk_categories_parent_id_categories')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_categories')),
    sa.UniqueConstraint('slug', name=op.f('uq_categories_slug'))
    )
    with op.batch_alter_table('categories', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_categories_parent_id'), ['parent_id'], unique=False)

    op.create_table('alerts',
    sa.Column('id', GUID(), nullable=False),
    sa.Column('user_id', GUID(), nullable=False),
    sa.Column('product_id', GUID(), nullable=True),
    sa.Column('category_id', GUID(), nullable=True),
    sa.Column('kind', sa.Enum('below', 'change', 'any_change', 'new_low', 'new_high', 'back_in_stock', 'sold_out', 'cheapest_offer', name='alertkind', native_enum=False, length=16), nullable=False),
    sa.Column('target', sa.BigInteger(), nullable=True),
    sa.Column('basis_points', sa.Integer(), nullable=True),
    sa.Column('direction', sa.Enum('up', 'down', 'both', name='direction', native_enum=False, create_constraint=True, length=16), nullable=True),
    sa.Column('days', sa.Integer(), nullable=True),
    sa.Column('cooldown_seconds', sa.Integer(), nullable=False),
    sa.Column('by_mail', sa.Boolean(), nullable=False),
    sa.Column('by_webhook', sa.Boolean(), nullable=False),
    sa.Column('active', sa.Boolean(), nullable=False),
    sa.Column('since_number', sa.BigInteger(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.Column('updated_at', UTCDateTime(), nullable=False),
    sa.CheckConstraint('(product_id IS NULL) <> (category_id IS NULL)', name=op.f('ck_alerts_product_or_category')),
    sa.CheckConstraint("(kind = 'below') = (target IS NOT NULL)", name=op.f('ck_alerts_target_given')),
    sa.CheckConstraint("(kind = 'change') = (basis_points IS NOT NULL)", name=op.f('ck_alerts_basis_points_given')),
    sa.CheckConstraint("(kind = 'change') = (direction IS NOT NULL)", name=op.f('ck_alerts_direction_given')),
    sa.CheckConstraint('basis_points BETWEEN 0 AND 1000000', name=op.f('ck_alerts_basis_points')),
    sa.CheckConstraint('cooldown_seconds BETWEEN 0 AND 31536000', name=op.f('ck_alerts_cooldown_seconds')),
    sa.CheckConstraint('days BETWEEN 0 AND 3650', name=op.f('ck_alerts_days')),
    sa.CheckConstraint('target BETWEEN 0 AND 1000000000000', name=op.f('ck_alerts_target')),
    sa.ForeignKeyConstraint(['category_id'], ['categories.id'], name=op.f('fk_alerts_category_id_categories'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_alerts_product_id_products')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_alerts_user_id_users')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_alerts'))
    )
    with op.batch_alter_table('alerts', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_alerts_category_id'), ['category_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_alerts_product_id'), ['product_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_alerts_user_id'), ['user_id'], unique=False)

    op.create_table('alert_states',
    sa.Column('alert_id', GUID(), nullable=False),
    sa.Column('product_id', GUID(), nullable=False),
    sa.Column('base_price', sa.BigInteger(), nullable=True),
    sa.Column('fired_price', sa.BigInteger(), nullable=True),
    sa.Column('cheapest', sa.String(length=36), nullable=True),
    sa.Column('extreme', sa.BigInteger(), nullable=True),
    sa.Column('extreme_at', UTCDateTime(), nullable=True),
    sa.Column('fired_at', UTCDateTime(), nullable=True),
    sa.ForeignKeyConstraint(['alert_id'], ['alerts.id'], name=op.f('fk_alert_states_alert_id_alerts'), ondelete='CASCADE'),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_alert_states_product_id_products')),
    sa.PrimaryKeyConstraint('alert_id', 'product_id', name=op.f('pk_alert_states'))
    )
    op.create_table('webhooks',
    sa.Column('id', GUID(), nullable=False),
    sa.Column('user_id', GUID(), nullable=False),
    sa.Column('url', sa.String(length=2000), nullable=False),
    sa.Column('secret', sa.String(length=100), nullable=False),
    sa.Column('old_secret', sa.String(length=100), nullable=True),
    sa.Column('old_secret_until', UTCDateTime(), nullable=True),
    sa.Column('enabled', sa.Boolean(), nullable=False),
    sa.Column('disabled_reason', sa.Text(), nullable=True),
    sa.Column('failing_since', UTCDateTime(), nullable=True),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.Column('updated_at', UTCDateTime(), nullable=False),
    sa.Column('deleted_at', UTCDateTime(), nullable=True),
    sa.CheckConstraint('length(url) <= 2000', name=op.f('ck_webhooks_url_length')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_webhooks_user_id_users')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_webhooks'))
    )
    with op.batch_alter_table('webhooks', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_webhooks_user_id'), ['user_id'], unique=False)

    op.create_table('deliveries',
    sa.Column('id', GUID(), nullable=False),
    sa.Column('key', sa.String(length=160), nullable=True),
    sa.Column('channel', sa.Enum('mail', 'webhook', name='channel', native_enum=False, create_constraint=True, length=16), nullable=False),
    sa.Column('event', sa.Enum('product.created', 'offers.changed', 'price.alert', 'daily', 'webhook.test', name='event', native_enum=False, length=16), nullable=False),
    sa.Column('user_id', GUID(), nullable=False),
    sa.Column('webhook_id', GUID(), nullable=True),
    sa.Column('payload', sa.Text(), nullable=False),
    sa.Column('status', sa.Enum('pending', 'delivered', 'failed', name='deliverystatus', native_enum=False, create_constraint=True, length=16), nullable=False),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('due_at', UTCDateTime(), nullable=False),
    sa.Column('claimed_by', sa.String(length=80), nullable=True),
    sa.Column('claimed_until', UTCDateTime(), nullable=True),
    sa.Column('status_code', sa.Integer(), nullable=True),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.Column('done_at', UTCDateTime(), nullable=True),
    sa.CheckConstraint("(channel = 'webhook') = (webhook_id IS NOT NULL)", name=op.f('ck_deliveries_webhook_given')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_deliveries_user_id_users')),
    sa.ForeignKeyConstraint(['webhook_id'], ['webhooks.id'], name=op.f('fk_deliveries_webhook_id_webhooks'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_deliveries')),
    sa.UniqueConstraint('key', name=op.f('uq_deliveries_key'))
    )
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_deliveries_created_at'), ['created_at'], unique=False)
        batch_op.create_index('ix_deliveries_due', ['channel', 'due_at'], unique=False, postgresql_where=sa.text("status = 'pending'"), sqlite_where=sa.text("status = 'pending'"))
        batch_op.create_index(batch_op.f('ix_deliveries_user_id'), ['user_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_deliveries_webhook_id_created_at'), ['webhook_id', 'created_at'], unique=False)

    op.create_table('subscriptions',
    sa.Column('webhook_id', GUID(), nullable=False),
    sa.Column('event', sa.Enum('product.created', 'offers.changed', 'price.alert', 'daily', 'webhook.test', name='event', native_enum=False, length=16), nullable=False),
    sa.ForeignKeyConstraint(['webhook_id'], ['webhooks.id'], name=op.f('fk_subscriptions_webhook_id_webhooks'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('webhook_id', 'event', name=op.f('pk_subscriptions'))
    )
    with op.batch_alter_table('subscriptions', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_subscriptions_event'), ['event'], unique=False)

    op.create_table('told_days',
    sa.Column('date', sa.String(length=10), nullable=False),
    sa.Column('everybody_by', UTCDateTime(), nullable=False),
    sa.PrimaryKeyConstraint('date', name=op.f('pk_told_days'))
    )
    with op.batch_alter_table('users', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_users_updated_at'), ['updated_at'], unique=False)



def downgrade():
    with op.batch_alter_table('users', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_users_updated_at'))

    op.drop_table('told_days')
    with op.batch_alter_table('subscriptions', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_subscriptions_event'))

    op.drop_table('subscriptions')
    with op.batch_alter_table('deliveries', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_deliveries_webhook_id_created_at'))
        batch_op.drop_index(batch_op.f('ix_deliveries_user_id'))
        batch_op.drop_index('ix_deliveries_due', postgresql_where=sa.text("status = 'pending'"), sqlite_where=sa.text("status = 'pending'"))
        batch_op.drop_index(batch_op.f('ix_deliveries_created_at'))

    op.drop_table('deliveries')
    with op.batch_alter_table('webhooks', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_webhooks_user_id'))

    op.drop_table('webhooks')
    op.drop_table('alert_states')
    with op.batch_alter_table('alerts', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_alerts_user_id'))
        batch_op.drop_index(batch_op.f('ix_alerts_product_id'))
        batch_op.drop_index(batch_op.f('ix_alerts_category_id'))

    op.drop_table('alerts')
    with op.batch_alter_table('categories', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_categories_parent_id'))

    op.drop_table('categories')
    op.drop_table('product_price_buckets')
    op.drop_table('price_buckets')
    with op.batch_alter_table('changes', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_changes_product_id_number'))

    op.drop_table('changes')
    op.drop_table('change_readers')
