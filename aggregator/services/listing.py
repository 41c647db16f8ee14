"""Lists: filtered, sorted and paged in the database, which also writes the JSON."""

from collections.abc import Callable, Mapping, Sequence
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
    is_number,
    order,
    parse_sort,
    sort_values,
)
from aggregator.sql import Row, Select, json_time

Condition = sa.ColumnElement[bool]
COUNTED = 1_000  # to count further would cost more than the page itself


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
    # Conditions on a parameter that must not all hold together.
    unless: Mapping[str, Condition] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """A page of a list: the JSON array, the cursor to the next page, and how many things there are in all.

    Where there are more than COUNTED, total is that number and is_counted false. Who follows a cursor is told no
    total: nobody counts on the way.
    """

    text: str
    next_cursor: str | None
    total: int | None
    is_counted: bool = True


@dataclass(frozen=True)
class _Query:
    """What is asked of lists: which things, in which order."""

    shape: tuple[tuple[str, bool | None], ...]
    values: Mapping[str, Any]
    keys: Sort

    def rows(self, listing: Listing, after: bool, **position: Any) -> Sequence[Row]:
        return read(_rows, listing, self.shape, self.keys, after, **position, **self.values)

    def count(self, listing: Listing, at_most: int) -> int:
        number: int = read(_count, listing, self.shape, at_most=at_most, **self.values)[0][0]
        return number


def page(
    listings: Listing | Sequence[Listing],
    filters: Mapping[str, Any],
    sort: str | None,
    size: int,
    number: int = 1,
    cursor: str | None = None,
) -> Page:
    """The page of that number, or what follows cursor, of one list or of several, one after the other.

    Invalid for a sort or a cursor that makes no sense.
    """
    listings = [listings] if isinstance(listings, Listing) else listings
    keys = parse_sort(sort or listings[0].default_sort, list(listings[0].columns))
    shape = tuple(sorted((name, value if isinstance(value, bool) else None) for name, value in filters.items()))
    query = _Query(shape, {name: value for name, value in filters.items() if not isinstance(value, bool)}, keys)
    if cursor is None:
        found = _from(listings, query, (number - 1) * size, size + 1)
    else:
        found = _after(listings, query, cursor, size + 1)
    last = found[size - 1] if len(found) > size else None
    total = None if cursor is not None else _total(listings, query)
    return Page(
        "[" + ",".join(row[0] for _, row in found[:size]) + "]",
        None if last is None else encode_cursor([*last[0], *last[1][1:]]),
        None if total is None else min(total, COUNTED),
        total is None or total <= COUNTED,
    )


# A row, and what tells which of several lists it is from: nothing where there is but one.
_Found = list[tuple[tuple[int, ...], Row]]


def _from(listings: Sequence[Listing], query: _Query, offset: int, limit: int) -> _Found:
    found: _Found = []
    for number, listing in enumerate(listings):
        rows = query.rows(listing, False, page_offset=offset, page_size=limit - len(found))
        found += _named(listings, number, rows)
        if len(found) == limit:
            break
        offset = 0 if rows or not offset else offset - query.count(listing, offset)
    return found


def _after(listings: Sequence[Listing], query: _Query, cursor: str, limit: int) -> _Found:
    kinds = [*(listings[0].kinds[key.name] for key in query.keys), listings[0].tie_kind]
    several: list[Kind] = [lambda value: is_number(value) and 0 <= value < len(listings)] if len(listings) > 1 else []
    marks = list(decode_cursor(cursor, [*several, *kinds]).values())
    first = marks.pop(0) if several else 0
    position = {f"after_{index}": mark for index, mark in enumerate(marks)}
    found = _named(listings, first, query.rows(listings[first], True, page_size=limit, **position))
    for number in range(first + 1, len(listings)):
        if len(found) < limit:
            rest = query.rows(listings[number], False, page_offset=0, page_size=limit - len(found))
            found += _named(listings, number, rest)
    return found


def _named(listings: Sequence[Listing], number: int, rows: Sequence[Row]) -> _Found:
    return [((number,) if len(listings) > 1 else (), row) for row in rows]


def _total(listings: Sequence[Listing], query: _Query) -> int:
    total = 0
    for listing in listings:
        if total <= COUNTED:
            total += query.count(listing, COUNTED + 1 - total)
    return total


def containing(text: str) -> str:
    """The pattern for LIKE ... ESCAPE that finds text anywhere."""
    return f"%{literal(text)}%"


def literal(text: str) -> str:
    """The pattern for LIKE ... ESCAPE that finds text and nothing else."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _filtered(listing: Listing, shape: tuple[tuple[str, bool | None], ...]) -> list[Condition]:
    conditions = list(listing.always)
    for name, flag in shape:
        condition = listing.filters[name]
        conditions.append(condition[flag] if isinstance(condition, Mapping) else condition)  # type: ignore[index]
    together = [listing.unless[name] for name, _ in shape if name in listing.unless]
    return [*conditions, sa.not_(sa.and_(*together))] if together else conditions


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
    some = sa.select(sa.literal(1)).select_from(listing.source).where(*_filtered(listing, shape))
    return sa.select(sa.func.count()).select_from(some.limit(sa.bindparam("at_most", type_=sa.Integer)).subquery())
