"""What is wrong with the database, in one way of saying it: who, what, and what to do about it.

It is judged by SQLSTATE, by SQLite's own codes and, before there is a connection and any code, by the words of libpq;
never by the driver's class.
"""

import re
import sqlite3
from dataclasses import dataclass
from enum import Enum

from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from aggregator.logs import redacted

EX_TEMPFAIL, EX_CONFIG = 75, 78
CHECK_URL = "Check DATABASE_URL."
MIGRATE = "Try `flask --app wsgi db upgrade`."
WAIT = "This passes by itself; if it does not, look at the server's log."


class Kind(Enum):
    """A kind of trouble: what is wrong, what to do, and the exit code of a program that cannot go on."""

    WRONG_PASSWORD = ("password authentication failed", CHECK_URL, EX_CONFIG)
    NOT_LET_IN = ("it lets nobody in like that", "Check DATABASE_URL, and pg_hba.conf of the server.", EX_CONFIG)
    NO_DATABASE = ("there is no such database", "Check DATABASE_URL, or create it.", EX_CONFIG)
    UNKNOWN_HOST = ("the name of the host is not known", CHECK_URL, EX_CONFIG)
    NO_NAME_SERVER = ("the name of the host cannot be looked up", "Check the network and its name server.", EX_TEMPFAIL)
    REFUSED = ("connection refused", "Check that the server runs, and DATABASE_URL.", EX_TEMPFAIL)
    UNREACHABLE = ("the host cannot be reached", "Check the network, and DATABASE_URL.", EX_TEMPFAIL)
    NO_ANSWER = ("no answer in time", "Check the network and the load of the server.", EX_TEMPFAIL)
    CUT_OFF = ("the connection was cut off", WAIT, EX_TEMPFAIL)
    STARTING = ("it is starting up or shutting down", WAIT, EX_TEMPFAIL)
    TOO_MANY = (
        "too many connections",
        "Lower DB_POOL_SIZE or the number of processes, or raise the server's limit.",
        EX_TEMPFAIL,
    )
    POOL_BUSY = ("all connections of this process are in use", "Raise DB_POOL_SIZE if this happens often.", EX_TEMPFAIL)
    LOCKED = ("locked by others for too long", "Look for a transaction that does not end.", EX_TEMPFAIL)
    TOO_SLOW = ("a statement took too long", "Look at the load of the server.", EX_TEMPFAIL)
    NOT_MIGRATED = ("the tables are not those of this version", MIGRATE, EX_CONFIG)
    READ_ONLY = ("it is read-only", "Check for a fail-over, a plan's limit, or the rights of the file.", EX_TEMPFAIL)
    NO_RIGHTS = ("rights are missing", "Grant them to the user of DATABASE_URL.", EX_CONFIG)
    FULL = ("the disk is full", "Make room on it.", EX_TEMPFAIL)
    NO_MEMORY = ("it has no memory left", WAIT, EX_TEMPFAIL)
    BROKEN_DISK = ("the disk cannot be read or written", "Look at the disk and the server's log.", EX_TEMPFAIL)
    CORRUPT = ("the data is damaged", "Restore a backup.", EX_CONFIG)
    NOT_A_DATABASE = ("the file is not a database", CHECK_URL, EX_CONFIG)
    CANNOT_OPEN = (
        "the file cannot be opened",
        "Check DATABASE_URL, and the rights of the file and its folder.",
        EX_CONFIG,
    )

    @property
    def is_about_writing(self) -> bool:
        """Whether reads may go on beside it."""
        return self in (Kind.READ_ONLY, Kind.NO_RIGHTS, Kind.FULL)

    @property
    def is_busy(self) -> bool:
        """Whether others are served at the same time."""
        return self in (Kind.TOO_MANY, Kind.POOL_BUSY, Kind.LOCKED, Kind.TOO_SLOW)


@dataclass(frozen=True)
class Trouble:
    """Something that is wrong with the database."""

    kind: Kind
    who: str
    detail: str = ""

    @property
    def exit_code(self) -> int:
        """75 for what passes by itself, 78 for what somebody has to set right."""
        code: int = self.kind.value[2]
        return code

    def __str__(self) -> str:
        what, advice, _ = self.kind.value
        return f"database: {self.who}: {what}{f' ({self.detail})' if self.detail else ''}. {advice}"


# By SQLSTATE, or by its class where that is enough.
STATES = {
    "28P01": Kind.WRONG_PASSWORD,
    "28000": Kind.NOT_LET_IN,
    "3D000": Kind.NO_DATABASE,
    "3F000": Kind.NOT_MIGRATED,
    "42P01": Kind.NOT_MIGRATED,
    "42703": Kind.NOT_MIGRATED,
    "42501": Kind.NO_RIGHTS,
    "25006": Kind.READ_ONLY,
    "53300": Kind.TOO_MANY,
    "53100": Kind.FULL,
    "53200": Kind.NO_MEMORY,
    "53": Kind.NO_MEMORY,
    "57014": Kind.TOO_SLOW,
    "57P03": Kind.STARTING,
    "57P04": Kind.NO_DATABASE,
    "57P": Kind.CUT_OFF,
    "55P03": Kind.LOCKED,
    "40001": Kind.LOCKED,
    "40P01": Kind.LOCKED,
    "25P03": Kind.CUT_OFF,
    "25P04": Kind.TOO_SLOW,
    "08": Kind.CUT_OFF,
    "58": Kind.BROKEN_DISK,
    "XX001": Kind.CORRUPT,
    "XX002": Kind.CORRUPT,
}
# By the words of libpq, which has no code to give before there is a connection. The first that is found counts.
WORDS = (
    ("password authentication failed", Kind.WRONG_PASSWORD),
    ("no password supplied", Kind.WRONG_PASSWORD),
    ("too many clients", Kind.TOO_MANY),
    ("too many connections", Kind.TOO_MANY),
    ("no more connections allowed", Kind.TOO_MANY),  # pgbouncer's words
    ("connection slots are reserved", Kind.TOO_MANY),
    ("remaining connection slots", Kind.TOO_MANY),
    ("starting up", Kind.STARTING),
    ("shutting down", Kind.STARTING),
    ("in recovery mode", Kind.STARTING),
    ("not yet accepting connections", Kind.STARTING),
    ("not accepting connections", Kind.STARTING),
    ("permission denied for database", Kind.NO_RIGHTS),
    ("not permitted to log in", Kind.NOT_LET_IN),
    ("pg_hba.conf", Kind.NOT_LET_IN),
    ("authentication failed", Kind.NOT_LET_IN),
    ("certificate", Kind.NOT_LET_IN),
    ("SSL", Kind.NOT_LET_IN),
    ('role "', Kind.NOT_LET_IN),
    ('database "', Kind.NO_DATABASE),
    ("Temporary failure in name resolution", Kind.NO_NAME_SERVER),
    ("could not translate host name", Kind.UNKNOWN_HOST),
    ("Connection refused", Kind.REFUSED),
    ("No such file or directory", Kind.REFUSED),
    ("timeout expired", Kind.NO_ANSWER),
    ("timed out", Kind.NO_ANSWER),
    ("No route to host", Kind.UNREACHABLE),
    ("unreachable", Kind.UNREACHABLE),
    ("No space left", Kind.FULL),
)
SHOWS_DETAIL = {Kind.NOT_LET_IN, Kind.NO_RIGHTS, Kind.NO_DATABASE, Kind.NOT_MIGRATED, Kind.BROKEN_DISK, Kind.CUT_OFF}
SQLITE = {
    sqlite3.SQLITE_BUSY: Kind.LOCKED,
    sqlite3.SQLITE_LOCKED: Kind.LOCKED,
    sqlite3.SQLITE_PROTOCOL: Kind.LOCKED,
    sqlite3.SQLITE_READONLY: Kind.READ_ONLY,
    sqlite3.SQLITE_FULL: Kind.FULL,
    sqlite3.SQLITE_NOMEM: Kind.NO_MEMORY,
    sqlite3.SQLITE_IOERR: Kind.BROKEN_DISK,
    sqlite3.SQLITE_CANTOPEN: Kind.CANNOT_OPEN,
    sqlite3.SQLITE_PERM: Kind.CANNOT_OPEN,
    sqlite3.SQLITE_AUTH: Kind.CANNOT_OPEN,
    sqlite3.SQLITE_NOTADB: Kind.NOT_A_DATABASE,
    sqlite3.SQLITE_CORRUPT: Kind.CORRUPT,
}
UNKNOWN_TO_SQLITE = re.compile("no such (table|column|index)|has no column named")


def trouble_of(error: BaseException, url: URL) -> Trouble | None:
    """What an error says about the database at url; None where it says that our own statement was wrong."""
    if isinstance(error, PoolTimeoutError):
        return Trouble(Kind.POOL_BUSY, who_and_where(url))
    cause = error.orig if isinstance(error, DBAPIError) else error
    kind = _of_sqlite(cause) if isinstance(cause, sqlite3.Error) else _of_postgresql(cause)
    if kind is None:
        return None
    return Trouble(kind, who_and_where(url), _first_line(cause, url) if kind in SHOWS_DETAIL else "")


def is_refused_for_now(error: BaseException) -> bool:
    """Whether the server has no connection left: the driver's own error, as a pool meets it."""
    return _of_postgresql(error) is Kind.TOO_MANY


def who_and_where(url: URL) -> str:
    """The database at url as people name it, without a password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    host = url.host or url.query.get("host") or "this machine"
    host = host if isinstance(host, str) else ",".join(host)
    user = url.username or url.query.get("user")
    return f"{user} at {host}" if user else host


def without_password(url: URL) -> str:
    """The URL of a database as it may be shown: who, where and which, and none of its parameters but the host."""
    kept = {name: url.query[name] for name in ("host", "port", "user", "dbname") if name in url.query}
    return url._replace(drivername=url.get_backend_name(), password=None).set(query=kept).render_as_string()


def _of_postgresql(error: BaseException | None) -> Kind | None:
    code = getattr(error, "pgcode", None)
    if code:
        return STATES.get(code) or STATES.get(code[:3]) or STATES.get(code[:2])
    # Without a code it was libpq that failed, or psycopg2 found that the connection is gone.
    if type(error).__name__ not in ("OperationalError", "InterfaceError", "DatabaseError"):
        return None
    return next((kind for words, kind in WORDS if words in str(error)), Kind.CUT_OFF)


def _of_sqlite(error: sqlite3.Error) -> Kind | None:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & 0xFF in SQLITE:
        return SQLITE[code & 0xFF]
    return Kind.NOT_MIGRATED if UNKNOWN_TO_SQLITE.search(str(error)) else None


def _first_line(error: BaseException | None, url: URL) -> str:
    """The driver's own words, which never hold a value: of what it says about rows the first line knows nothing."""
    line = (str(error).strip().splitlines() or [""])[0]
    line = re.sub(r"^connection to server .*? failed: ", "", line)
    line = re.sub(r"^(FATAL|ERROR|PANIC):\s+", "", line)
    return redacted(line.replace(str(url.password), "***") if url.password else line)
