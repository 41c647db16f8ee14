"""Products as rows of a file: what each row says, or why it will not do."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from aggregator.errors import UsageError
from aggregator.literals import RepeatedKey, json_value
from aggregator.services.csv_records import MAX_RECORD, Records, cells_of
from aggregator.services.export import COLUMNS, FORMULA, HISTORY_COLUMNS
from aggregator.services.product_fields import FIELDS, from_cell, is_undecodable

MAX_LINE = 1_000_000  # characters
DELIMITERS = (",", ";", "\t")  # the first with which the first line makes sense
# What an export has, and an import cannot change.
SHOWN = {*COLUMNS, *HISTORY_COLUMNS, "registration", "images", "offers", "price_history"}
SHOWN |= {"offers_up_to_date", "offers_problem"}


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
    """The rows of a CSV file with the names of the columns in its first line. UsageError where they make no sense.

    Cells are separated by commas, or by semicolons or tabs where the first line makes sense only so.
    """
    source = iter(lines)
    layout = _layout(next(source, ""))
    for record in Records(source, layout.delimiter, layout.fits, first=2):
        if record.problem:
            yield Rejected(record.line, (record.problem,))
        elif record.is_empty:
            continue
        elif reason := layout.against(record.cells):
            yield Rejected(record.line, (reason,))
        else:
            named = {name: _plain(cell) for name, cell in zip(layout.columns, record.cells, strict=False)}
            values = {name: from_cell(name, cell) for name, cell in named.items() if name in FIELDS}
            # An empty cell of these says nothing: a product always has them.
            yield _row(record.line, {n: v for n, v in values.items() if v is not None or n not in ("id", "stock")})


def json_rows(lines: Iterable[str]) -> Iterator[Row | Rejected]:
    """The rows of a file with a JSON object in each line."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found = json_value(line) if len(line) <= MAX_LINE else None
        except RepeatedKey as error:
            yield Rejected(number, (str(error),))
            continue
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            yield Rejected(number, ("Not a JSON object.",))
        elif unknown := sorted(found.keys() - FIELDS.keys() - SHOWN):
            yield Rejected(number, tuple(f"{name}: Unknown." for name in unknown))
        else:
            yield _row(number, {name: found[name] for name in FIELDS if name in found})


@dataclass(frozen=True)
class _Layout:
    """How a CSV file is laid out: what stands between cells, and the columns, of which some may have no name."""

    delimiter: str
    columns: tuple[str, ...]

    @cached_property
    def _unnamed(self) -> list[int]:
        return [index for index, name in enumerate(self.columns) if not name]

    def fits(self, cells: tuple[str, ...]) -> bool:
        """Whether there is a cell for each column, and nothing in those without a name."""
        beyond = [*cells[len(self.columns) :], *(cells[index] for index in self._unnamed if index < len(cells))]
        return len(cells) >= len(self.columns) and not "".join(beyond).strip()

    def against(self, cells: tuple[str, ...]) -> str:
        """What is wrong with the number of cells, if anything is."""
        if self.fits(cells):
            return ""
        if len(cells) == len(self.columns):
            return "There is something in a column without a name."
        count = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
        return f"{count} for {len(self.columns)} columns."


def _layout(header: str) -> _Layout:
    """The layout that the first line of a file describes. UsageError where it describes none."""
    wrong = ""
    for delimiter in DELIMITERS:
        try:
            names = [name.strip() for name in cells_of(header, delimiter)] if len(header) <= MAX_RECORD else ["?"]
        except ValueError as error:
            wrong = wrong or f" It is not CSV: {error}"
            continue
        while names and not names[-1]:
            names.pop()  # spreadsheets leave empty columns behind
        found = _against(names)
        if not found:
            return _Layout(delimiter, tuple(names))
        wrong = wrong or found
    raise UsageError(f"The first line has to name columns, id or name among them: {', '.join(FIELDS)}.{wrong}")


def _against(columns: list[str]) -> str:
    """What is wrong with the names of columns, if anything is."""
    named = [name for name in columns if name]
    if unknown := [name for name in named if name not in FIELDS and name not in SHOWN]:
        if is_undecodable(unknown[0]) or "\0" in unknown[0]:
            return " It is not in the encoding that the file is read in."
        return f" There is no column {unknown[0][:80]!r}."
    if twice := {name for name in named if named.count(name) > 1}:
        return f" {min(twice)!r} is there twice."
    return "" if {"id", "name"} & set(named) else " It names neither."


def _plain(cell: str) -> str:
    """A cell without the apostrophe that an export puts before what looks like a formula."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(FORMULA) else cell


def _row(line: int, values: Mapping[str, Any]) -> Row | Rejected:
    fields, reasons = {}, []
    for name, value in values.items():
        try:
            fields[name] = FIELDS[name](value)
        except ValueError as error:
            reasons.append(f"{name}: {error}")
    if {"category", "category_id"} <= values.keys():
        reasons.append("category_id: Either it or category.")
    elif "category_id" in fields:
        fields["category"] = fields.pop("category_id")
    if not reasons and not {"id", "name"} & fields.keys():
        reasons.append("Neither an id nor a name.")
    return Rejected(line, tuple(reasons)) if reasons else Row(line, fields)
