"""sorted lists, and words without a foreign key"""

from alembic import op
revision = '8c1f4be07d25'
down_revision = '55fb6c4eebee'
branch_labels = None
depends_on = None

INDEXES = {
    'ix_products_updated_at_id': ('products', ['updated_at', 'id']),
    'ix_products_price_id': ('products', ['price', 'id']),
    'ix_products_rating_id': ('products', ['rating', 'id']),
    'ix_products_stock_id': ('products', ['stock', 'id']),
    'ix_feeds_lowest_price_product_id': ('feeds', ['lowest_price', 'product_id']),
    'ix_feeds_offer_count_product_id': ('feeds', ['offer_count', 'product_id']),
}


FOREIGN_KEY = 'fk_search_words_product_id_products'


def upgrade():
    for name, (table, columns) in INDEXES.items():
        op.create_index(op.f(name), table, columns, unique=False)
    # The last thing: it keeps all others from the products until the end.
    with op.batch_alter_table('search_words', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f(FOREIGN_KEY), type_='foreignkey')


def downgrade():
    op.execute("DELETE FROM search_words WHERE product_id NOT IN (SELECT id FROM products)")
    with op.batch_alter_table('search_words', schema=None) as batch_op:
        batch_op.create_foreign_key(batch_op.f(FOREIGN_KEY), 'products', ['product_id'], ['id'], ondelete='CASCADE')
    for name, (table, _) in INDEXES.items():
        op.drop_index(op.f(name), table_name=table)
