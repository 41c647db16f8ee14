"""The statements of lists: what a list is made of, and the queries for a page of it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import coercions, roles, visitors

from aggregator.models.types import GUID, UTCDateTime
from aggregator.services.paging import Kind, Ordered, Sort, following, kind_of, order
from aggregator.sql import Select, json_time

WALKED = 20_000  # rows: to look at more would take longer than to find all that is to be shown, and to sort that
Condition = sa.ColumnElement[bool]
Shape = tuple[tuple[str, bool | None], ...]  # the names of filters; of a yes or no, also which


@dataclass(frozen=True, eq=False)
class Listing:
    """A list that can be asked for: where it comes from, what it shows, how it can be filtered and sorted."""

    source: sa.FromClause
    document: Callable[[], sa.ColumnElement[Any]]
    columns: Mapping[str, Any]  # what it can be sorted by
    tie: Any  # a unique column
    default_sort: str
    # Conditions on a parameter of the same name; of a yes or no, a condition for each.
    filters: Mapping[str, Condition | Mapping[bool, Condition]] = field(default_factory=dict)
    always: tuple[Condition, ...] = ()
    # Conditions on a parameter that must not all hold together.
    unless: Mapping[str, Condition] = field(default_factory=dict)
    # Some of both once more, in the form that is quick where the list is walked along and most of it is not shown.
    probes: Mapping[str, Condition] = field(default_factory=dict)
    unless_probes: Mapping[str, Condition] = field(default_factory=dict)
    # Columns that may be null, and values that are less, and more, than all that are not: what has none comes last.
    nullable: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    # A table of the source for each of whose rows, as far as always holds, the source has one row.
    core: sa.Table | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """A stretch of a list: all of it, or what has a value in a nullable column, or what has none.

    An index can sort by a nullable column what has a value there; nothing needs to be put in its place.
    """

    listing: Listing
    keys: Sort
    descending: bool  # the direction of the tie
    by: str | None = None  # the nullable column
    has_value: bool = True

    @cached_property
    def kinds(self) -> list[Kind]:
        """The kinds of values that a cursor has."""
        return [kind_of(column) for column, _ in self.order]

    @cached_property
    def order(self) -> Ordered:
        """What the part is sorted by."""
        columns = [(self._column(key.name, key.descending), key.descending) for key in self.keys]
        return [*columns, (self.listing.tie, self.descending)]

    def _column(self, name: str, descending: bool) -> Any:
        column = self.listing.columns[name]
        if name == self.by or name not in self.listing.nullable:
            return column
        lowest, highest = self.listing.nullable[name]
        return sa.func.coalesce(column, sa.literal(lowest if descending else highest, column.type))

    def conditions(self, shape: Shape, walked: bool = False) -> list[Condition]:
        """What must be true of a row of the part for it to be shown."""
        listing, conditions = self.listing, [*self.own]
        filters = {**listing.filters, **(listing.probes if walked else {})}
        for name, flag in shape:
            condition = filters[name]
            conditions.append(condition[flag] if isinstance(condition, Mapping) else condition)  # type: ignore[index]
        unless = listing.unless_probes if walked else listing.unless
        if together := [unless[name] for name, _ in shape if name in unless]:
            conditions.append(sa.not_(sa.and_(*together)))
        return conditions

    @property
    def own(self) -> list[Condition]:
        """What must be true of a row for it to be in the part."""
        if not self.by:
            return [*self.listing.always]
        column = self.listing.columns[self.by]
        return [*self.listing.always, column.is_not(None) if self.has_value else column.is_(None)]


@lru_cache(maxsize=1024)  # there is one of each, to be told apart by what it is
def parts_of(listing: Listing, sort: Sort = ()) -> Sequence[Part]:
    """The parts of a list that is sorted, in their order; all of it in one, where it is not."""
    if not sort or sort[0].name not in listing.nullable:
        return [Part(listing, sort, bool(sort) and sort[-1].descending)]
    by, downwards = sort[0].name, sort[-1].descending
    return [Part(listing, sort, downwards, by), Part(listing, sort[1:], downwards, by, has_value=False)]


def rows(part: Part, shape: Shape, after: bool, limit: int, whole: Part | None = None) -> Select:
    """The first rows of a part, or those after the marks of a row: a number, the JSON, and the marks for a cursor.

    The number says how many rows the whole has, up to a limit; null where nothing is to be counted along.
    """
    statement = _shown(part, part.listing.source, whole).where(*part.conditions(shape))
    if after:
        statement = statement.where(following(part.order))
    # Written out: PostgreSQL plans for a parameter as if it might be a tenth of the table.
    return order(statement, part.order).limit(sa.literal_column(str(limit)))


def walked_rows(part: Part, shape: Shape, after: bool, limit: int) -> Select:
    """As rows(), looking at WALKED rows of the part at most, one after the other in their order."""
    listing, by = part.listing, part.order
    columns = [column.label(f"by_{index}") for index, (column, _) in enumerate(by)]
    walk = (
        sa.select(*columns).select_from(_source(listing, [*part.own, *(column for column, _ in by)])).where(*part.own)
    )
    if after:
        walk = walk.where(following(by))
    on_the_way = order(walk, by).limit(sa.literal_column(str(WALKED))).subquery("walked")
    source = sa.join(on_the_way, listing.source, listing.tie == list(on_the_way.c)[-1])
    found = _shown(part, source).where(*part.conditions(shape, walked=True))
    passed = [(column, descending) for column, (_, descending) in zip(on_the_way.c, by, strict=True)]
    return order(found, passed).limit(sa.literal_column(str(limit)))


def far_rows(part: Part, shape: Shape) -> Select:
    """Rows of a part from somewhere further on: found first, so that no JSON is written for those passed over."""
    listing, by, conditions = part.listing, part.order, part.conditions(shape)
    tie = listing.tie.label("tie")
    found = sa.select(tie).select_from(_source(listing, [*conditions, *(column for column, _ in by)]))
    found = order(found.where(*conditions), by).limit(sa.bindparam("limit", type_=sa.Integer))
    there = found.offset(sa.bindparam("offset", type_=sa.BigInteger)).subquery("found")
    return order(_shown(part, sa.join(there, listing.source, listing.tie == there.c.tie)), by)


def count_rows(part: Part, shape: Shape) -> Select:
    """How many rows a part has, up to a limit."""
    conditions = part.conditions(shape)
    some: Select = sa.select(sa.literal_column("1")).select_from(_source(part.listing, conditions)).where(*conditions)
    return sa.select(sa.func.count()).select_from(some.limit(sa.bindparam("at_most", type_=sa.Integer)).subquery())


def _shown(part: Part, source: sa.FromClause, whole: Part | None = None) -> Select:
    number = count_rows(whole, ()).scalar_subquery() if whole else sa.null()
    marks = [_as_json(column) for column, _ in part.order]
    return sa.select(number, sa.cast(part.listing.document(), sa.Text), *marks).select_from(source)


def _as_json(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The value of a column as JSON can hold it, and so a cursor."""
    if isinstance(value.type, UTCDateTime):
        return json_time(value)
    return sa.cast(value, sa.String) if isinstance(value.type, GUID) else value


def _source(listing: Listing, clauses: Iterable[Any]) -> sa.FromClause:
    """As much of the source as the clauses are about."""
    if listing.core is None:
        return listing.source
    tables = {each.name for each in visitors.iterate(listing.source) if isinstance(each, sa.Table)}
    # A model's attribute is no clause by itself, and would hide its column from the visitor.
    plain = [coercions.expect(roles.ColumnArgumentRole, clause) for clause in clauses]
    columns = [each for clause in plain for each in visitors.iterate(clause) if isinstance(each, sa.Column)]
    named = {column.table.name for column in columns} & tables
    return listing.source if named - {listing.core.name} else listing.core
