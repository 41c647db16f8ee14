"""How a connection to PostgreSQL begins: with our settings, wherever they have to stand.

A connection of our own keeps its settings and what was prepared on it. Behind a pooler, such as pgbouncer in
transaction mode, each transaction may run in another session: nothing stays there, and its settings come with it.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection, Dialect, Engine
from sqlalchemy.pool import ConnectionPoolEntry

from aggregator.sql.query import EACH_TIME

# The last three are as PostgreSQL has them by default; a role or a database may have others.
SETTINGS = {
    "statement_timeout": "10000",
    "lock_timeout": "3000",
    "idle_in_transaction_session_timeout": "30000",
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "extra_float_digits": "1",  # numbers as text are the shortest that mean the same number
}
# A host that has vanished says nothing; without these a thread would wait for it for a quarter of an hour.
GONE_HOST = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 10_000}
REFUSED = "unsupported startup parameter"  # pgbouncer's words


def arguments(more: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What the driver connects with; more are settings that only a connection of our own can use."""
    options = " ".join(f"-c {name}={value}" for name, value in {**SETTINGS, **(more or {})}.items())
    return {"options": options, "client_encoding": "UTF8", "connect_timeout": 3, **GONE_HOST}


def local(settings: Mapping[str, str]) -> str:
    """The statement that makes settings for the rest of a transaction."""
    return "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in settings.items())


def prepare(engine: Engine) -> None:
    """Have each connection of an engine for PostgreSQL find out whose session it has."""
    event.listen(engine, "do_connect", _Opener())


def begin(connection: Connection) -> None:
    """Make the settings of a transaction that has begun, where the session does not keep them."""
    if connection.info.get(EACH_TIME):
        connection.exec_driver_sql(local(SETTINGS))


class _Opener:
    """Opens connections, as SQLAlchemy's event do_connect."""

    def __init__(self) -> None:
        self._options_are_refused = False

    def __call__(self, dialect: Dialect, entry: ConnectionPoolEntry, _: Any, arguments: dict[str, Any]) -> Any:
        connection = self._open(dialect.loaded_dbapi, arguments)
        entry.info[EACH_TIME] = "" if _keeps_its_session(connection) else f"{local(SETTINGS)}; "
        return connection

    def _open(self, driver: Any, arguments: dict[str, Any]) -> Any:
        if not self._options_are_refused:
            try:
                return driver.connect(**arguments)
            except driver.OperationalError as error:
                if REFUSED not in str(error):
                    raise
                self._options_are_refused = True
        return driver.connect(**{name: value for name, value in arguments.items() if name != "options"})


def _keeps_its_session(connection: Any) -> bool:
    """Whether a connection leads to a session of its own, which has our settings.

    A pooler makes up the number of the process that it names when one connects, because there is no one process.
    """
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_setting('idle_in_transaction_session_timeout')")
        process, has_timeout = cursor.fetchone()
    connection.autocommit = False
    return bool(process == connection.info.backend_pid and has_timeout == "30s")
