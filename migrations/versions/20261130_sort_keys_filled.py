"""the keys and the words of what there is, and the indexes of the keys

Some rows at a time, each time in a transaction of their own, so that the version that still runs is not kept waiting.
It can be interrupted, and begins again.
"""

from contextlib import contextmanager, nullcontext

import sqlalchemy as sa
from alembic import op

from aggregator.folding import sort_key
from aggregator.models.catalog import brand_key
from aggregator.models.types import GUID
from aggregator.services import search

revision = 'b4e0c6d1f873'
down_revision = '3d90c2f7a6e1'
branch_labels = None
depends_on = None

AT_ONCE = 500
WORDS = sa.table('search_words', sa.column('product_id', GUID()), sa.column('word'), sa.column('place'))


def upgrade():
    with op.get_context().autocommit_block() if on_postgresql() else nullcontext():
        fill('categories', 'name')
        fill('users', 'username')
        fill('products', 'name', 'brand', 'description')
    # Afterwards, so that they are made in one go.
    op.create_index(op.f('ix_products_sort_key_id'), 'products', ['sort_key', 'id'], unique=False)
    op.create_index(op.f('ix_users_sort_key_id'), 'users', ['sort_key', 'id'], unique=False)


def downgrade():
    op.drop_index(op.f('ix_users_sort_key_id'), table_name='users')
    op.drop_index(op.f('ix_products_sort_key_id'), table_name='products')


def on_postgresql():
    return op.get_bind().dialect.name == 'postgresql'


def fill(name, *columns):
    table = sa.table(name, sa.column('id', GUID()), *map(sa.column, columns))
    first = sa.select(table).order_by(table.c.id).limit(AT_ONCE).with_for_update(key_share=True)
    last = fill_some(name, first)
    while last:
        last = fill_some(name, first.where(table.c.id > last))


def fill_some(name, rows):
    """Give some rows their keys, and return the id of the last one; None where there is none."""
    with batch():
        found = op.get_bind().execute(rows).all()
        if found:
            store(name, [keys_of(row) for row in found])
        if name == 'products':
            index_again([row._mapping for row in found])
    return found[-1].id if found else None


@contextmanager
def batch():
    """A transaction, where each statement would be one."""
    if on_postgresql():
        # An import of the version that still runs may hold a product for a while.
        op.get_bind().exec_driver_sql("BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '5min'")
    yield
    if on_postgresql():
        op.get_bind().exec_driver_sql('COMMIT')


def keys_of(row):
    keys = {'id': str(row.id), 'sort_key': sort_key(row[1])}
    return keys | ({'brand_key': brand_key(row.brand)} if 'brand' in row._fields else {})


def store(table, rows):
    """Write the keys of some rows: with one statement on PostgreSQL, where each is a journey."""
    names = [name for name in rows[0] if name != 'id']
    changes = ', '.join(f'{name} = {"new." if on_postgresql() else ":"}{name}' for name in names)
    if not on_postgresql():
        op.get_bind().execute(sa.text(f'UPDATE {table} SET {changes} WHERE id = :id'), rows)
        return
    given = ', '.join(['CAST(:id AS uuid[])', *(f'CAST(:{name} AS text[])' for name in names)])
    new = f'unnest({given}) AS new (id, {", ".join(names)})'
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    op.get_bind().execute(sa.text(f'UPDATE {table} SET {changes} FROM {new} WHERE {table}.id = new.id'), columns)


def index_again(products):
    """Index those products anew whose words may be others now: letters with strokes, and what is not seen."""
    others = [product for product in products if not f"{product['name']}{product['brand']}{product['description']}".isascii()]
    if others:
        ids = [product['id'] for product in others]
        op.get_bind().execute(sa.delete(WORDS).where(WORDS.c.product_id.in_(ids)))
        words = [row for product in others for row in search.rows_of(product)]
        op.bulk_insert(WORDS, [dict(zip(search.COLUMNS, row, strict=True)) for row in words])
