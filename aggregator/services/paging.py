"""Sorting a list, and cursors: marks that lead to what follows a row, however far into the list it is."""

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.errors import Invalid
from aggregator.models.types import GUID, TIMESTAMP_FORMAT, UTCDateTime
from aggregator.sql import Select

_is_base64url = re.compile("[A-Za-z0-9_-]+").fullmatch
Kind = Callable[[Any], bool]  # whether a value in a cursor is of a column's type
# What each name sorts by, for a descending sort or not; never null, because databases differ on nulls.
Columns = Mapping[str, Callable[[bool], Any]]


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
        raise Invalid(errors={"query": {"sort": [message]}})
    return keys


def order(statement: Select, sort: Sort, columns: Columns, tie: Any) -> Select:
    """Sort statement by the keys, and by tie, which is unique, in the direction of the last one."""
    return statement.order_by(
        *(column.desc() if descending else column.asc() for column, descending in _keys(sort, columns, tie))
    )


def sort_values(sort: Sort, columns: Columns, tie: Any) -> list[Any]:
    """What a cursor to the next row is made of: the values that the row is sorted by."""
    return [column for column, _ in _keys(sort, columns, tie)]


def following(sort: Sort, columns: Columns, tie: Any) -> sa.ColumnElement[bool]:
    """The condition that a row comes after the one whose values are the parameters after_0, after_1, ..."""
    keys = _keys(sort, columns, tie)
    marks = [
        sa.cast(sa.bindparam(f"after_{index}", type_=sa.String), column.type)
        if isinstance(column.type, GUID | UTCDateTime)
        else sa.bindparam(f"after_{index}", type_=column.type)
        for index, (column, _) in enumerate(keys)
    ]
    descending = {descending for _, descending in keys}
    if len(descending) == 1:
        # One comparison of rows, which an index can answer.
        left, right = sa.tuple_(*(column for column, _ in keys)), sa.tuple_(*marks)
        return left < right if descending == {True} else left > right
    branches = []
    for index, (column, downwards) in enumerate(keys):
        equal = [keys[before][0] == marks[before] for before in range(index)]
        branches.append(sa.and_(*equal, column < marks[index] if downwards else column > marks[index]))
    return sa.or_(*branches)


def _keys(sort: Sort, columns: Columns, tie: Any) -> list[tuple[Any, bool]]:
    *_, last = sort
    return [(columns[key.name](key.descending), key.descending) for key in sort] + [(tie, last.descending)]


def encode_cursor(values: Sequence[Any]) -> str:
    """A cursor that leads to what follows the row with these values of the sort keys."""
    text = json.dumps(list(values), separators=(",", ":"), ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: Sequence[Kind]) -> dict[str, Any]:
    """The parameters after_0, after_1, ... of following(). Invalid for a cursor of another list or sort."""
    try:
        if not _is_base64url(cursor):
            raise ValueError("not as encode_cursor() writes it")  # the decoder would skip what it does not know
        values = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if len(values) == len(kinds) and all(kind(value) for kind, value in zip(kinds, values, strict=True)):
            return {f"after_{index}": value for index, value in enumerate(values)}
    except (ValueError, TypeError, binascii.Error, RecursionError):
        pass
    raise Invalid(errors={"query": {"cursor": ["Not a cursor of this list, sorted like this."]}})


def is_number(value: Any) -> bool:
    """Whether value is what JSON makes of an integer column."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def is_decimal(value: Any) -> bool:
    """Whether value is what JSON makes of a column of decimal numbers."""
    return is_number(value) or (isinstance(value, float) and math.isfinite(value))


def is_text(value: Any) -> bool:
    """Whether value is what JSON makes of a text column."""
    return (
        type(value) is str and "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    )


def as_text(moment: datetime) -> str:
    """A moment as moment_parameter() takes it."""
    return moment.astimezone(UTC).strftime(TIMESTAMP_FORMAT)


def is_moment(value: Any) -> bool:
    """Whether value is what JSON makes of a moment."""
    # Back again, because strptime() takes more than PostgreSQL does: other digits, shorter numbers.
    return datetime.strptime(value, TIMESTAMP_FORMAT).replace(tzinfo=UTC).strftime(TIMESTAMP_FORMAT) == str(value)


def is_uuid(value: Any) -> bool:
    """Whether value is what JSON makes of a UUID."""
    return type(value) is str and str(UUID(value)) == value
