"""Each trouble with the database, made for real: the words, the exit code, and never a traceback, whoever meets it."""

import os
import random
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from tests.apps import NO_SERVICE
from tests.postgres import PostgresServer, postgres
from tests.scenarios.processes import ROOT

FLASK = ("-m", "flask", "--app", "wsgi")
COMMANDS = [
    (*FLASK, "db", "upgrade"),
    (*FLASK, "db", "current"),
    (*FLASK, "jobs", "status"),
    (*FLASK, "jobs", "run", "clean-up"),
    (*FLASK, "users", "list"),
    (*FLASK, "products", "export"),
    (*FLASK, "products", "add-samples", "1"),
    (*FLASK, "offers", "sync"),
    (*FLASK, "audit"),
    ("worker.py",),
    ("worker.py", "--check"),
]


def run(*command: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    given = {**kept, "FLASK_SKIP_DOTENV": "1", "OFFERS_BASE_URL": NO_SERVICE.base_url, **env}
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=given, capture_output=True, text=True, timeout=60, check=False
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


class Server:
    """A PostgreSQL that is reached over TCP, and asks for passwords."""

    def __init__(self, server: PostgresServer, address: str) -> None:
        self.server, self.address = server, address

    def url(self, password: str = "s3cr3t", name: str = "shop") -> str:
        return f"postgresql://app:{password}@{self.address}/{name}"

    @contextmanager
    def admin(self) -> Iterator["psycopg2.extensions.cursor"]:
        with closing(psycopg2.connect(host=str(self.server.directory), user="postgres", dbname="shop")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    address = f"127.{random.randint(1, 250)}.{random.randint(1, 250)}.{random.randint(2, 250)}"
    hba = Path("/tmp") / f"aggregator-hba-{os.getpid()}"
    hba.write_text("local all all trust\nhost all all 127.0.0.0/8 scram-sha-256\n")
    hba.chmod(0o644)
    try:
        with postgres(listen_addresses=address, hba_file=hba, max_connections=12) as running:
            running.create_database("shop")
            running.create_database("empty")
            made = Server(running, address)
            with made.admin() as cursor:
                cursor.execute("CREATE ROLE app LOGIN PASSWORD 's3cr3t'")
                cursor.execute("ALTER DATABASE shop OWNER TO app")
                cursor.execute("GRANT ALL ON SCHEMA public TO app")
            done = run(*FLASK, "db", "upgrade", DATABASE_URL=made.url())
            assert done.returncode == 0, done.stderr
            yield made
    finally:
        hba.unlink()


@pytest.fixture(scope="module")
def silent() -> Iterator[str]:
    """A server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"postgresql://app:s3cr3t@127.0.0.1:{listening.getsockname()[1]}/shop"


class TestPostgreSQL:
    @pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
    def test_each_command_says_a_wrong_password_in_words(self, server, command):
        done = run(*command, DATABASE_URL=server.url("wr0ng"))

        assert (last_line(done), done.returncode) == (
            f"database: app at {server.address}: password authentication failed. Check DATABASE_URL.",
            78,
        )
        assert "wr0ng" not in done.stderr

    @pytest.mark.parametrize("command", [COMMANDS[0], COMMANDS[2], COMMANDS[-2], COMMANDS[-1]], ids=" ".join)
    def test_what_passes_by_itself_has_another_code(self, command):
        done = run(*command, DATABASE_URL="postgresql://app:s3cr3t@127.0.0.1:9/shop")

        assert (last_line(done), done.returncode) == (
            "database: app at 127.0.0.1: connection refused. Check that the server runs, and DATABASE_URL.",
            75,
        )

    def test_an_unknown_database(self, server):
        done = run(*COMMANDS[2], DATABASE_URL=server.url(name="shoop"))

        assert (last_line(done), done.returncode) == (
            f'database: app at {server.address}: there is no such database (database "shoop" does not exist).'
            " Check DATABASE_URL, or create it.",
            78,
        )

    def test_an_unknown_host(self):
        done = run(*COMMANDS[2], DATABASE_URL="postgresql://app:s3cr3t@db.invalid/shop")

        assert (last_line(done), done.returncode) == (
            "database: app at db.invalid: the name of the host is not known. Check DATABASE_URL.",
            78,
        )

    def test_no_answer(self, silent):
        done = run(*COMMANDS[2], DATABASE_URL=silent)

        assert (last_line(done), done.returncode) == (
            "database: app at 127.0.0.1: no answer in time. Check the network and the load of the server.",
            75,
        )

    @pytest.mark.parametrize("command", [COMMANDS[4], COMMANDS[-3], COMMANDS[-2], COMMANDS[-1]], ids=" ".join)
    def test_a_database_that_is_not_migrated(self, server, command):
        done = run(*command, DATABASE_URL=server.url(name="empty"))

        said = last_line(done)
        assert said.startswith(
            f"database: app at {server.address}: the tables are not those of this version (relation "
        )
        assert said.endswith(" does not exist). Try `flask --app wsgi db upgrade`.")
        assert done.returncode == 78

    def test_too_many_connections(self, server):
        holding = []
        try:
            while True:
                holding.append(psycopg2.connect(server.url()))
        except psycopg2.OperationalError:
            done = run(*COMMANDS[2], DATABASE_URL=server.url())
        finally:
            for connection in holding:
                connection.close()

        assert (last_line(done), done.returncode) == (
            f"database: app at {server.address}: too many connections."
            " Lower DB_POOL_SIZE or the number of processes, or raise the server's limit.",
            75,
        )

    def test_a_read_only_database(self, server):
        with server.admin() as cursor:
            cursor.execute("ALTER DATABASE shop SET default_transaction_read_only = on")
            try:
                done = run(*COMMANDS[6], DATABASE_URL=server.url())
            finally:
                cursor.execute("ALTER DATABASE shop RESET default_transaction_read_only")

        assert (last_line(done), done.returncode) == (
            f"database: app at {server.address}: it is read-only."
            " Check for a fail-over, a plan's limit, or the rights of the file.",
            75,
        )

    def test_revoked_rights(self, server):
        with server.admin() as cursor:
            cursor.execute("REVOKE INSERT, UPDATE ON ALL TABLES IN SCHEMA public FROM app")
            try:
                done = run(*COMMANDS[6], DATABASE_URL=server.url())
            finally:
                cursor.execute("GRANT INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO app")

        said = last_line(done)
        assert said.startswith(f"database: app at {server.address}: rights are missing (permission denied for table ")
        assert said.endswith("Grant them to the user of DATABASE_URL.")
        assert done.returncode == 78


class TestSQLite:
    def test_a_file_that_is_no_database(self, tmp_path):
        (tmp_path / "a.db").write_text("Dear diary, today I was mistaken for a database. " * 30)

        done = run(*COMMANDS[2], DATABASE_URL=f"sqlite:///{tmp_path}/a.db")

        assert (last_line(done), done.returncode) == (
            f"database: {tmp_path}/a.db: the file is not a database. Check DATABASE_URL.",
            78,
        )

    def test_a_file_that_is_not_migrated(self, tmp_path):
        done = run(*COMMANDS[2], DATABASE_URL=f"sqlite:///{tmp_path}/a.db")

        assert (last_line(done), done.returncode) == (
            f"database: {tmp_path}/a.db: the tables are not those of this version (no such table: workers)."
            " Try `flask --app wsgi db upgrade`.",
            78,
        )

    def test_a_file_that_somebody_else_holds(self, tmp_path, migrated_sqlite):
        with closing(sqlite3.connect(str(migrated_sqlite.database), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            done = run(*COMMANDS[6], DATABASE_URL=f"sqlite:///{migrated_sqlite.database}")

        assert (last_line(done), done.returncode) == (
            f"database: {migrated_sqlite.database}: locked by others for too long."
            " Look for a transaction that does not end.",
            75,
        )

    def test_a_file_in_a_folder_where_nothing_can_be_made(self):
        done = run(*COMMANDS[2], DATABASE_URL="sqlite:////proc/nowhere/a.db")

        assert last_line(done) == (
            "  DATABASE_URL: No file can be made in the folder it names: No such file or directory."
        )
        assert done.returncode == 78
