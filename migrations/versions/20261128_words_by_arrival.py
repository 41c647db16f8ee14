"""the products of a word in the order of their arrival"""

from alembic import op
revision = 'd2c7a5b90e41'
down_revision = '8c1f4be07d25'
branch_labels = None
depends_on = None

OLD, NEW = 'ix_search_words_word_place_product_id', 'ix_search_words_word_place'


def upgrade():
    # Sorted by product within a word, each new row would go to another page of the index, after long comparisons.
    op.create_index(op.f(NEW), 'search_words', ['word', 'place'], unique=False, postgresql_include=['product_id'])
    op.drop_index(op.f(OLD), table_name='search_words')


def downgrade():
    op.create_index(op.f(OLD), 'search_words', ['word', 'place', 'product_id'], unique=False)
    op.drop_index(op.f(NEW), table_name='search_words')
