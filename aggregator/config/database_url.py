"""The reader of DATABASE_URL, which asks the driver whether it can do anything with it."""

from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any

import psycopg2
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from aggregator.config.readers import Unusable, writable_folder

NOT_A_URL = "Not a database URL, such as postgresql://user:password@host/name or sqlite:////path/to/file.db."
OTHER_DRIVER = "Only psycopg2 and Python's own sqlite3 are installed: begin with postgresql:// or sqlite:///."
NO_FILE = "It names no file. It needs three slashes, sqlite:///file.db, or four before a whole path."
NOT_SHARED = "A database in memory is another one in each process. Name a file, such as sqlite:////path/to/file.db."
DRIVERS = {"sqlite": ("sqlite", "sqlite+pysqlite"), "postgresql": ("postgresql", "postgresql+psycopg2")}
SQLITE_PARAMETERS = {"uri", "timeout", "detect_types", "cached_statements", "mode", "cache", "psow", "vfs", "nolock"}


def normalized_database_url(text: str) -> URL:
    """The URL with the driver that is installed; a relative path to a file is one from the working directory."""
    # Heroku says postgres://, SQLAlchemy would take psycopg 3, and Flask-SQLAlchemy would look elsewhere for the file.
    url = make_url(text.replace("postgres://", "postgresql://", 1))
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith((":memory:", "file:")):
        return url.set(database=str(Path(url.database).absolute()))
    return url.set(drivername="postgresql+psycopg2") if url.drivername == "postgresql" else url


def database_url(value: str) -> URL:
    """The database at a URL that can work."""
    try:
        url = normalized_database_url(value)
        backend = url.get_backend_name()
    except (ArgumentError, ValueError):
        raise Unusable(NOT_A_URL) from None
    if backend not in DRIVERS:
        raise Unusable("Only postgresql:// and sqlite:// are known.")
    if url.drivername not in DRIVERS[backend]:
        raise Unusable(OTHER_DRIVER)
    _check_sqlite(url) if backend == "sqlite" else _check_postgresql(url)
    return url


def _check_sqlite(url: URL) -> None:
    if url.host or url.username or url.port:
        raise Unusable(NO_FILE)
    if not url.database or ":memory:" in url.database or url.query.get("mode") == "memory":
        raise Unusable(NOT_SHARED)
    unknown = sorted(set(url.query) - SQLITE_PARAMETERS)
    if unknown:
        raise Unusable(f"SQLite knows no such parameter: {', '.join(unknown)}.")
    if not url.database.startswith("file:"):
        path = Path(url.database)
        if path.is_dir():
            raise Unusable("It names a folder, and has to name a file.")
        writable_folder(path.parent)


def _check_postgresql(url: URL) -> None:
    """Have libpq look at each parameter and its value, as it does before it connects to anybody."""
    if url.port is not None and not 0 < url.port < 65536:
        raise Unusable("There is no such port.")
    if url.host and any(not character.isprintable() or character.isspace() for character in url.host):
        raise Unusable(NOT_A_URL)
    try:
        _, options = url.get_dialect()().create_connect_args(url)
        psycopg2.connect(**_to_nowhere(options))
    except psycopg2.OperationalError as error:
        if "No such file or directory" not in str(error):
            raise Unusable(f"libpq says: {_first_line(error, url)}.") from None
    except psycopg2.ProgrammingError as error:
        raise Unusable(f"libpq says: {_first_line(error, url)}.") from None
    except (ArgumentError, ValueError, TypeError):
        raise Unusable(NOT_A_URL) from None


def _to_nowhere(options: Mapping[str, Any]) -> dict[str, Any]:
    """The same options for a socket that is not there, so that all is read and nothing is sent."""
    nowhere = f"/nowhere-{token_hex(8)}"
    hosts = str(options.get("host", "")).split(",")
    return {**options, "host": ",".join([nowhere] * len(hosts)), "hostaddr": "", "connect_timeout": 2}


def _first_line(error: Exception, url: URL) -> str:
    lines = str(error).strip().splitlines() or ["it cannot work"]
    line = lines[-1].removeprefix("invalid dsn: ").rstrip(".")
    return line if not url.password else line.replace(str(url.password), "***")
