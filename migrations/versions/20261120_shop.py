"""shop"""

import sqlalchemy as sa
from alembic import op
from aggregator.models.types import GUID, UTCDateTime
from aggregator.services.search import rows_of
revision = '55fb6c4eebee'
down_revision = '342b0f5f7e81'
branch_labels = None
depends_on = None


def upgrade():
    op.create_table('carts',
    sa.Column('user_id', GUID(), nullable=False),
    sa.Column('updated_at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_carts_user_id_users')),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_carts'))
    )
    op.create_table('orders',
    sa.Column('id', GUID(), nullable=False),
    sa.Column('code', sa.String(length=10), nullable=False),
    sa.Column('user_id', GUID(), nullable=False),
    sa.Column('status', sa.Enum('placed', 'paid', 'shipped', 'delivered', 'cancelled', name='orderstatus', native_enum=False, create_constraint=True, length=16), nullable=False),
    sa.Column('total', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.String(length=3), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.Column('updated_at', UTCDateTime(), nullable=False),
    sa.CheckConstraint('length(code) <= 10', name=op.f('ck_orders_code_length')),
    sa.CheckConstraint('total BETWEEN 0 AND 100000000000000000', name=op.f('ck_orders_total')),
    sa.ForeignKeyConstraint(['user_id'], ['users.id'], name=op.f('fk_orders_user_id_users')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_orders')),
    sa.UniqueConstraint('code', name=op.f('uq_orders_code'))
    )
    with op.batch_alter_table('orders', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_orders_created_at_id'), ['created_at', 'id'], unique=False)
        batch_op.create_index(batch_op.f('ix_orders_user_id_created_at_id'), ['user_id', 'created_at', 'id'], unique=False)

    op.create_table('cart_items',
    sa.Column('user_id', GUID(), nullable=False),
    sa.Column('product_id', GUID(), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('added_at', UTCDateTime(), nullable=False),
    sa.CheckConstraint('quantity BETWEEN 1 AND 1000', name=op.f('ck_cart_items_quantity')),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_cart_items_product_id_products')),
    sa.ForeignKeyConstraint(['user_id'], ['carts.user_id'], name=op.f('fk_cart_items_user_id_carts')),
    sa.PrimaryKeyConstraint('user_id', 'product_id', name=op.f('pk_cart_items'))
    )
    op.create_table('images',
    sa.Column('id', GUID(), nullable=False),
    sa.Column('product_id', GUID(), nullable=False),
    sa.Column('position', sa.Integer(), nullable=False),
    sa.Column('status', sa.Enum('pending', 'ready', 'failed', name='imagestatus', native_enum=False, create_constraint=True, length=16), nullable=False),
    sa.Column('error', sa.Text(), nullable=True),
    sa.Column('claimed_by', sa.String(length=80), nullable=True),
    sa.Column('claimed_until', UTCDateTime(), nullable=True),
    sa.Column('attempts', sa.Integer(), nullable=False),
    sa.Column('created_at', UTCDateTime(), nullable=False),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_images_product_id_products')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_images'))
    )
    with op.batch_alter_table('images', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_images_product_id_position'), ['product_id', 'position'], unique=False)
        batch_op.create_index('ix_images_due', ['created_at'], unique=False, sqlite_where=sa.text("status = 'pending'"), postgresql_where=sa.text("status = 'pending'"))

    op.create_table('order_events',
    sa.Column('order_id', GUID(), nullable=False),
    sa.Column('number', sa.Integer(), autoincrement=False, nullable=False),
    sa.Column('status', sa.Enum('placed', 'paid', 'shipped', 'delivered', 'cancelled', name='orderstatus', native_enum=False, create_constraint=True, length=16), nullable=False),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.Column('by', GUID(), nullable=False),
    sa.ForeignKeyConstraint(['by'], ['users.id'], name=op.f('fk_order_events_by_users')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_order_events_order_id_orders')),
    sa.PrimaryKeyConstraint('order_id', 'number', name=op.f('pk_order_events'))
    )
    op.create_table('order_items',
    sa.Column('order_id', GUID(), nullable=False),
    sa.Column('product_id', GUID(), nullable=False),
    sa.Column('product_name', sa.String(length=255), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('unit_price', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('length(product_name) <= 255', name=op.f('ck_order_items_product_name_length')),
    sa.CheckConstraint('quantity BETWEEN 1 AND 1000', name=op.f('ck_order_items_quantity')),
    sa.CheckConstraint('unit_price BETWEEN 0 AND 1000000000000', name=op.f('ck_order_items_unit_price')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_order_items_order_id_orders')),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_order_items_product_id_products')),
    sa.PrimaryKeyConstraint('order_id', 'product_id', name=op.f('pk_order_items'))
    )
    with op.batch_alter_table('order_items', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_order_items_product_id'), ['product_id'], unique=False)

    op.create_table('stock_movements',
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
    sa.Column('product_id', GUID(), nullable=False),
    sa.Column('kind', sa.Enum('initial', 'adjust', 'import', 'sale', 'edit', 'cancel', name='movementkind', native_enum=False, length=16), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('order_id', GUID(), nullable=True),
    sa.Column('at', UTCDateTime(), nullable=False),
    sa.CheckConstraint("(order_id IS NOT NULL) = (kind IN ('sale', 'edit', 'cancel'))", name=op.f('ck_stock_movements_order_given')),
    sa.CheckConstraint('quantity BETWEEN -1000000000 AND 1000000000 AND quantity <> 0', name=op.f('ck_stock_movements_quantity')),
    sa.ForeignKeyConstraint(['order_id'], ['orders.id'], name=op.f('fk_stock_movements_order_id_orders')),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_stock_movements_product_id_products')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_stock_movements'))
    )
    with op.batch_alter_table('stock_movements', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_stock_movements_order_id'), ['order_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_stock_movements_product_id_id'), ['product_id', 'id'], unique=False)

    op.create_table('image_blobs',
    sa.Column('image_id', GUID(), nullable=False),
    sa.Column('variant', sa.Enum('original', 'thumb', 'full', name='variant', native_enum=False, create_constraint=True, length=16), nullable=False),
    sa.Column('content', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['image_id'], ['images.id'], name=op.f('fk_image_blobs_image_id_images'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('image_id', 'variant', name=op.f('pk_image_blobs'))
    )
    op.execute(
        "INSERT INTO stock_movements (product_id, kind, quantity, at)"
        " SELECT id, 'initial', stock, created_at FROM products WHERE stock > 0"
    )
    # By hand: a batch would make a new table of products on SQLite, and lose what it does not see of the old one.
    uuid = 'CHAR(36)' if op.get_bind().dialect.name == 'sqlite' else 'UUID'
    op.execute(
        f'ALTER TABLE products ADD COLUMN category_id {uuid}'
        ' CONSTRAINT fk_products_category_id_categories REFERENCES categories (id)'
    )
    op.create_index(op.f('ix_products_category_id'), 'products', ['category_id'], unique=False)
    op.execute('ALTER TABLE products ADD COLUMN image_changes INTEGER DEFAULT 0 NOT NULL')

    words = op.create_table('search_words',
    sa.Column('product_id', GUID(), nullable=False),
    sa.Column('word', sa.String(length=40).with_variant(sa.String(length=40, collation='C'), 'postgresql'), nullable=False),
    sa.Column('place', sa.SmallInteger(), nullable=False),
    sa.CheckConstraint('length(word) <= 40', name=op.f('ck_search_words_word_length')),
    sa.ForeignKeyConstraint(['product_id'], ['products.id'], name=op.f('fk_search_words_product_id_products'), ondelete='CASCADE'),
    sa.PrimaryKeyConstraint('product_id', 'word', name=op.f('pk_search_words')),
    sqlite_with_rowid=False
    )
    with op.batch_alter_table('search_words', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_search_words_word_place_product_id'), ['word', 'place', 'product_id'], unique=False)

    products = sa.table('products', sa.column('id', GUID()), sa.column('name'), sa.column('brand'), sa.column('description'))
    connection = op.get_bind()
    for product in connection.execute(sa.select(products)).mappings().all():
        op.bulk_insert(words, [dict(zip(('product_id', 'word', 'place'), row)) for row in rows_of(product)])


def downgrade():
    with op.batch_alter_table('search_words', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_search_words_word_place_product_id'))

    op.drop_table('search_words')
    op.drop_index(op.f('ix_products_category_id'), 'products')
    op.drop_column('products', 'image_changes')
    op.drop_column('products', 'category_id')
    op.drop_table('image_blobs')
    with op.batch_alter_table('stock_movements', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_stock_movements_product_id_id'))
        batch_op.drop_index(batch_op.f('ix_stock_movements_order_id'))

    op.drop_table('stock_movements')
    with op.batch_alter_table('order_items', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_order_items_product_id'))

    op.drop_table('order_items')
    op.drop_table('order_events')
    with op.batch_alter_table('images', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_images_product_id_position'))

    op.drop_table('images')
    op.drop_table('cart_items')
    with op.batch_alter_table('orders', schema=None) as batch_op:
        batch_op.drop_index(batch_op.f('ix_orders_user_id_created_at_id'))
        batch_op.drop_index(batch_op.f('ix_orders_created_at_id'))

    op.drop_table('orders')
    op.drop_table('carts')
