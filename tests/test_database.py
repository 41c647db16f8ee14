"""Transactions, and what each database does when others want the same."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Thread

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, OperationalError

from aggregator.database import db, in_transaction, transaction
from aggregator.models import Product
from aggregator.reading import read
from tests.builders import make_product, stored

pytestmark = pytest.mark.usefixtures("context")


def set_stock(product_id, stock: int) -> None:
    db.session.execute(sa.update(Product).where(Product.id == product_id).values(stock=stock))


def add_one(product_id) -> None:
    product = db.session.get(Product, product_id, with_for_update=True)
    product.stock += 1


def _stocks() -> sa.Select:
    return sa.select(Product.name, Product.stock).order_by(Product.name)


def kill_connections(database_url) -> None:
    """What a restart of the server does to all who are connected."""
    engine = sa.create_engine(database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    engine.dispose()


class TestTransaction:
    def test_commits_what_is_done_inside(self, app):
        product = make_product(app)
        with transaction():
            set_stock(product, 5)

        assert stored(app, Product)[0].stock == 5

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
    def test_or_nothing_of_it(self, app, error):
        product = make_product(app)

        def fail_half_way() -> None:
            with transaction():
                set_stock(product, 5)
                raise error

        with pytest.raises(error):
            fail_half_way()
        assert stored(app, Product)[0].stock == 0
        with transaction():
            set_stock(product, 6)
        assert stored(app, Product)[0].stock == 6

    def test_what_it_returned_may_be_read_afterwards(self, app):
        product_id = make_product(app, name="Lamp")
        with transaction():
            product = db.session.get(Product, product_id)

        assert product.name == "Lamp"
        assert product not in db.session

    def test_the_next_one_sees_what_others_have_done_since(self, app):
        product_id = make_product(app)
        with transaction():
            db.session.get(Product, product_id)
        with app.app_context(), transaction():
            set_stock(product_id, 7)

        with transaction():
            assert db.session.get(Product, product_id).stock == 7

    def test_there_is_one_at_a_time(self):
        with transaction():
            db.session.execute(sa.select(1))
            with pytest.raises(RuntimeError, match="a transaction is open already"), transaction():
                pass


class TestInTransaction:
    class Deadlock(Exception):
        pgcode = "40P01"

    class Serialization(Exception):
        pgcode = "40001"

    class Duplicate(Exception):
        pgcode = "23505"

    def failing(self, error: type[Exception], times: int):
        """Work that fails so many times, and how often it was tried."""
        tries = []

        def work() -> int:
            tries.append(1)
            if len(tries) <= times:
                raise DBAPIError("UPDATE", {}, error())
            return len(tries)

        return work, tries

    def test_returns_what_the_work_returns(self):
        assert in_transaction(lambda: 42) == 42

    @pytest.mark.parametrize("error", [Deadlock, Serialization])
    def test_begins_again_after_a_deadlock(self, error):
        work, _ = self.failing(error, times=2)

        assert in_transaction(work) == 3

    def test_gives_up_after_three_tries(self):
        work, tries = self.failing(self.Deadlock, times=9)

        with pytest.raises(DBAPIError):
            in_transaction(work)
        assert len(tries) == 3

    def test_tries_nothing_else_again(self):
        work, tries = self.failing(self.Duplicate, times=9)

        with pytest.raises(DBAPIError):
            in_transaction(work)
        assert len(tries) == 1

    def test_many_who_add_to_one_number_lose_nothing(self, app):
        product = make_product(app)

        def work(_: int) -> None:
            with app.app_context():
                for _ in range(10):
                    in_transaction(lambda: add_one(product))

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(work, range(4)))

        assert stored(app, Product)[0].stock == 40


class TestPostgreSQL:
    @pytest.fixture
    def backend(self) -> str:
        return "postgresql"

    def test_a_read_survives_that_its_connection_died(self, app, database_url):
        make_product(app, name="A", stock=1)
        read(_stocks)
        kill_connections(database_url)

        assert [row.stock for row in read(_stocks)] == [1]

    def test_so_does_the_next_transaction(self, app, database_url):
        product = make_product(app)
        with transaction():
            set_stock(product, 1)
        kill_connections(database_url)
        with transaction():
            set_stock(product, 2)

        assert stored(app, Product)[0].stock == 2

    def test_one_that_dies_inside_leaves_nothing(self, app, database_url):
        product = make_product(app)

        def cut_off_half_way() -> None:
            with transaction():
                set_stock(product, 1)
                kill_connections(database_url)
                set_stock(product, 2)

        with pytest.raises(OperationalError):
            cut_off_half_way()
        assert stored(app, Product)[0].stock == 0

    def test_two_that_lock_each_other_out_both_succeed_in_the_end(self, app):
        first, second = make_product(app, name="A"), make_product(app, name="B")
        both_hold_one = Barrier(2, timeout=10)

        def work(products: tuple) -> None:
            with app.app_context():
                tries = []

                def twice() -> None:
                    add_one(products[0])
                    db.session.flush()
                    tries.append(1)
                    if len(tries) == 1:
                        both_hold_one.wait()
                    add_one(products[1])

                in_transaction(twice)

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(work, [(first, second), (second, first)]))

        assert [product.stock for product in stored(app, Product)] == [2, 2]

    def test_who_waits_for_a_lock_waits_three_seconds_at_most(self, app):
        product = make_product(app)
        with transaction():
            set_stock(product, 1)
            started = time.monotonic()
            with app.app_context(), pytest.raises(OperationalError, match="lock timeout"), transaction():
                set_stock(product, 2)

        assert 2.5 < time.monotonic() - started < 8

    @pytest.mark.own_session
    def test_every_connection_has_limits_and_lives_in_utc(self, app):
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "TimeZone")
        shown = []
        for engine in (db.engine, app.extensions["reader"]):
            with engine.connect() as connection:
                shown.append([connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names])

        assert shown == [["10s", "3s", "30s", "UTC"]] * 2


class TestSQLite:
    @pytest.fixture
    def backend(self) -> str:
        return "sqlite"

    def test_every_connection_has_its_settings(self, app):
        names = ("journal_mode", "foreign_keys", "busy_timeout", "synchronous")
        shown = []
        for engine in (db.engine, app.extensions["reader"]):
            with engine.connect() as connection:
                shown.append([connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names])

        assert shown == [["wal", 1, 5000, 1]] * 2

    def test_a_writer_waits_for_another(self, app):
        product = make_product(app)
        writing = Event()

        def slowly() -> None:
            with app.app_context(), transaction():
                set_stock(product, 1)
                writing.set()
                time.sleep(0.4)

        thread = Thread(target=slowly)
        thread.start()
        writing.wait()
        with transaction():
            assert db.session.get(Product, product).stock == 1
            set_stock(product, 2)
        thread.join()

        assert stored(app, Product)[0].stock == 2

    def test_writers_of_several_processes_are_never_told_that_it_is_locked(self, app, database_url):
        product = make_product(app)
        program = f"""
import sys
from sqlalchemy.engine import make_url
from aggregator.app import create_app
from aggregator.config import Settings
from aggregator.database import in_transaction
from tests.apps import NO_SERVICE
from tests.test_database import add_one
from uuid import UUID

app = create_app(Settings(make_url({database_url.render_as_string()!r}), NO_SERVICE))
with app.app_context():
    for _ in range(60):
        in_transaction(lambda: add_one(UUID({str(product)!r})))
"""
        processes = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(3)]
        errors = [process.communicate(timeout=60)[1].decode() for process in processes]

        assert ([process.returncode for process in processes], errors) == ([0, 0, 0], ["", "", ""])
        assert stored(app, Product)[0].stock == 180

    def test_a_file_that_is_not_there_yet_gets_its_directory(self, make_app, tmp_path, database_url):
        make_app(database_url=database_url.set(database=str(tmp_path / "new" / "place" / "a.db")))

        assert (tmp_path / "new" / "place").is_dir()
