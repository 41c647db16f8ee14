"""JSON that the database writes.

On SQLite by its own functions. On PostgreSQL as text that is put together: its functions for JSON look up the type of
each member with each row, which is most of what they take, and there are many members and many rows. What a member
is, is known here when the statement is built.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from aggregator.models.types import GUID
from aggregator.sql.query import Select

_FRACTIONS = (sa.Float, sa.Numeric)


class JsonText(sa.Text):
    """A text that is JSON."""


class PlainText(sa.Text):
    """A text in which nothing has to be escaped to make it a JSON string."""


class json_object(FunctionElement[Any]):
    """A JSON object of the given members."""

    type = JsonText()
    inherit_cache = True

    def __init__(self, members: Mapping[str, sa.SQLColumnExpression[Any]]) -> None:
        pairs = [part for key, value in members.items() for part in (sa.literal_column(f"'{key}'"), value)]
        super().__init__(*pairs)


@compiles(json_object)
def _json_object_postgresql(element: json_object, compiler: Any, **kwargs: Any) -> str:
    keys, values = list(element.clauses)[::2], list(element.clauses)[1::2]
    names = [compiler.process(key, **kwargs).strip("'") for key in keys]
    written = [_written(value, compiler, **kwargs) for value in values]
    begun = ["{", *[","] * (len(names) - 1)]
    members = [f"""'{begin}"{name}":', {text}""" for begin, name, text in zip(begun, names, written, strict=True)]
    return f"concat({', '.join(members)}, '}}')"


def _written(value: Any, compiler: Any, **kwargs: Any) -> str:
    """A value as JSON, in PostgreSQL's SQL."""
    text, type_ = compiler.process(value, **kwargs), value.type
    if isinstance(type_, JsonText):
        return f"coalesce({text}, 'null')"
    if isinstance(type_, sa.Integer):
        return f"coalesce(CAST({text} AS text), 'null')"
    if isinstance(type_, PlainText | GUID):
        return f"""coalesce('"' || {text} || '"', 'null')"""
    return f"coalesce(CAST(to_json({text}) AS text), 'null')"


@compiles(json_object, "sqlite")
def _json_object_sqlite(element: json_object, compiler: Any, **kwargs: Any) -> str:
    parts = [(part.type, compiler.process(part, **kwargs)) for part in element.clauses]
    # SQLite itself writes 15 digits, and more in some versions; float_text is database.float_text.
    written = [f"json(float_text({text}))" if isinstance(type_, _FRACTIONS) else text for type_, text in parts]
    return f"json_object({', '.join(written)})"


class json_bool(FunctionElement[Any]):
    """A yes or no, as JSON has it."""

    type = JsonText()
    inherit_cache = True


@compiles(json_bool)
def _json_bool_postgresql(element: json_bool, compiler: Any, **kwargs: Any) -> str:
    return f"CAST({compiler.process(element.clauses, **kwargs)} AS text)"


@compiles(json_bool, "sqlite")
def _json_bool_sqlite(element: json_bool, compiler: Any, **kwargs: Any) -> str:
    return f"json(CASE WHEN {compiler.process(element.clauses, **kwargs)} THEN 'true' ELSE 'false' END)"


class json_array(FunctionElement[Any]):
    """All the rows of a one-column query of JSON values, in its order, as a JSON array."""

    type = JsonText()
    inherit_cache = True

    def __init__(self, rows: Select) -> None:
        super().__init__(rows.scalar_subquery())


@compiles(json_array)
def _json_array_postgresql(element: json_array, compiler: Any, **kwargs: Any) -> str:
    return f"concat('[', array_to_string(ARRAY{compiler.process(element.clauses, **kwargs)}, ','), ']')"


@compiles(json_array, "sqlite")
def _json_array_sqlite(element: json_array, compiler: Any, **kwargs: Any) -> str:
    (subquery,) = element.clauses
    rows = subquery.element.subquery("array_rows")
    (value,) = rows.c
    array = sa.select(sa.func.json_group_array(sa.func.json(value))).scalar_subquery()
    return str(compiler.process(array, **kwargs))


class json_one(FunctionElement[Any]):
    """The JSON value of a query of one row and one column; null where there is no row."""

    type = JsonText()
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

    type = PlainText()
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

    type = JsonText()
    inherit_cache = True


@compiles(json_text)
def _json_text_postgresql(element: json_text, compiler: Any, **kwargs: Any) -> str:
    return str(compiler.process(element.clauses, **kwargs))


@compiles(json_text, "sqlite")
def _json_text_sqlite(element: json_text, compiler: Any, **kwargs: Any) -> str:
    return f"json({compiler.process(element.clauses, **kwargs)})"
