"""The catalogue as a file: JSON lines for programs, CSV for spreadsheets."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.models import Feed, Product
from aggregator.reading import read
from aggregator.services import price_series
from aggregator.services.catalog_reads import product_json
from aggregator.services.price_reads import text
from aggregator.sql import Select, id_parameter

AT_ONCE = 500
HISTORIES_AT_ONCE = 50  # each may have some thousand prices
COLUMNS = (
    *("id", "name", "description", "brand", "category", "price", "stock", "rating"),
    *("lowest_price", "offer_count", "offers_synced_at", "created_at", "updated_at"),
)
HISTORY_COLUMNS = ("history_at", "history_price")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # the last four: full width

Exported = dict[str, Any]


def count() -> int:
    """How many products there are to export."""
    number: int = read(_count)[0][0]
    return number


def products(now: datetime, with_history: bool = False) -> Iterator[Exported]:
    """Every product, as the API shows it; with history, price_history tells what its lowest price has been, and when.

    They come in the order of their ids, some of them at a time: it does not matter how many there are.
    """
    after = UUID(int=0)
    while rows := read(_products, after=str(after), limit=HISTORIES_AT_ONCE if with_history else AT_ONCE):
        batch = {UUID(product["id"]): product for product in (json.loads(row[0]) for row in rows)}
        after = max(batch)
        if with_history:
            for product_id, points in price_series.histories(list(batch), now).items():
                batch[product_id]["price_history"] = [{"at": text(at), "price": price} for at, price in points]
        yield from batch.values()


def json_lines(products: Iterable[Exported]) -> Iterator[str]:
    """Products as lines of JSON."""
    for product in products:
        yield json.dumps(product, ensure_ascii=False, separators=(",", ":")) + "\n"


def csv_lines(products: Iterable[Exported], with_history: bool = False, delimiter: str = ",") -> Iterator[str]:
    """Products as lines of CSV, the first one with the names of the columns; with history, a line for each price.

    What a spreadsheet would take for a formula has an apostrophe before it.
    """
    yield _line([*COLUMNS, *(HISTORY_COLUMNS if with_history else ())], delimiter)
    for product in products:
        cells = [_cell(product[name]) for name in COLUMNS]
        if not with_history:
            yield _line(cells, delimiter)
        for point in product.get("price_history") or ([{"at": None, "price": None}] if with_history else []):
            yield _line([*cells, _cell(point["at"]), _cell(point["price"])], delimiter)


def _line(cells: Iterable[Any], delimiter: str) -> str:
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter).writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> Any:
    """A value as a cell has it; of a category, its slug."""
    if isinstance(value, dict):
        return value["slug"]
    if isinstance(value, float):
        return format(Decimal(repr(value)), "f")  # never 1e-05, which few programs read as a number
    # What has apostrophes before it already gets another one, so that an import takes away no more than this.
    return f"'{value}" if isinstance(value, str) and value.lstrip("'").startswith(FORMULA) else value


def _products() -> Select:
    return (
        _living(sa.select(sa.cast(product_json(), sa.Text)))
        .where(Product.id > id_parameter("after"))
        .order_by(Product.id)
        .limit(sa.bindparam("limit", type_=sa.Integer))
    )


def _count() -> Select:
    return _living(sa.select(sa.func.count()))


def _living(statement: Select) -> Select:
    products = statement.select_from(sa.join(Product, Feed, Feed.product_id == Product.id))
    return products.where(Product.deleted_at.is_(None))
