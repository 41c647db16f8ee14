"""Products as rows of a file: what each row says, or why it will not do."""

import csv
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aggregator.errors import UsageError
from aggregator.models import MAX_PRICE, MAX_STOCK
from aggregator.models.catalog import BRAND_LENGTH, CATEGORY_LENGTH, DESCRIPTION_LENGTH, NAME_LENGTH
from aggregator.services.export import COLUMNS, FORMULA, HISTORY_COLUMNS

MAX_LINE = 1_000_000  # characters
_is_whole = re.compile(r"[+-]?[0-9]{1,20}").fullmatch
_unstorable = re.compile("[\0\ud800-\udfff]").search
# What the bytes of a file become that are not UTF-8, so that they cost their row and no other.
UNDECODABLE = "surrogateescape"
_is_not_utf8 = re.compile("[\udc80-\udcff]").search
# What an export has, and an import cannot change.
SHOWN = {*COLUMNS, *HISTORY_COLUMNS, "registration", "images", "offers", "price_history", "category_id"}


@dataclass(frozen=True)
class Row:
    """A row that says what a product is to be: only what is in it is to change."""

    line: int
    fields: dict[str, Any]


@dataclass(frozen=True)
class Rejected:
    """A row that will not do, and why."""

    line: int
    reasons: tuple[str, ...]


def csv_rows(lines: Iterable[str]) -> Iterator[Row | Rejected]:
    """The rows of a CSV file with the names of the columns in its first line. UsageError where they make no sense."""
    reader = csv.reader(lines)
    try:
        columns = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise UsageError(f"The first line is not CSV: {error}.") from None
    _check_columns(columns)
    while True:
        line = reader.line_num + 1  # where the row begins
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Rejected(line, (f"Not CSV: {error}.",))
            continue
        if len(cells) != len(columns):
            if cells:
                yield Rejected(line, (_other_than(columns, cells, reader.line_num - line),))
            continue
        named = {name: _plain(cell) for name, cell in zip(columns, cells, strict=True)}
        yield _row(line, {name: _cell(name, cell) for name, cell in named.items() if name in _FIELDS})


def json_rows(lines: Iterable[str]) -> Iterator[Row | Rejected]:
    """The rows of a file with a JSON object in each line."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line, parse_constant=_refuse) if len(line) <= MAX_LINE else None
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            yield Rejected(number, ("Not a JSON object.",))
        elif unknown := sorted(found.keys() - _FIELDS.keys() - SHOWN):
            yield Rejected(number, tuple(f"{name}: Unknown." for name in unknown))
        else:
            yield _row(number, {name: found[name] for name in _FIELDS if name in found})


def _check_columns(columns: list[str]) -> None:
    unknown = [name for name in columns if name not in _FIELDS and name not in SHOWN]
    twice = {name for name in columns if columns.count(name) > 1}
    if unknown or twice or not {"id", "name"} & set(columns):
        wrong = f" There is no column {unknown[0][:80]!r}." if unknown else ""
        wrong += f" {min(twice)!r} is there twice." if twice else ""
        wrong += " Columns are separated by commas." if unknown and set(unknown[0]) & {";", "\t"} else ""
        raise UsageError(f"The first line has to name columns, id or name among them: {', '.join(_FIELDS)}.{wrong}")


def _other_than(columns: list[str], cells: list[str], more_lines: int) -> str:
    """What is said of a row that has more cells than there are columns, or less."""
    count = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
    open_quote = f" It goes on for {more_lines} more lines: is there a quote that is not closed?" if more_lines else ""
    return f"{count} for {len(columns)} columns.{open_quote}"


def _plain(cell: str) -> str:
    """A cell without the apostrophe that an export puts before what looks like a formula."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA) else cell


def _cell(name: str, cell: str) -> Any:
    """The value of a cell. An empty one is no value, except where a text may be empty."""
    if cell == "" and name not in ("name", "description"):
        return None
    if name in ("price", "stock") and _is_whole(cell.strip()):
        return int(cell)
    if name == "rating":
        try:
            return float(cell)
        except ValueError:
            return cell
    return cell


def _row(line: int, values: Mapping[str, Any]) -> Row | Rejected:
    fields, reasons = {}, []
    for name, value in values.items():
        try:
            fields[name] = _FIELDS[name](value)
        except ValueError as error:
            reasons.append(f"{name}: {error}")
    # An empty cell of these says nothing: a product always has them.
    for name in ("id", "stock"):
        if fields.get(name, 0) is None:
            del fields[name]
    if not reasons and not {"id", "name"} & fields.keys():
        reasons.append("Neither an id nor a name.")
    return Rejected(line, tuple(reasons)) if reasons else Row(line, fields)


def _text(minimum: int, maximum: int, nullable: bool = False) -> Callable[[Any], str | None]:
    def parse(value: Any) -> str | None:
        if value is None and nullable:
            return None
        if not isinstance(value, str) or not minimum <= len(value) <= maximum:
            raise ValueError(f"Must be a text of {minimum} to {maximum} characters.")
        if not value.isascii() and _is_not_utf8(value):
            raise ValueError("Is not UTF-8.")
        if _unstorable(value):
            raise ValueError("Contains a character that cannot be stored.")
        return value

    return parse


def _number(maximum: int) -> Callable[[Any], int | None]:
    def parse(value: Any) -> int | None:
        if value is not None and (type(value) is not int or not 0 <= value <= maximum):
            raise ValueError(f"Must be a whole number from 0 to {maximum}.")
        return value

    return parse


def _rating(value: Any) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not math.isfinite(value) or not 0 <= value <= 5:
        raise ValueError("Must be a number from 0 to 5.")
    return float(value)


def _id(value: Any) -> UUID | None:
    try:
        return None if value is None else UUID(value)
    except (ValueError, TypeError, AttributeError):
        raise ValueError("Must be a UUID.") from None


def _category(value: Any) -> str | None:
    """The slug of a category: as such, or as the API shows a product's category."""
    value = value.get("slug") if isinstance(value, dict) else value
    return _text(1, CATEGORY_LENGTH, nullable=True)(value)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "id": _id,
    "name": _text(1, NAME_LENGTH),
    "description": _text(0, DESCRIPTION_LENGTH),
    "brand": _text(0, BRAND_LENGTH, nullable=True),
    "category": _category,
    "price": _number(MAX_PRICE),
    "stock": _number(MAX_STOCK),
    "rating": _rating,
}
