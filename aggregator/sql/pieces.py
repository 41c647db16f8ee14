"""Moments, sums, parameters and upserts, for which the databases have other words."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from aggregator.models.types import GUID, UTCDateTime


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


# A transaction that has waited for a row finds moments in it that were set by transactions which began after it. No
# wait is longer than this.
WAITED_SECONDS = 30.0


def is_past(moment: Any, longest: float | ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether a moment has passed that was set to at most so many seconds from then.

    One that lies further ahead was set before the database's clock went back, and has passed, too.
    """
    return sa.or_(moment <= now_plus(0), moment > now_plus(longest + WAITED_SECONDS))


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


class in_code_points(FunctionElement[Any]):
    """A text to be sorted in the order of its code points, which is not everywhere the database's own."""

    type = sa.Text()
    inherit_cache = True


@compiles(in_code_points)
def _in_code_points_postgresql(element: in_code_points, compiler: Any, **kwargs: Any) -> str:
    return f'({compiler.process(element.clauses, **kwargs)} COLLATE "C")'


@compiles(in_code_points, "sqlite")
def _in_code_points_sqlite(element: in_code_points, compiler: Any, **kwargs: Any) -> str:
    return f"({compiler.process(element.clauses, **kwargs)} COLLATE BINARY)"


def moment_parameter(name: str) -> sa.ColumnElement[Any]:
    """A parameter that is a moment in the text of TIMESTAMP_FORMAT."""
    return sa.cast(sa.bindparam(name, type_=sa.String), UTCDateTime())


def id_parameter(name: str) -> sa.ColumnElement[Any]:
    """A parameter that is the text of a UUID."""
    return sa.cast(sa.bindparam(name, type_=sa.String), GUID())


def upsert(table: sa.Table, dialect: str) -> Any:
    """An INSERT into table that knows ON CONFLICT, for which each dialect has a class of its own."""
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
