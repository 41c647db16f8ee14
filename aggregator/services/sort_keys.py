"""Keys of names that an older version wrote without them, or left behind, while it ran beside a newer one."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from aggregator.database import db
from aggregator.folding import KEY_END
from aggregator.models import Category, Product, User
from aggregator.services import search

AT_ONCE = 500


def mend(_: datetime) -> int:
    """Give some products, categories and users the keys of their names, and count them."""
    products = _outdated(Product, Product.name, sa.and_(Product.brand != "", Product.brand_key.is_(None)))
    for product in products:
        product.name, product.brand = product.name, product.brand  # which sets their keys
    search.index_again([vars(product) for product in products])
    categories, users = _outdated(Category, Category.name), _outdated(User, User.username)
    for category in categories:
        category.name = category.name
    for user in users:
        user.username = user.username
    return len(products) + len(categories) + len(users)


def _outdated(model: type[Any], name: Any, *others: sa.ColumnElement[bool]) -> Any:
    """Some rows, locked, whose key does not end in their name."""
    key = model.sort_key
    end = sa.func.substr(key, sa.func.length(key) - sa.func.length(name))
    stale = sa.or_(end != sa.literal(KEY_END) + name, *others)
    rows = sa.select(model).where(stale).order_by(model.id).limit(AT_ONCE)
    return db.session.scalars(rows.with_for_update(skip_locked=True)).all()
