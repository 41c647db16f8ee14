"""Full-text search: words in any order, accents and case ignored, the last one only begun.

It is a table of words, the same on both databases: each has a full-text search of its own, but they find
different things, and rank them differently.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.database import db
from aggregator.folding import searchable
from aggregator.models import Place, Product, SearchWord
from aggregator.models.base import table_of
from aggregator.models.search import WORD_LENGTH
from aggregator.reading import read
from aggregator.sql import Select, store

COLUMNS = ("product_id", "word", "place")
MAX_WORDS = 8  # of a query; what comes after them is left out
MAX_INDEXED = 500  # of a product: the first ones
LAST = "q_last"
EXACT = tuple(f"q_{number}" for number in range(1, MAX_WORDS))
RARE = 2_000  # products; to find and sort so many takes some milliseconds
_AFTER_ALL = "\U0010ffff"  # comes after every character that a word can go on with
_words = re.compile(r"[^\W_]+").findall


def words(text: str) -> list[str]:
    """The words of a text as they are compared: "Café-Müller & Søn" has cafe, muller and son."""
    return [word[:WORD_LENGTH] for word in _words(searchable(text))]


def index(products: Iterable[Mapping[str, Any]]) -> None:
    """Have new products found by what their names, brands and descriptions say."""
    store(db.session.connection(), table_of(SearchWord), COLUMNS, [row for each in products for row in rows_of(each)])


def index_again(products: Iterable[Mapping[str, Any]]) -> None:
    """Have products found by what they say now, and by nothing else."""
    products = list(products)
    forget([product["id"] for product in products])
    index(products)


def forget(product_ids: Sequence[UUID]) -> None:
    """Have products found no more."""
    if product_ids:
        db.session.execute(sa.delete(SearchWord).where(SearchWord.product_id.in_(product_ids)))


def rows_of(product: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """The words of a product, as the rows to be stored: its id, the word, and the best place where that stands."""
    places: dict[str, int] = {}
    for place, text in ((0, product["name"]), (1, product.get("brand")), (2, product["description"])):
        for word in words(text or ""):
            places.setdefault(word, place)
    product_id = str(product["id"])
    return [(product_id, word, place) for word, place in list(places.items())[:MAX_INDEXED]]


def parameters(query: str) -> dict[str, str] | None:
    """The values of the conditions that find what a query means; None where it has no word, and so finds nothing."""
    found = words(query)[:MAX_WORDS]
    return dict(zip(EXACT, found[:-1], strict=False)) | {LAST: found[-1]} if found else None


def conditions(worst: Place) -> dict[str, sa.ColumnElement[bool]]:
    """Conditions that a product has a word in some place or a better one, by the names of their parameters.

    The products are found by the words: that is for words that few have.
    """
    return {name: Product.id.in_(_with(word, worst)) for name, word in _WORDS.items()}


def probes(worst: Place) -> dict[str, sa.ColumnElement[bool]]:
    """The same conditions, to be looked at product by product: that is for words that many have."""
    # With an OFFSET, PostgreSQL takes it for what it is and makes no join of it.
    of_product = SearchWord.product_id == Product.id
    return {
        name: _with(word, worst).where(of_product).correlate(Product).offset(sa.literal_column("0")).exists()
        for name, word in _WORDS.items()
    }


def are_common(words: Mapping[str, str], worst: Place) -> bool:
    """Whether each of the words, as parameters() has them, is there so often that it does not pay to find them all."""
    return bool(read(_are_common, tuple(words), worst, **words)[0][0])


def _are_common(names: tuple[str, ...], worst: Place) -> Select:
    counts = [
        sa.select(sa.func.count()).select_from(_with(_WORDS[name], worst).limit(RARE + 1).subquery()) for name in names
    ]
    return sa.select(sa.and_(*(count.scalar_subquery() > RARE for count in counts)))


def _begun() -> sa.ColumnElement[bool]:
    begun = sa.bindparam(LAST, type_=sa.String)
    return sa.and_(SearchWord.word >= begun, SearchWord.word < begun + sa.literal(_AFTER_ALL))


def _with(word: sa.ColumnElement[bool], worst: Place) -> Any:
    return sa.select(SearchWord.product_id).where(word, SearchWord.place <= sa.literal_column(str(int(worst))))


_WORDS = {name: SearchWord.word == sa.bindparam(name, type_=sa.String) for name in EXACT} | {LAST: _begun()}


def of(product_id: UUID) -> list[str]:
    """The words by which a product is found, in their order."""
    of_this = sa.select(SearchWord.word).where(SearchWord.product_id == product_id)
    return sorted(db.session.scalars(of_this))
