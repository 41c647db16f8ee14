"""Lists: filtered, sorted and paged in the database, which also writes the JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aggregator.reading import read, read_kept
from aggregator.services.list_queries import Listing, Part, Shape, count_rows, far_rows, parts_of, rows, walked_rows
from aggregator.services.paging import Kind, decode_cursor, encode_cursor, parse_sort
from aggregator.sql import Row

COUNTED = 1_000  # to count further would cost more than the page itself


@dataclass(frozen=True)
class Page:
    """A page of a list: the JSON array, the cursor to the next page, and how many things there are in all.

    Where is_counted is false there are at least as many as total, and nobody counts further: to COUNTED at most. Who
    follows a cursor is told no total: nobody counts on the way.
    """

    text: str
    next_cursor: str | None
    total: int | None
    is_counted: bool = True


@dataclass(frozen=True)
class _Query:
    """What is asked of a list: which things, and in which parts they come, one after the other."""

    shape: Shape
    values: Mapping[str, Any]
    parts: Sequence[Part]
    walk: bool  # there should be enough to show among the first that come

    @property
    def is_kept(self) -> bool:
        """Whether there is one plan for it: that for a filter depends on how much of the list it leaves."""
        return not self.shape

    def first(self, number: int, limit: int, offset: int = 0) -> Sequence[Row]:
        """Rows of a part, from its beginning or from further on."""
        part = self.parts[number]
        if offset:
            return read(far_rows, part, self.shape, limit=limit, offset=offset, **self.values)
        if self.is_kept:  # counted along: one way to the database is shorter than two
            (whole,) = parts_of(part.listing)
            return read_kept(rows, part, (), False, limit, whole, at_most=COUNTED + 1)
        return self._near(number, False, limit, self.values)

    def after(self, number: int, limit: int, marks: Sequence[Any]) -> Sequence[Row]:
        """Rows of a part that come after the one with these marks."""
        values = {**{f"after_{index}": mark for index, mark in enumerate(marks)}, **self.values}
        if self.is_kept:
            return read_kept(rows, self.parts[number], (), True, limit, **values)
        return self._near(number, True, limit, values)

    def _near(self, number: int, after: bool, limit: int, values: Mapping[str, Any]) -> Sequence[Row]:
        if self.walk:
            found = read(walked_rows, self.parts[number], self.shape, after, limit, **values)
            if len(found) == limit:
                return found
        return read(rows, self.parts[number], self.shape, after, limit, **values)

    def count(self, part: Part, at_most: int) -> int:
        """How many things there are in a part, or so many if there are more."""
        run = read_kept if self.is_kept else read
        number: int = run(count_rows, part, self.shape, at_most=at_most, **self.values)[0][0]
        return number


def page(
    listings: Listing | Sequence[Listing],
    filters: Mapping[str, Any],
    sort: str | None,
    size: int,
    number: int = 1,
    cursor: str | None = None,
    walk: bool = False,
) -> Page:
    """The page of that number, or what follows cursor, of one list or of several, one after the other.

    With walk, where most of the list should pass the filters, it is walked along, and what passes is not counted.
    Invalid for a sort or a cursor that makes no sense.
    """
    listings = [listings] if isinstance(listings, Listing) else listings
    keys = parse_sort(sort or listings[0].default_sort, list(listings[0].columns))
    shape = tuple(sorted((name, value if isinstance(value, bool) else None) for name, value in filters.items()))
    values = {name: value for name, value in filters.items() if not isinstance(value, bool)}
    query = _Query(shape, values, [part for listing in listings for part in parts_of(listing, keys)], walk)
    offset = (number - 1) * size
    found = _from(query, offset, size + 1) if cursor is None else _after(query, cursor, size + 1)
    shown, rest = found[:size], found[size:]
    total, is_counted = (None, True) if cursor is not None else _total(query, listings, offset, shown, bool(rest))
    return Page(
        "[" + ",".join([row[1] for _, row in shown]) + "]",
        encode_cursor([*shown[-1][0], *shown[-1][1][2:]]) if rest else None,
        total,
        is_counted,
    )


# Rows, and what tells which of several parts each is from: nothing where there is but one.
_Found = list[tuple[list[int], Row]]


def _from(query: _Query, offset: int, limit: int) -> _Found:
    found: _Found = []
    for number, part in enumerate(query.parts):
        rows_ = query.first(number, limit - len(found), offset)
        found += _named(query, number, rows_)
        if len(found) == limit:
            break
        offset = 0 if rows_ or not offset else offset - query.count(part, offset)
    return found


def _after(query: _Query, cursor: str, limit: int) -> _Found:
    several = len(query.parts) > 1
    kinds = [[*([_is(number)] if several else []), *part.kinds] for number, part in enumerate(query.parts)]
    marks = list(decode_cursor(cursor, *kinds).values())
    first = marks.pop(0) if several else 0
    found = _named(query, first, query.after(first, limit, marks))
    for number in range(first + 1, len(query.parts)):
        if len(found) < limit:
            found += _named(query, number, query.first(number, limit - len(found)))
    return found


def _is(number: int) -> Kind:
    return lambda value: type(value) is int and value == number


def _named(query: _Query, number: int, found: Sequence[Row]) -> _Found:
    mark = [number] if len(query.parts) > 1 else []
    return [(mark, row) for row in found]


def _total(query: _Query, listings: Sequence[Listing], offset: int, shown: _Found, is_more: bool) -> tuple[int, bool]:
    """How many things there are, and whether that is all of them: up to COUNTED, or as many as are known anyway."""
    if not is_more and (shown or not offset):
        total = offset + len(shown)
        return min(total, COUNTED), total <= COUNTED
    if query.walk and is_more:
        return min(offset + len(shown) + 1, COUNTED), False
    counted_along = shown[0][1][0] if shown else None
    total = counted_along or _counted(query, listings)
    return min(total, COUNTED), total <= COUNTED


def _counted(query: _Query, listings: Sequence[Listing]) -> int:
    total = 0
    for listing in listings:
        if total <= COUNTED:
            (whole,) = parts_of(listing)
            total += query.count(whole, COUNTED + 1 - total)
    return total


def containing(text: str) -> str:
    """The pattern for LIKE ... ESCAPE that finds text anywhere."""
    return f"%{literal(text)}%"


def literal(text: str) -> str:
    """The pattern for LIKE ... ESCAPE that finds text and nothing else."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
