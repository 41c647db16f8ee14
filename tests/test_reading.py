"""Reads beside transactions: what they find, and that nothing is told that is older than the read."""

import time
from collections.abc import Iterator
from threading import Thread

import pytest
import sqlalchemy as sa
from flask import Flask

from aggregator.config import Settings, normalized_database_url
from aggregator.connecting import SETTINGS
from aggregator.database import db, transaction
from aggregator.errors import NotFound
from aggregator.models import Product
from aggregator.reading import Found, KeptReads, read, read_at_length, read_kept, read_often
from aggregator.services import catalog_reads
from aggregator.sql.query import MAX_PREPARED
from tests.apps import apps
from tests.builders import edit, make_product
from tests.databases import Cluster, migrate
from tests.pgbouncer import OPTIONS_IGNORED, PoolerUnavailable, pgbouncer
from tests.postgres import postgres, standby_of
from tests.scenarios.processes import eventually
from tests.test_database import _stocks, kill_connections, set_stock

pytestmark = pytest.mark.usefixtures("context")


def _of(name_given: bool) -> sa.Select:
    statement = sa.select(Product.stock)
    return statement.where(Product.name == sa.bindparam("name", type_=sa.String)) if name_given else statement


class TestRead:
    def test_returns_the_rows_of_a_query(self, app):
        make_product(app, name="B", stock=2)
        make_product(app, name="A", stock=1)

        assert [tuple(row) for row in read(_stocks)] == [("A", 1), ("B", 2)]

    def test_each_shape_is_a_query_of_its_own(self, app):
        make_product(app, name="A", stock=1)
        make_product(app, name="B", stock=2)

        assert sorted(row[0] for row in read(_of, False)) == [1, 2]
        assert [row[0] for row in read(_of, True, name="B")] == [2]
        assert [row[0] for row in read(_of, True, name="' OR 1=1 --")] == []

    def test_sees_at_once_what_is_committed_and_nothing_else(self, app):
        product = make_product(app, name="A")
        with transaction():
            set_stock(product, 5)
            assert [row.stock for row in read(_stocks)] == [0]

        assert [row.stock for row in read(_stocks)] == [5]

    def test_is_not_kept_waiting_by_a_writer(self, app):
        product = make_product(app, name="A")
        with transaction():
            set_stock(product, 5)
            started = time.monotonic()
            read(_stocks)

        assert time.monotonic() - started < 3


class TestReadOften:
    def test_finds_what_read_finds(self, app):
        make_product(app, name="A", stock=1)
        make_product(app, name="B", stock=2)

        for _ in range(3):
            assert [row.stock for row in read_often(_of, True, name="B")] == [2]
            assert read_often(_of, True, name="' OR 1=1 --") == []

    def test_more_queries_than_a_connection_remembers_are_no_harm(self, app):
        make_product(app, name="A", stock=1)

        for number in range(MAX_PREPARED + 5):
            assert [tuple(row) for row in read_often(_numbered, number)] == [(1, number)]
        assert len(_prepared(app)) <= MAX_PREPARED


class TestReadKept:
    def test_sees_at_once_what_is_committed_and_nothing_else(self, app):
        product = make_product(app, name="A")
        assert read_kept(_stocks) == [("A", 0)]
        with transaction():
            set_stock(product, 5)
            assert read_kept(_stocks) == [("A", 0)]

        assert read_kept(_stocks) == [("A", 5)]

    def test_what_was_rolled_back_has_never_been(self, app):
        product = make_product(app, name="A")

        def fail_half_way() -> None:
            with transaction():
                set_stock(product, 5)
                assert read_kept(_stocks) == [("A", 0)]
                raise ValueError

        with pytest.raises(ValueError):
            fail_half_way()
        assert read_kept(_stocks) == [("A", 0)]

    def test_what_is_not_there_is_not_there_until_it_is(self, app):
        assert [read_kept(_of, True, name="A") for _ in range(2)] == [[], []]
        make_product(app, name="A", stock=3)

        assert [read_kept(_of, True, name="A") for _ in range(2)] == [[(3,)], [(3,)]]

    def test_each_value_is_kept_by_itself(self, app):
        make_product(app, name="A", stock=1)
        make_product(app, name="B", stock=2)

        for _ in range(2):
            assert [read_kept(_of, True, name=name) for name in ("A", "B", "C")] == [[(1,)], [(2,)], []]

    def test_a_reader_never_sees_less_than_what_was_committed_before(self, app):
        product = make_product(app, name="A")
        committed, wrong = [0], []

        def write() -> None:
            with app.app_context():
                for stock in range(1, 120):
                    with transaction():
                        set_stock(product, stock)
                    committed[0] = stock

        def check() -> None:
            with app.app_context():
                while writer.is_alive():
                    before = committed[0]
                    ((_, stock),) = read_kept(_stocks)
                    if not before <= stock <= committed[0] + 1:
                        wrong.append((before, stock))

        writer = Thread(target=write)
        readers = [Thread(target=check) for _ in range(3)]
        writer.start()
        for reader in readers:
            reader.start()
        for thread in (writer, *readers):
            thread.join(60)

        assert wrong == []
        assert read_kept(_stocks) == [("A", 119)]

    def test_a_product_that_is_deleted_is_gone_at_once(self, app, now):
        product = make_product(app)
        catalog_reads.find(product)
        edit(app, Product, Product.id == product, deleted_at=now)

        with pytest.raises(NotFound):
            catalog_reads.find(product)


class TestWhatIsKept:
    def found(self, characters: int) -> Found:
        return Found("1:1:", [("x" * (characters - 1_000),)], epoch=0)

    def test_what_was_not_asked_for_longest_makes_room(self):
        kept = KeptReads(characters=5_000)
        for name in ("a", "b"):
            kept.put(name, self.found(2_000))
        kept.get("a")
        kept.put("c", self.found(2_000))

        assert [name for name in "abc" if kept.get(name)] == ["a", "c"]

    def test_what_was_found_before_a_later_snapshot_was_seen_is_not_even_asked_about(self):
        kept = KeptReads()
        kept.put("a", Found("1:1:", [(1,)], epoch=0))
        kept.put("b", Found("1:2:", [(2,)], epoch=0))

        assert [kept.get(name) and kept.get(name).rows for name in "ab"] == [None, [(2,)]]

    def test_it_counts_only_in_its_own_snapshot_and_epoch(self):
        kept, found = KeptReads(), Found("1:1:", [(1,)], epoch=0)

        assert [kept.is_current(found, snapshot) for snapshot in ("1:1:", "1:2:")] == [True, False]
        kept.begin_epoch()
        assert not kept.is_current(found, "1:1:")

    def test_what_is_larger_than_all_there_is_room_for_is_not_kept(self):
        kept = KeptReads(characters=5_000)
        kept.put("a", self.found(5_001))

        assert kept.get("a") is None


class TestOnPostgreSQL:
    @pytest.fixture
    def backend(self) -> str:
        return "postgresql"

    def test_a_pool_of_dead_connections_costs_no_read(self, app, database_url):
        make_product(app, name="A", stock=1)
        pool = [app.extensions["reader"].raw_connection() for _ in range(2)]
        for connection in pool:
            connection.close()
        read_kept(_stocks)
        kill_connections(database_url)

        assert [[tuple(row) for row in read(_stocks)] for _ in range(6)] == [[("A", 1)]] * 6
        kill_connections(database_url)
        assert [read_kept(_stocks) for _ in range(6)] == [[("A", 1)]] * 6

    def test_plans_that_are_gone_are_made_again(self, app):
        make_product(app, name="A", stock=1)
        read_often(_stocks)
        read_kept(_stocks)
        connection = app.extensions["reader"].raw_connection()
        connection.cursor().execute("DEALLOCATE ALL")
        connection.close()

        for _ in range(2):
            assert [tuple(row) for row in read_often(_stocks)] == read_kept(_stocks) == [("A", 1)]

    def test_nothing_counts_that_was_found_before_a_new_connection(self, app):
        make_product(app, name="A", stock=1)
        first = read_kept(_stocks)
        app.extensions["kept_reads"].begin_epoch()

        again = read_kept(_stocks)
        assert again == first
        assert again is not first

    @pytest.mark.own_session
    def test_nothing_is_read_twice_while_nothing_is_committed(self, app):
        make_product(app, name="A", stock=1)
        first = read_kept(_stocks)

        assert read_kept(_stocks) is first
        make_product(app, name="B", stock=2)
        assert read_kept(_stocks) == [("A", 1), ("B", 2)]

    @pytest.mark.own_session
    def test_what_others_only_begin_keeps_nobody_from_it(self, app):
        product = make_product(app, name="A", stock=1)
        with transaction():
            set_stock(product, 5)
            first = read_kept(_stocks)
            assert read_kept(_stocks) is first


class TestOnAStandby:
    def test_reads_are_not_kept_and_follow_the_primary(self, service):
        with postgres() as primary, apps() as make:
            url = Cluster(primary.url).create("shop")
            migrate(url)
            writing = make(Settings(url, service))
            product = make_product(writing, name="A", stock=1)
            with standby_of(primary) as standby:
                reading = make(Settings(normalized_database_url(standby.url("shop")), service))
                with reading.app_context():
                    first = read_kept(_stocks)
                    again = read_kept(_stocks)
                    assert first == again == [("A", 1)]
                    assert again is not first
                    edit(writing, Product, Product.id == product, stock=2)
                    eventually(lambda: read_kept(_stocks) == [("A", 2)])


class TestThroughAPooler:
    @pytest.fixture(params=[(), (OPTIONS_IGNORED,)], ids=["options are refused", "options are ignored"])
    def pooled(self, request, app, service, _pristine) -> Iterator[Flask]:
        """An app whose connections lead through a pooler, beside one whose do not."""
        try:
            with pgbouncer(_pristine.url, *request.param) as pooler, apps() as make:
                pooled = make(Settings(pooler(str(_pristine.url.database)), service))
                with pooled.app_context():
                    yield pooled
        except PoolerUnavailable as error:
            pytest.skip(str(error))

    @pytest.fixture
    def backend(self) -> str:
        return "postgresql"

    def test_nothing_is_prepared_and_nothing_is_kept(self, pooled, app):
        make_product(app, name="A", stock=1)
        first = read_kept(_stocks)

        assert [tuple(row) for row in read_often(_stocks)] == first == [("A", 1)]
        again = read_kept(_stocks)
        assert (again == first, again is first) == (True, False)
        assert _prepared(pooled) == set()

    def test_each_read_and_each_transaction_has_our_settings(self, pooled):
        names = [*SETTINGS]
        expected = ["10s", "3s", "30s", "UTC", "ISO, MDY", "1"]

        assert [*read(_shown, *names)[0]] == expected
        assert [*read_at_length(_shown(*names))[0].values()] == ["100s", *expected[1:]]
        with transaction():
            assert [*db.session.execute(_shown(*names)).one()] == expected

    def test_an_error_of_a_query_is_the_same_as_without_it(self, pooled):
        with pytest.raises(sa.exc.ProgrammingError, match="no_such_column"):
            read_often(_nonsense, name="x")
        assert read(_stocks) == []


def _shown(*names: str) -> sa.Select:
    return sa.select(*(sa.func.current_setting(name).label(name) for name in names))


def _numbered(number: int) -> sa.Select:
    return sa.select(Product.stock, sa.literal_column(str(number)))


def _prepared(app) -> set[str]:
    connection = app.extensions["reader"].raw_connection()
    try:
        found: set[str] = connection.info.get("prepared", set())
        return found
    finally:
        connection.close()


def test_an_error_of_the_driver_is_one_of_sqlalchemy_and_tells_no_value(app):
    with pytest.raises(sa.exc.DBAPIError) as failure:
        read(_nonsense, name="hunter2")

    assert "no_such_column" in str(failure.value)
    assert "hunter2" not in str(failure.value)


def _nonsense() -> sa.Select:
    return sa.select(sa.literal_column("no_such_column")).where(sa.bindparam("name", type_=sa.String) == "x")
