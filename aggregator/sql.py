"""Pieces of SQL that SQLite and PostgreSQL spell differently."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from aggregator.models.types import GUID, TIMESTAMP_FORMAT, UTCDateTime

# A query of any columns, and what it finds.
Select = sa.Select[*tuple[Any, ...]]
Row = sa.Row[*tuple[Any, ...]]


class now_plus(FunctionElement[Any]):
    """The database's clock, so many seconds from now: hosts may disagree on the time, rows may not."""

    type = UTCDateTime()
    inherit_cache = True

    def __init__(self, seconds: float | ColumnElement[Any] = 0.0) -> None:
        super().__init__(sa.literal(seconds, sa.Float) if isinstance(seconds, int | float) else seconds)


@compiles(now_plus)
def _now_plus_postgresql(element: now_plus, compiler: Any, **kwargs: Any) -> str:
    return f"(statement_timestamp() + {compiler.process(element.clauses, **kwargs)} * interval '1 second')"


@compiles(now_plus, "sqlite")
def _now_plus_sqlite(element: now_plus, compiler: Any, **kwargs: Any) -> str:
    seconds = compiler.process(element.clauses, **kwargs)
    return f"(strftime('%Y-%m-%dT%H:%M:%f', 'now', {seconds} || ' seconds') || '000Z')"


class json_object(FunctionElement[Any]):
    """A JSON object of the given members."""

    type = sa.Text()
    inherit_cache = True

    def __init__(self, members: Mapping[str, sa.SQLColumnExpression[Any]]) -> None:
        pairs = [part for key, value in members.items() for part in (sa.literal_column(f"'{key}'"), value)]
        super().__init__(*pairs)


@compiles(json_object)
def _json_object_postgresql(element: json_object, compiler: Any, **kwargs: Any) -> str:
    return f"json_build_object({compiler.process(element.clauses, **kwargs)})"


@compiles(json_object, "sqlite")
def _json_object_sqlite(element: json_object, compiler: Any, **kwargs: Any) -> str:
    return f"json_object({compiler.process(element.clauses, **kwargs)})"


class json_bool(FunctionElement[Any]):
    """A yes or no, as JSON has it."""

    type = sa.Text()
    inherit_cache = True


@compiles(json_bool)
def _json_bool_postgresql(element: json_bool, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))


@compiles(json_bool, "sqlite")
def _json_bool_sqlite(element: json_bool, compiler: Any, **kwargs: Any) -> str:
    return f"json(CASE WHEN {compiler.process(element.clauses, **kwargs)} THEN 'true' ELSE 'false' END)"


class json_array(FunctionElement[Any]):
    """All the rows of a one-column query of JSON values, in its order, as a JSON array."""

    type = sa.Text()
    inherit_cache = True

    def __init__(self, rows: Select) -> None:
        super().__init__(rows.scalar_subquery())


@compiles(json_array)
def _json_array_postgresql(element: json_array, compiler: Any, **kwargs: Any) -> str:
    return f"array_to_json(ARRAY{compiler.process(element.clauses, **kwargs)})"


@compiles(json_array, "sqlite")
def _json_array_sqlite(element: json_array, compiler: Any, **kwargs: Any) -> str:
    (subquery,) = element.clauses
    rows = subquery.element.subquery("array_rows")
    (value,) = rows.c
    array = sa.select(sa.func.json_group_array(sa.func.json(value))).scalar_subquery()
    return str(compiler.process(array, **kwargs))


class json_one(FunctionElement[Any]):
    """The JSON value of a query of one row and one column; null where there is no row."""

    type = sa.Text()
    inherit_cache = True

    def __init__(self, row: Select) -> None:
        super().__init__(row.scalar_subquery())


@compiles(json_one)
def _json_one_postgresql(element: json_one, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))


@compiles(json_one, "sqlite")
def _json_one_sqlite(element: json_one, compiler: Any, **kwargs: Any) -> str:
    return f"json({compiler.process(element.clauses, **kwargs)})"


class json_time(FunctionElement[Any]):
    """A moment as the API writes it: ISO 8601 in UTC, with microseconds and a Z."""

    type = sa.Text()
    inherit_cache = True


@compiles(json_time)
def _json_time_postgresql(element: json_time, compiler: Any, **kwargs: Any) -> str:
    moment = compiler.process(element.clauses, **kwargs)
    return f"""to_char({moment} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


@compiles(json_time, "sqlite")
def _json_time_sqlite(element: json_time, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))


class json_text(FunctionElement[Any]):
    """A text that is JSON already, as a part of other JSON."""

    type = sa.Text()
    inherit_cache = True


@compiles(json_text)
def _json_text_postgresql(element: json_text, compiler: Any, **kwargs: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kwargs)} AS json)"


@compiles(json_text, "sqlite")
def _json_text_sqlite(element: json_text, compiler: Any, **kwargs: Any) -> str:
    return f"json({compiler.process(element.clauses, **kwargs)})"


class microseconds(FunctionElement[Any]):
    """A moment as a whole number: the microseconds since 1970."""

    type = sa.BigInteger()
    inherit_cache = True


@compiles(microseconds)
def _microseconds_postgresql(element: microseconds, compiler: Any, **kwargs: Any) -> str:
    return f"CAST(extract(epoch FROM {compiler.process(element.clauses, **kwargs)}) * 1000000 AS bigint)"


@compiles(microseconds, "sqlite")
def _microseconds_sqlite(element: microseconds, compiler: Any, **kwargs: Any) -> str:
    moment = compiler.process(element.clauses, **kwargs)
    seconds = f"strftime('%s', substr({moment}, 1, 19))"  # of a fraction it would make the next second
    return f"(CAST({seconds} AS INTEGER) * 1000000 + CAST(substr({moment}, 21, 6) AS INTEGER))"


class moment_of(FunctionElement[Any]):
    """The moment of a whole number of microseconds since 1970."""

    type = UTCDateTime()
    inherit_cache = True


@compiles(moment_of)
def _moment_of_postgresql(element: moment_of, compiler: Any, **kwargs: Any) -> str:
    return f"(timestamptz '1970-01-01 00:00:00+00' + ({compiler.process(element.clauses, **kwargs)}) * interval '1 us')"


@compiles(moment_of, "sqlite")
def _moment_of_sqlite(element: moment_of, compiler: Any, **kwargs: Any) -> str:
    number = f"({compiler.process(element.clauses, **kwargs)})"
    second = f"strftime('%Y-%m-%dT%H:%M:%S', {number} / 1000000, 'unixepoch')"
    return f"({second} || printf('.%06dZ', {number} % 1000000))"


class sum_of_products(FunctionElement[Any]):
    """The sum of a * b over the rows that have both, exact whatever its size, as text; null where there are none."""

    type = sa.Text()
    inherit_cache = True


@compiles(sum_of_products)
def _sum_of_products_postgresql(element: sum_of_products, compiler: Any, **kwargs: Any) -> str:
    a, b = (compiler.process(clause, **kwargs) for clause in element.clauses)
    return f"CAST(sum(CAST({a} AS numeric) * {b}) AS text)"


@compiles(sum_of_products, "sqlite")
def _sum_of_products_sqlite(element: sum_of_products, compiler: Any, **kwargs: Any) -> str:
    return f"sum_of_products({compiler.process(element.clauses, **kwargs)})"  # database.SumOfProducts


def moment_parameter(name: str) -> sa.ColumnElement[Any]:
    """A parameter that is a moment in the text of TIMESTAMP_FORMAT."""
    return sa.cast(sa.bindparam(name, type_=sa.String), UTCDateTime())


def id_parameter(name: str) -> sa.ColumnElement[Any]:
    """A parameter that is the text of a UUID."""
    return sa.cast(sa.bindparam(name, type_=sa.String), GUID())


def upsert(table: sa.Table, dialect: str) -> Any:
    """An INSERT into table that knows ON CONFLICT, for which each dialect has a class of its own."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


class _Array(sa.types.UserDefinedType[Any]):
    """An array that is handed to the driver as it is."""

    cache_ok = True


class Rows:
    """A table of typed columns whose rows come with a parameter: thousands of rows for one statement.

    The statement is built once, over columns; each execution gets its rows by parameters(). PostgreSQL unnests
    an array for each column, SQLite takes one JSON array apart.
    """

    def __init__(self, dialect: str, **types: TypeEngine[Any]) -> None:
        self._dialect = dialect
        self._types = types
        self.table = self._table()
        self.columns = self.table.c

    def parameters(self, *columns: Sequence[Any]) -> dict[str, Any]:
        """The parameters of an execution with these columns, in the order of the types."""
        if self._dialect == "sqlite":
            return {"rows": json.dumps(list(zip(*columns, strict=True)), default=_as_text)}
        return {
            f"rows_{name}": _array(type_, column)
            for (name, type_), column in zip(self._types.items(), columns, strict=True)
        }

    def _table(self) -> sa.Subquery:
        if self._dialect == "sqlite":
            each = sa.func.json_each(sa.bindparam("rows", type_=sa.Text)).table_valued("value")
            values = [
                sa.type_coerce(sa.func.json_extract(each.c.value, f"$[{index}]"), type_).label(name)
                for index, (name, type_) in enumerate(self._types.items())
            ]
            return sa.select(*values).subquery("new")
        arrays = [
            sa.cast(sa.bindparam(f"rows_{name}", type_=_Array()), ARRAY(type_)) for name, type_ in self._types.items()
        ]
        unnested = sa.func.unnest(*arrays).table_valued(*self._types).render_derived()
        typed = [sa.type_coerce(unnested.c[name], type_).label(name) for name, type_ in self._types.items()]
        return sa.select(*typed).subquery("new")


def _array(type_: TypeEngine[Any], values: Sequence[Any]) -> str:
    """An array as PostgreSQL writes it, which costs a fraction of having the driver adapt each value."""
    if isinstance(type_, GUID):
        return f"{{{','.join(values)}}}"
    if isinstance(type_, sa.Integer | sa.Float):
        return f"{{{','.join(['NULL' if value is None else str(value) for value in values])}}}"
    if isinstance(type_, sa.String) and None not in values:
        text = '","'.join(values)
        if "\\" not in text and text.count('"') == 2 * (len(values) - 1):  # nothing to be escaped
            return f'{{"{text}"}}'
    return f"{{{','.join([_quoted(value) for value in values])}}}"


def _quoted(value: Any) -> str:
    if value is None:
        return "NULL"
    text = value if isinstance(value, str) else value.isoformat() if isinstance(value, datetime) else str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(TIMESTAMP_FORMAT)
    raise TypeError(f"no JSON for {type(value).__name__}")
