"""Queries that are built once and run as often as one likes, by the driver itself.

SQLAlchemy builds and compiles them; to run them through it costs several times what the driver takes for that.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from itertools import count
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine
from sqlalchemy.sql.compiler import SQLCompiler

# A query of any columns, and what it finds: a tuple whose parts have the names of the columns.
Select = sa.Select[*tuple[Any, ...]]
Row = Any

MAX_PREPARED = 100  # of a connection, which keeps each plan until it is closed
_numbers = count(1)


class Query:
    """A query for the database of an engine.

    One that is asked often is prepared: PostgreSQL keeps its plan. That is for queries whose best plan is the same
    whatever is asked for.
    """

    def __init__(self, engine: Engine, statement: Select, often: bool = False) -> None:
        compiled = statement.compile(engine)
        assert isinstance(compiled, SQLCompiler)
        self.text, self._constants = compiled.string, compiled.params
        self._places = compiled.positiontup
        self._row: Callable[[Iterable[Any]], Row] | None = None
        self._prepare = self._execute = ""
        if often and engine.dialect.name == "postgresql":
            name, places = f"query_{next(_numbers)}", list(self._constants)
            self._prepare = f"PREPARE {name} AS " + self.text % {key: f"${i}" for i, key in enumerate(places, 1)}
            self._execute = (
                f"EXECUTE {name} ({', '.join(f'%({key})s' for key in places)})" if places else f"EXECUTE {name}"
            )

    def run(self, connection: Any, memory: MutableMapping[Any, Any], values: Mapping[str, Any]) -> Sequence[Row]:
        """What the query finds with values for its parameters; memory is the connection's own, as long as it lives."""
        parameters: Any = {**self._constants, **values}
        if self._places is not None:
            parameters = tuple(parameters[name] for name in self._places)
        cursor = connection.cursor()
        try:
            cursor.execute(self._ready(cursor, memory), parameters)
            rows = cursor.fetchall()
            if self._row is None:
                names = [column[0] for column in cursor.description]
                self._row = namedtuple("Row", names, rename=True)._make  # type: ignore[attr-defined] # made here
        finally:
            cursor.close()
        return list(map(self._row, rows))

    def _ready(self, cursor: Any, memory: MutableMapping[Any, Any]) -> str:
        """The statement that runs the query on a connection."""
        if not self._prepare:
            return self.text
        prepared: set[str] = memory.setdefault("prepared", set())
        if self._execute not in prepared:
            if len(prepared) == MAX_PREPARED:
                return self.text
            cursor.execute(self._prepare)
            prepared.add(self._execute)
        return self._execute
