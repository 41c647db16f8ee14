"""Lists: filtered, sorted and paged in the database, which also writes the JSON."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from aggregator.database import read
from aggregator.models.types import GUID, UTCDateTime
from aggregator.services.paging import (
    Columns,
    Kind,
    Sort,
    decode_cursor,
    encode_cursor,
    following,
    order,
    parse_sort,
    sort_values,
)
from aggregator.sql import Select, json_time

Condition = sa.ColumnElement[bool]


@dataclass(frozen=True, eq=False)
class Listing:
    """A list that can be asked for: where it comes from, what it shows, how it can be filtered and sorted."""

    source: sa.FromClause
    document: Callable[[], sa.ColumnElement[Any]]
    columns: Columns
    kinds: Mapping[str, Kind]
    tie: Any
    tie_kind: Kind
    default_sort: str
    # Conditions on a parameter of the same name; of a yes or no, a condition for each.
    filters: Mapping[str, Condition | Mapping[bool, Condition]] = field(default_factory=dict)
    always: tuple[Condition, ...] = ()


@dataclass(frozen=True)
class Page:
    """A page of a list: the JSON array, the cursor to the next page, and how many things there are in all."""

    text: str
    next_cursor: str | None
    total: int | None  # None where a cursor was followed: nobody counts on the way


def page(
    listing: Listing,
    filters: Mapping[str, Any],
    sort: str | None,
    size: int,
    number: int = 1,
    cursor: str | None = None,
) -> Page:
    """The page of that number, or what follows cursor. Invalid for a sort or a cursor that makes no sense."""
    keys = parse_sort(sort or listing.default_sort, list(listing.columns))
    shape = tuple(sorted((name, value if isinstance(value, bool) else None) for name, value in filters.items()))
    values = {name: value for name, value in filters.items() if not isinstance(value, bool)}
    position: dict[str, Any] = {"page_offset": (number - 1) * size}
    if cursor is not None:
        position = decode_cursor(cursor, [*(listing.kinds[key.name] for key in keys), listing.tie_kind])
    rows = read(_rows, listing, shape, keys, cursor is not None, page_size=size + 1, **position, **values)
    following_rows = len(rows) > size
    rows = rows[:size]
    return Page(
        "[" + ",".join(row[0] for row in rows) + "]",
        encode_cursor(rows[-1][1:]) if following_rows else None,
        None if cursor is not None else read(_count, listing, shape, **values)[0][0],
    )


def containing(text: str) -> str:
    """The pattern for LIKE ... ESCAPE that finds text anywhere."""
    literal = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{literal}%"


def _filtered(listing: Listing, shape: tuple[tuple[str, bool | None], ...]) -> list[Condition]:
    conditions = list(listing.always)
    for name, flag in shape:
        condition = listing.filters[name]
        conditions.append(condition[flag] if isinstance(condition, Mapping) else condition)  # type: ignore[index]
    return conditions


def _rows(listing: Listing, shape: tuple[tuple[str, bool | None], ...], keys: Sort, after: bool) -> Select:
    marks = [_as_json(value) for value in sort_values(keys, listing.columns, listing.tie)]
    statement = (
        sa.select(sa.cast(listing.document(), sa.Text), *marks)
        .select_from(listing.source)
        .where(*_filtered(listing, shape))
        .limit(sa.bindparam("page_size", type_=sa.Integer))
    )
    if after:
        statement = statement.where(following(keys, listing.columns, listing.tie))
    else:
        statement = statement.offset(sa.bindparam("page_offset", type_=sa.BigInteger))
    return order(statement, keys, listing.columns, listing.tie)


def _as_json(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The value of a column as JSON can hold it, and so a cursor."""
    if isinstance(value.type, UTCDateTime):
        return json_time(value)
    return sa.cast(value, sa.String) if isinstance(value.type, GUID) else value


def _count(listing: Listing, shape: tuple[tuple[str, bool | None], ...]) -> Select:
    return sa.select(sa.func.count()).select_from(listing.source).where(*_filtered(listing, shape))
