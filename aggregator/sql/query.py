"""Queries that are built once and run as often as one likes, by the driver itself.

SQLAlchemy builds and compiles them; to run them through it costs several times what the driver takes for that.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from enum import Enum
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.sql.compiler import SQLCompiler

# A query of any columns, and what it finds: a tuple whose parts have the names of the columns.
Select = sa.Select[*tuple[Any, ...]]
Row = Any

MAX_PREPARED = 100  # of a connection, which keeps each plan until then
OUTDATED = {"26000", "0A000"}  # what was prepared is there no more, or finds other columns since a migration
# Two transactions see the same where their snapshots are the same: the first number that was not given to a transaction
# yet, and those of the transactions that had not ended. Another server may give out those numbers again. A standby
# learns of a commit after it has learned of later ones, and so its snapshots say nothing: there it is empty.
SNAPSHOT = sa.literal_column(
    "(SELECT CASE WHEN pg_is_in_recovery() THEN ''"
    " ELSE concat(pg_current_snapshot(), ' ', pg_postmaster_start_time()) END)",
    sa.Text,
)
# In the memory of a connection: what has to come before each query, because its session may be another one each time.
EACH_TIME = "each_time"
_numbers = count(1)


class Often(Enum):
    """How often a query is asked, and so what is done to make it quick on PostgreSQL."""

    NO = 0
    PREPARED = 1  # its plan is kept, because that is always the same
    KEPT = 2  # what it finds is kept as well, and so it says in which snapshot that was, in a last column


class Query:
    """A query for the database of an engine."""

    def __init__(self, engine: Engine, statement: Select, often: Often = Often.NO) -> None:
        on_postgresql = engine.dialect.name == "postgresql"
        self.is_kept = often is Often.KEPT and on_postgresql
        compiled = (statement.add_columns(SNAPSHOT) if self.is_kept else statement).compile(engine)
        assert isinstance(compiled, SQLCompiler)
        self.text, self._constants = compiled.string, compiled.params
        self._places = compiled.positiontup
        self._row: Callable[[Iterable[Any]], Row] | None = None
        self._prepare = self._execute = ""
        if often is not Often.NO and on_postgresql:
            name, places = f"query_{next(_numbers)}", list(self._constants)
            self._prepare = f"PREPARE {name} AS " + self.text % {key: f"${i}" for i, key in enumerate(places, 1)}
            given = ", ".join(f"%({key})s" for key in places)
            self._execute = f"EXECUTE {name} ({given})" if places else f"EXECUTE {name}"

    def run(self, connection: Any, memory: MutableMapping[Any, Any], values: Mapping[str, Any]) -> Sequence[Row]:
        """What the query finds with values for its parameters; memory is the connection's own, as long as it lives."""
        parameters: Any = {**self._constants, **values}
        if self._places is not None:
            parameters = tuple(parameters[name] for name in self._places)
        cursor = connection.cursor()
        try:
            self._execute_on(cursor, memory, parameters)
            rows = cursor.fetchall()
            if self._row is None:
                names = [column[0] for column in cursor.description]
                self._row = namedtuple("Row", names, rename=True)._make  # type: ignore[attr-defined] # made here
        finally:
            cursor.close()
        return list(map(self._row, rows))

    def _execute_on(self, cursor: Any, memory: MutableMapping[Any, Any], parameters: Any) -> None:
        try:
            cursor.execute(self._ready(cursor, memory), parameters)
        except Exception as error:
            if getattr(error, "pgcode", None) not in OUTDATED or not memory.get("prepared"):
                raise
            memory["prepared"].clear()
            cursor.execute("DEALLOCATE ALL")
            cursor.execute(self.text, parameters)

    def _ready(self, cursor: Any, memory: MutableMapping[Any, Any]) -> str:
        """The statement that runs the query on a connection."""
        before: str = memory.get(EACH_TIME, "")
        if before or not self._prepare:
            return before + self.text
        prepared: set[str] = memory.setdefault("prepared", set())
        if self._execute not in prepared:
            if len(prepared) == MAX_PREPARED:
                cursor.execute("DEALLOCATE ALL")
                prepared.clear()
            cursor.execute(self._prepare)
            prepared.add(self._execute)
        return self._execute
