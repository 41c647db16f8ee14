"""Thousands of rows as the parameters of one statement."""

import json
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from io import StringIO
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import TypeEngine

from aggregator.models.types import GUID, TIMESTAMP_FORMAT


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


def insert_of(table: sa.Table, dialect: str, each: Sequence[str], all_: Sequence[str] = ()) -> tuple[Rows, sa.Insert]:
    """An INSERT of many rows: the columns that come with each of them, and those that are the same for all.

    Parameters are those of the Rows, and the values of the others by their names.
    """
    rows = Rows(dialect, **{name: table.c[name].type for name in each})
    same = [sa.cast(sa.bindparam(name, type_=table.c[name].type), table.c[name].type) for name in all_]
    return rows, sa.insert(table).from_select([*each, *all_], sa.select(*rows.columns, *same))


def store(connection: sa.Connection, table: sa.Table, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Add rows of ids, numbers, and texts of letters and digits.

    PostgreSQL takes them as a stream, which is a quarter quicker than a statement with arrays.
    """
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        arrays, statement = _insert_of(table, tuple(columns))
        connection.execute(statement, arrays.parameters(*zip(*rows, strict=True)))
        return
    line = "\t".join(["%s"] * len(columns)) + "\n"
    with closing(connection.connection.cursor()) as cursor:
        lines = StringIO("".join([line % row for row in rows]))
        cursor.copy_expert(f"COPY {table.name} ({', '.join(columns)}) FROM STDIN", lines)


@cache
def _insert_of(table: sa.Table, columns: tuple[str, ...]) -> tuple[Rows, sa.Insert]:
    return insert_of(table, "sqlite", columns)


def _array(type_: TypeEngine[Any], values: Sequence[Any]) -> str:
    """An array as PostgreSQL writes it, which costs a fraction of having the driver adapt each value."""
    if isinstance(type_, GUID):
        return f"{{{','.join(['NULL' if value is None else str(value) for value in values])}}}"
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
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(TIMESTAMP_FORMAT)
    raise TypeError(f"no JSON for {type(value).__name__}")
