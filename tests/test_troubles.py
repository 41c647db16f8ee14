"""Words for what is wrong with the database, by its codes; and one line for each outage."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
import structlog
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from aggregator import outages
from aggregator.outages import DatabaseOutages, Outage
from aggregator.troubles import Kind, trouble_of, without_password

URL = make_url("postgresql://app:hunter2@db.example.com/shop")
FILE = make_url("sqlite:////data/shop.db")
DOCS = Path(__file__).parents[1] / "docs" / "operations" / "troubles.md"


class Coded(Exception):
    """An error of the driver, whatever its class, with the code of the server."""

    def __init__(self, code: str) -> None:
        super().__init__("ERROR:  the server's own words")
        self.pgcode = code


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("28P01", Kind.WRONG_PASSWORD),
        ("28000", Kind.NOT_LET_IN),
        ("3D000", Kind.NO_DATABASE),
        ("42P01", Kind.NOT_MIGRATED),
        ("42703", Kind.NOT_MIGRATED),
        ("42501", Kind.NO_RIGHTS),
        ("25006", Kind.READ_ONLY),
        ("53100", Kind.FULL),
        ("53200", Kind.NO_MEMORY),
        ("53300", Kind.TOO_MANY),
        ("55P03", Kind.LOCKED),
        ("40P01", Kind.LOCKED),
        ("57014", Kind.TOO_SLOW),
        ("57P01", Kind.CUT_OFF),
        ("57P02", Kind.CUT_OFF),
        ("57P03", Kind.STARTING),
        ("25P03", Kind.CUT_OFF),
        ("08006", Kind.CUT_OFF),
        ("58030", Kind.BROKEN_DISK),
        ("XX001", Kind.CORRUPT),
    ],
)
def test_postgresql_is_judged_by_sqlstate(code, kind):
    assert trouble_of(DBAPIError("SELECT 1", {}, Coded(code)), URL).kind is kind


@pytest.mark.parametrize("code", ["23505", "23503", "22P02", "22003", "42601", "42883", "XX000"])
def test_what_our_own_statement_did_is_no_trouble_of_the_database(code):
    assert trouble_of(DBAPIError("SELECT 1", {}, Coded(code)), URL) is None


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ('FATAL:  password authentication failed for user "app"', Kind.WRONG_PASSWORD),
        ("FATAL:  sorry, too many clients already", Kind.TOO_MANY),
        ("FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", Kind.TOO_MANY),
        ('FATAL:  too many connections for role "app"', Kind.TOO_MANY),
        ('FATAL:  database "shop" does not exist', Kind.NO_DATABASE),
        ('FATAL:  role "app" does not exist', Kind.NOT_LET_IN),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "app", database "shop"', Kind.NOT_LET_IN),
        ("FATAL:  the database system is starting up", Kind.STARTING),
        ("FATAL:  the database system is shutting down", Kind.STARTING),
        ("timeout expired", Kind.NO_ANSWER),
        ("No route to host", Kind.UNREACHABLE),
        ("server does not support SSL, but SSL was required", Kind.NOT_LET_IN),
        ("server closed the connection unexpectedly", Kind.CUT_OFF),
    ],
)
def test_before_there_is_a_connection_by_the_words_of_libpq(words, kind):
    error = psycopg2.OperationalError(f'connection to server at "db.example.com", port 5432 failed: {words}\n')

    assert trouble_of(error, URL).kind is kind


def test_a_full_pool_is_a_trouble():
    assert trouble_of(PoolTimeoutError("QueuePool limit"), URL).kind is Kind.POOL_BUSY


def test_no_sentence_holds_the_password():
    error = psycopg2.OperationalError("FATAL:  no pg_hba.conf entry for hunter2 at ://app:hunter2@db")

    assert "hunter2" not in str(trouble_of(error, URL))
    shown = without_password(make_url("postgresql+psycopg2://app:hunter2@h/d?sslpassword=hunter2&host=x"))
    assert shown == "postgresql://app@h/d?host=x"


def test_sqlite_is_judged_by_its_codes(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as first:
        first.execute("CREATE TABLE a (b)")
        read_only = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        first.execute("PRAGMA max_page_count = 1")
        first.execute("BEGIN EXCLUSIVE")
        second = sqlite3.connect(path, timeout=0)
        tried = {
            Kind.LOCKED: lambda: second.execute("INSERT INTO a VALUES (1)"),
            Kind.FULL: lambda: first.execute("INSERT INTO a VALUES (zeroblob(1000000))"),
        }
        for kind, work in tried.items():
            with pytest.raises(sqlite3.OperationalError) as raised:
                work()
            assert trouble_of(raised.value, FILE).kind is kind
        with closing(read_only), closing(second):
            pass
    (tmp_path / "b.db").write_text("no database " * 100)
    for place, statement, kind in (
        (f"file:{path}?mode=ro", "INSERT INTO a VALUES (1)", Kind.READ_ONLY),
        (f"file:{path}", "SELECT * FROM nowhere", Kind.NOT_MIGRATED),
        (f"file:{path}", "SELECT c FROM a", Kind.NOT_MIGRATED),
        (f"file:{tmp_path}/b.db", "SELECT 1 FROM sqlite_master", Kind.NOT_A_DATABASE),
        (f"file:{tmp_path}/no/c.db", "SELECT 1", Kind.CANNOT_OPEN),
    ):
        with pytest.raises(sqlite3.Error) as raised, closing(sqlite3.connect(place, uri=True)) as connection:
            connection.execute(statement)
        found = trouble_of(raised.value, FILE)
        assert (found and found.kind) is kind, (statement, raised.value)
    assert trouble_of(sqlite3.OperationalError('near "SELEKT": syntax error'), FILE) is None


def test_the_documentation_has_a_row_for_each_with_its_exit_code():
    cells = [[cell.strip() for cell in line.split("|")] for line in DOCS.read_text().splitlines() if "|" in line]
    rows = {row[1]: row[2] for row in cells}

    assert {kind.value[0]: str(kind.value[2]) for kind in Kind}.items() <= rows.items()


class TestOutage:
    def test_says_once_that_it_begins_and_once_that_it_ends(self):
        outage = Outage("thing")
        with structlog.testing.capture_logs() as lines:
            for trouble in ("thing: a", "thing: b", "thing: a"):
                outage.begins(trouble)
            outage.ends()
            outage.ends()

        assert [(line["log_level"], line["event"], line["thing"]) for line in lines] == [
            ("error", "outage begins", "thing"),
            ("info", "outage ends", "thing"),
        ]
        assert lines[0]["trouble"] == "thing: a"

    def test_what_comes_and_goes_with_the_load_ends_when_nothing_was_seen_for_a_while(self, monkeypatch):
        clock = [100.0]
        monkeypatch.setattr(outages.time, "monotonic", lambda: clock[0])
        database = DatabaseOutages(URL)
        with structlog.testing.capture_logs() as lines:
            for _ in range(20):
                database.note(DBAPIError("SELECT 1", {}, Coded("53300")))
                database.works(wrote=True)
                clock[0] += 1
            assert len(database.troubles()) == 1
            clock[0] += 10
            assert database.troubles() == []

        assert [line["event"] for line in lines] == ["outage begins", "outage ends"]

    def test_a_read_does_not_end_that_nothing_can_be_written(self):
        database = DatabaseOutages(URL)
        database.note(DBAPIError("INSERT", {}, Coded("25006")))

        database.works()
        still = database.troubles()
        database.works(wrote=True)

        assert (len(still), database.troubles()) == (1, [])
