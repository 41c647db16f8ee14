"""Full-text search: words in any order, accents and case ignored, the last one only begun.

It is a table of words, the same on both databases: each has a full-text search of its own, but they find
different things, and rank them differently.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any
from unicodedata import combining, normalize
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db, dialect
from aggregator.models import Place, Product, SearchWord
from aggregator.models.base import table_of
from aggregator.models.search import WORD_LENGTH
from aggregator.models.types import GUID
from aggregator.sql import Rows

MAX_WORDS = 8  # of a query; what comes after them is left out
MAX_INDEXED = 500  # of a product: the first ones
LAST = "q_last"
EXACT = tuple(f"q_{number}" for number in range(1, MAX_WORDS))
_AFTER_ALL = "\U0010ffff"  # comes after every character that a word can go on with
_words = re.compile(r"[^\W_]+").findall


def words(text: str) -> list[str]:
    """The words of a text as they are compared: "Café-Müller" has cafe and muller."""
    plain = "".join(character for character in normalize("NFKD", text) if not combining(character))
    return [word[:WORD_LENGTH] for word in _words(plain.casefold())]


def index(products: Iterable[Mapping[str, Any]]) -> None:
    """Have products found by what their names, brands and descriptions say now."""
    products = list(products)
    if products:
        ids = [product["id"] for product in products]
        db.session.execute(sa.delete(SearchWord).where(SearchWord.product_id.in_(ids)))
    found = [(str(row["product_id"]), row["word"], row["place"]) for product in products for row in rows_of(product)]
    if found:
        rows, statement = _add(dialect())
        db.session.connection().execute(statement, rows.parameters(*zip(*found, strict=True)))


@cache
def _add(dialect: str) -> tuple[Rows, sa.Executable]:
    rows = Rows(dialect, product_id=GUID(), word=sa.Text(), place=sa.Integer())
    return rows, sa.insert(table_of(SearchWord)).from_select(list(rows.columns.keys()), sa.select(*rows.columns))


def rows_of(product: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The words of a product, as the rows to be stored."""
    places: dict[str, Place] = {}
    for place, text in zip(Place, (product["name"], product.get("brand"), product["description"]), strict=True):
        for word in words(text or ""):
            places.setdefault(word, place)
    for word, place in list(places.items())[:MAX_INDEXED]:
        yield {"product_id": product["id"], "word": word, "place": place}


def parameters(query: str) -> dict[str, str] | None:
    """The values of the conditions that find what a query means; None where it has no word, and so finds nothing."""
    found = words(query)[:MAX_WORDS]
    return dict(zip(EXACT, found[:-1], strict=False)) | {LAST: found[-1]} if found else None


def conditions(worst: Place) -> dict[str, sa.ColumnElement[bool]]:
    """Conditions that a product has a word in some place or a better one, by the names of their parameters."""
    exact = {name: _has(worst, SearchWord.word == sa.bindparam(name, type_=sa.String)) for name in EXACT}
    begun = sa.bindparam(LAST, type_=sa.String)
    return exact | {LAST: _has(worst, SearchWord.word >= begun, SearchWord.word < begun + sa.literal(_AFTER_ALL))}


def _has(worst: Place, *which: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    place = SearchWord.place <= sa.literal_column(str(int(worst)))
    return Product.id.in_(sa.select(SearchWord.product_id).where(*which, place))


def of(product_id: UUID) -> list[str]:
    """The words by which a product is found, in their order."""
    of_this = sa.select(SearchWord.word).where(SearchWord.product_id == product_id)
    return sorted(db.session.scalars(of_this))
