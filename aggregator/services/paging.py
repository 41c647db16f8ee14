"""Sorting a list, and cursors: marks that lead to what follows a row, however far into the list it is."""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from aggregator.errors import InvalidCursor, ValidationFailed
from aggregator.models.types import GUID, TIMESTAMP_FORMAT, UTCDateTime
from aggregator.sql import Select

_is_base64url = re.compile("[A-Za-z0-9_-]+").fullmatch
_is_uuid = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_has_form_of_moment = re.compile(r"[0-9]{4}(?:-[0-9]{2}){2}T[0-9]{2}(?::[0-9]{2}){2}\.[0-9]{6}Z").fullmatch
_unstorable = re.compile("[\0\ud800-\udfff]").search
Kind = Callable[[Any], bool]  # whether a value in a cursor is of a column's type
# Columns in the order in which they sort, and whether downwards; never null, because databases differ on nulls.
Ordered = Sequence[tuple[Any, bool]]


@dataclass(frozen=True)
class SortKey:
    """The name of something to sort by, and the direction."""

    name: str
    descending: bool = False


Sort = tuple[SortKey, ...]


def parse_sort(text: str, allowed: Sequence[str]) -> Sort:
    """The keys in text, such as "name,-lowest_price". Invalid where one is not allowed, or stands twice."""
    keys = tuple(SortKey(part.strip().removeprefix("-"), part.strip().startswith("-")) for part in text.split(","))
    names = [key.name for key in keys]
    if not set(names) <= set(allowed) or len(set(names)) < len(names):
        message = f"Sort by some of {', '.join(allowed)}; a minus before one turns it around."
        raise ValidationFailed(errors={"query": {"sort": [message]}})
    return keys


def order(statement: Select, by: Ordered) -> Select:
    """Sort a statement; the last column is unique."""
    return statement.order_by(*(column.desc() if descending else column.asc() for column, descending in by))


def following(by: Ordered) -> sa.ColumnElement[bool]:
    """The condition that a row comes after the one whose values are the parameters after_0, after_1, ..."""
    marks = [_mark(column, index) for index, (column, _) in enumerate(by)]
    columns = [column for column, _ in by]
    if len({descending for _, descending in by}) == 1:
        # One comparison of rows, which an index can answer.
        beyond: sa.ColumnElement[bool] = _beyond(sa.tuple_(*columns), sa.tuple_(*marks), by[0][1])
        return beyond
    branches = [
        sa.and_(*(columns[before] == marks[before] for before in range(index)), _beyond(column, marks[index], down))
        for index, (column, down) in enumerate(by)
    ]
    # The first column's condition follows from the others; an index can answer it, and not those.
    first, down = by[0]
    return sa.and_(first <= marks[0] if down else first >= marks[0], sa.or_(*branches))


def _mark(column: Any, index: int) -> sa.ColumnElement[Any]:
    if isinstance(column.type, GUID | UTCDateTime):
        return sa.cast(sa.bindparam(f"after_{index}", type_=sa.String), column.type)
    if isinstance(column.type, sa.Integer):  # a made-up cursor may have any number that is_number() lets through
        return sa.cast(sa.bindparam(f"after_{index}", type_=sa.BigInteger), sa.BigInteger)
    return sa.bindparam(f"after_{index}", type_=column.type)


def _beyond(column: Any, mark: Any, descending: bool) -> Any:
    return column < mark if descending else column > mark


def encode_cursor(values: Sequence[Any]) -> str:
    """A cursor that leads to what follows the row with these values of the sort keys."""
    text = json.dumps(list(values), separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: Sequence[Kind]) -> dict[str, Any]:
    """The parameters after_0, after_1, ... of following(): values of these kinds, or of those.

    Invalid for a cursor of another list or sort.
    """
    try:
        if not _is_base64url(cursor):
            raise ValueError("not as encode_cursor() writes it")  # the decoder would skip what it does not know
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if any(_are(values, each) for each in kinds):
            return {f"after_{index}": value for index, value in enumerate(values)}
    except (ValueError, TypeError, binascii.Error, RecursionError):
        pass
    raise InvalidCursor(errors={"query": {"cursor": ["Not a cursor of this list, sorted like this."]}})


def _are(values: Any, kinds: Sequence[Kind]) -> bool:
    return len(values) == len(kinds) and all(kind(value) for kind, value in zip(kinds, values, strict=True))


def kind_of(column: Any) -> Kind:
    """What tells whether a value in a cursor is one of a column's."""
    for types, kind in _KINDS:
        if isinstance(column.type, types):
            return kind
    raise TypeError(f"nothing to sort by: {column.type!r}")


def is_number(value: Any) -> bool:
    """Whether value is what JSON makes of an integer column."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def is_decimal(value: Any) -> bool:
    """Whether value is what JSON makes of a column of decimal numbers."""
    return is_number(value) or (isinstance(value, float) and math.isfinite(value))


def is_text(value: Any) -> bool:
    """Whether value is what JSON makes of a text column."""
    return type(value) is str and not _unstorable(value)


def as_text(moment: datetime) -> str:
    """A moment as moment_parameter() takes it."""
    return moment.astimezone(UTC).strftime(TIMESTAMP_FORMAT)


def is_moment(value: Any) -> bool:
    """Whether value is what JSON makes of a moment."""
    return type(value) is str and _has_form_of_moment(value) is not None and bool(datetime.fromisoformat(value))


def is_uuid(value: Any) -> bool:
    """Whether value is what JSON makes of a UUID."""
    return type(value) is str and _is_uuid(value) is not None


_KINDS: tuple[tuple[type[Any], Kind], ...] = (
    (GUID, is_uuid),
    (UTCDateTime, is_moment),
    (sa.Float, is_decimal),
    (sa.Integer, is_number),
    (sa.String, is_text),
)
