"""What has changed, in an order that whoever reads along can rely on."""

import json
import random
import threading
import time
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa

from aggregator.clock import utcnow
from aggregator.database import db, dialect, transaction
from aggregator.errors import CursorGone
from aggregator.models import Change, ChangeKind, ChangeReader
from aggregator.services import catalog, categories, changes
from tests.builders import make_category, make_product, offer_id, stored, sync

pytestmark = pytest.mark.usefixtures("context")
A, B = offer_id(1), offer_id(2)


def told(after: int = 0, limit: int = 1000) -> list[dict]:
    text, _ = changes.after(after, limit, utcnow())
    return json.loads(text)


def kinds(app) -> list[str]:
    return [str(change.kind) for change in stored(app, Change)]


def record(now, *products, kind: ChangeKind = ChangeKind.UPDATED) -> None:
    with transaction():
        changes.record(kind, products, now)


class TestOfTheCatalogue:
    def test_each_is_recorded_with_what_it_does(self, app, now):
        with transaction():
            product = catalog.add(uuid4(), {"name": "Lamp", "description": ""}, now)
        with transaction():
            catalog.change(product.id, {"name": "Lantern"}, now + timedelta(1))
        with transaction():
            catalog.remove(product.id, now + timedelta(2))

        assert [(str(each.kind), each.product_id, each.at) for each in stored(app, Change)] == [
            ("product.created", product.id, now),
            ("product.updated", product.id, now + timedelta(1)),
            ("product.deleted", product.id, now + timedelta(2)),
        ]

    def test_an_edit_that_changes_nothing_is_none(self, app, now):
        product_id = make_product(app, name="Lamp")

        with transaction():
            catalog.change(product_id, {"name": "Lamp"}, now)

        assert kinds(app) == []

    def test_what_is_rolled_back_is_none(self, app, now):
        with suppress(ZeroDivisionError), transaction():
            catalog.add(uuid4(), {"name": "Lamp", "description": ""}, now)
            raise ZeroDivisionError

        assert kinds(app) == []

    def test_many_products_are_created_at_once(self, app, now):
        rows = [{"id": uuid4(), "name": f"Lamp {number}", "description": ""} for number in range(3)]
        with transaction():
            catalog.add_missing(rows, now)

        assert {change.product_id for change in stored(app, Change)} == {row["id"] for row in rows}


class TestOfOffers:
    def test_tells_the_lowest_price_before_and_after_and_how_many_there_are(self, app, now):
        product_id = make_product(app)
        sync(app, product_id, {A: (100, 5), B: (90, 1)}, now)
        sync(app, product_id, {A: (80, 5), B: (90, 1)}, now + timedelta(minutes=1))
        sync(app, product_id, {A: (80, 0)}, now + timedelta(minutes=2))

        assert [(c["price_before"], c["lowest_price"], c["offer_count"], c["sold_out"]) for c in told()] == [
            (None, 90, 2, False),
            (90, 80, 2, False),
            (80, None, 1, True),
        ]
        assert {change["type"] for change in told()} == {"offers.changed"}
        assert {change["product_id"] for change in told()} == {str(product_id)}

    def test_one_that_is_not_the_cheapest_is_told_of_as_well(self, app, now):
        product_id = make_product(app)
        sync(app, product_id, {A: (100, 5), B: (90, 1)}, now)
        sync(app, product_id, {A: (99, 5), B: (90, 1)}, now + timedelta(minutes=1))

        assert [(c["price_before"], c["lowest_price"]) for c in told()] == [(None, 90), (90, 90)]

    def test_the_same_again_is_no_change(self, app, now):
        product_id = make_product(app)
        sync(app, product_id, {A: (100, 5)}, now)
        sync(app, product_id, {A: (100, 5)}, now + timedelta(minutes=1))

        assert len(told()) == 1


class TestAfter:
    def test_is_what_comes_after_a_cursor_in_order_up_to_a_limit(self, now):
        products = [uuid4() for _ in range(5)]
        record(now, *products)

        text, last = changes.after(0, 2, now)
        rest, end = changes.after(last, 10, now)

        assert [each["product_id"] for each in json.loads(text) + json.loads(rest)] == [*map(str, products)]
        assert changes.after(end, 10, now) == ("[]", end)

    def test_nothing_is_missed_and_nothing_comes_twice_while_writers_are_at_work(self, app, now):
        """Without the lock of record(), a reader on PostgreSQL passes over numbers that are not committed yet."""

        def write(seed: int) -> None:
            choice = random.Random(seed)
            with app.app_context():
                for _ in range(12):
                    with transaction():
                        changes.record(ChangeKind.UPDATED, [uuid4() for _ in range(choice.randint(1, 3))], now)
                        time.sleep(choice.random() / 200)
                        if choice.random() < 0.2:
                            db.session.rollback()

        writers = [threading.Thread(target=write, args=[seed]) for seed in range(4)]
        seen, last = [], 0
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            text, last = changes.after(last, 7, now)
            seen += [each["cursor"] for each in json.loads(text)]
        while (page := changes.after(last, 7, now))[1] > last:
            seen += [each["cursor"] for each in json.loads(page[0])]
            last = page[1]

        assert [cursor // changes.STEP for cursor in seen] == [change.number for change in stored(app, Change)]
        assert len(seen) > 40


def cursors() -> list[int]:
    return [change["cursor"] for change in told()]


def restore(number: int) -> None:
    """Make the changes those of a backup that ends with a number: what comes next takes the numbers after it."""
    with transaction():
        db.session.execute(sa.delete(Change).where(Change.number > number))
        if dialect() == "sqlite":
            return  # takes the highest there is
        following = sa.text("SELECT setval(pg_get_serial_sequence('changes', 'number'), :number, false)")
        db.session.execute(following, {"number": number + 1})


AHEAD = 999_999_999 * changes.STEP  # of the database that a test has, whatever was in it before


class TestCursors:
    def test_beyond_the_last_change_are_of_another_database(self, now):
        with pytest.raises(CursorGone):
            told(AHEAD)
        record(now, uuid4())
        (cursor,) = cursors()

        assert told(cursor) == []
        for made_up in (AHEAD, cursor + 1, cursor - 1, cursor + changes.STEP, 1, cursor // changes.STEP):
            with pytest.raises(CursorGone):
                told(made_up)

    def test_of_before_a_restore_are_refused_also_when_new_changes_have_overtaken_them(self, app, now):
        record(now, uuid4())
        kept = stored(app, Change)[-1].number
        for seconds in range(3):
            record(now + timedelta(seconds=seconds, microseconds=seconds), uuid4())
        first, *lost = cursors()

        restore(kept)
        record(now + timedelta(seconds=9, microseconds=9), *(uuid4() for _ in range(5)))

        assert len(told(first)) == 5
        for cursor in lost:
            with pytest.raises(CursorGone):
                told(cursor)

    def test_of_before_a_restore_are_refused_where_a_number_has_been_passed_over(self, app, now):
        recently = utcnow()
        record(recently, uuid4(), uuid4())
        kept, ahead = cursors()
        restore(kept // changes.STEP)
        with transaction():
            number = ahead // changes.STEP + 1
            db.session.add(Change(number=number, kind=ChangeKind.UPDATED, product_id=uuid4(), at=recently))

        assert len(told(kept)) == 1
        with pytest.raises(CursorGone):
            told(ahead)

    def test_of_changes_that_are_forgotten_lead_on(self, app, now):
        with transaction():
            db.session.add(ChangeReader(name="somebody", number=10**12))
        lamp = uuid4()
        long_ago = utcnow() - timedelta(days=9)
        record(long_ago, lamp, uuid4(), lamp)
        record(utcnow(), lamp)
        before = cursors()
        with transaction():
            assert changes.compact(0, utcnow())[1] == 2

        assert [len(told(cursor)) for cursor in before] == [2, 1, 1, 0]

    @pytest.mark.parametrize("seed", range(8))
    def test_are_honest_or_refused_whatever_happens(self, app, seed):
        """Backups, restores and changes in any order: a cursor of a lost change never leads on by mistake."""
        choice, moment = random.Random(seed), utcnow() - timedelta(hours=1)
        honest, lost, backups = set(), set(), [0]
        for _ in range(60):
            moment += timedelta(seconds=choice.random(), microseconds=1)
            what = choice.choice(["record"] * 5 + ["backup", "restore"])
            if what == "record":
                record(moment, *(uuid4() for _ in range(choice.randint(1, 3))))
                honest = set(cursors())
            elif what == "backup":
                backups.append(max(honest, default=0) // changes.STEP)
            else:
                number = choice.choice(backups)
                backups = [each for each in backups if each <= number]
                restore(number)
                lost |= {cursor for cursor in honest if cursor // changes.STEP > number}
                honest -= lost

        for cursor in honest:
            told(cursor)
        for cursor in lost:
            with pytest.raises(CursorGone):
                told(cursor)


class TestOfCategories:
    def test_one_that_is_renamed_is_one_change_however_many_products_are_in_it(self, app, now):
        category_id = make_category(app, "Kettles")
        for _ in range(3):
            make_product(app, category_id=category_id)
        with transaction():
            categories.change(category_id, {"name": "Boilers"}, now)

        (change,) = told()

        assert (change["type"], change["category_id"], change["product_id"]) == (
            "category.updated",
            str(category_id),
            None,
        )

    def test_one_whose_products_look_the_same_is_none(self, app, now):
        category_id, parent_id = make_category(app, "Kettles"), make_category(app, "Kitchen")
        with transaction():
            categories.change(category_id, {"name": "Kettles", "parent_id": parent_id}, now)

        assert told() == []


class TestLastNumber:
    def test_is_zero_before_there_is_a_change(self):
        with transaction():
            assert changes.last_number() == 0

    def test_is_that_of_the_last_change(self, app, now):
        record(now, uuid4(), uuid4())

        with transaction():
            number = changes.last_number()
        assert number == stored(app, Change)[-1].number


class TestReaders:
    def read(self, limit: int = 100, name: str = "somebody"):
        with transaction():
            found = changes.unread(name, limit)
            if found:
                changes.have_read(name, found[-1].number)
        return [each.product_id for each in found]

    def test_get_each_change_once(self, now):
        products = [uuid4() for _ in range(3)]
        record(now, *products)

        assert self.read(2) == products[:2]
        assert changes.anything_unread("somebody")
        assert self.read() == products[2:]
        assert self.read() == []
        assert not changes.anything_unread("somebody")

    def test_get_them_again_where_they_did_not_finish(self, now):
        products = [uuid4()]
        record(now, *products)

        with suppress(ZeroDivisionError), transaction():
            changes.unread("somebody", 10)
            raise ZeroDivisionError

        assert self.read() == products

    def test_get_them_again_from_where_they_have_read(self, app, now):
        products = [uuid4() for _ in range(3)]
        record(now, *products)

        with transaction():
            changes.have_read("somebody", changes.unread("somebody", 3)[0].number)

        assert self.read() == products[1:]

    def test_have_nothing_to_do_while_another_one_of_the_name_is_at_it(self, app, now):
        record(now, uuid4())
        assert len(self.read()) == 1
        record(now, uuid4())
        if dialect() == "sqlite":
            return  # has one writer at a time, whatever they write
        found = []

        def come_in_between() -> None:
            with app.app_context():
                found.append(self.read())

        with transaction():
            assert len(changes.unread("somebody", 10)) == 1
            another = threading.Thread(target=come_in_between)
            another.start()
            another.join()

        assert found == [[]]
        assert len(self.read()) == 1

    def test_do_not_see_each_other(self, now):
        record(now, uuid4())

        assert self.read(name="one") == self.read(name="another") != []

    def test_have_something_to_read_before_they_ever_have(self, now):
        assert not changes.anything_unread("somebody")
        record(now, uuid4())
        assert changes.anything_unread("somebody")


class TestCompact:
    def compact(self, now) -> int:
        number, total = 0, 0
        while number is not None:
            with transaction():
                number, forgotten = changes.compact(number, now)
            total += forgotten
        return total

    @pytest.fixture(autouse=True)
    def _everything_is_read(self, context):
        with transaction():
            db.session.add(ChangeReader(name="somebody", number=10**12))

    def test_leaves_of_each_product_the_last_change(self, app, now):
        lamp, chair = uuid4(), uuid4()
        record(now - timedelta(days=9), lamp, chair, lamp)
        record(now - timedelta(days=8), chair, lamp)

        assert self.compact(now) == 3
        assert [change.product_id for change in stored(app, Change)] == [chair, lamp]
        assert self.compact(now) == 0

    def test_leaves_what_is_not_a_week_old(self, app, now):
        lamp = uuid4()
        record(now - timedelta(days=7), lamp, lamp)

        assert self.compact(now) == 0
        assert self.compact(now + timedelta(seconds=1)) == 1

    def test_leaves_what_somebody_has_not_read(self, app, now):
        lamp = uuid4()
        record(now - timedelta(days=9), lamp, lamp, lamp)
        first = stored(app, Change)[0].number
        with transaction():
            db.session.add(ChangeReader(name="slow", number=first))

        assert self.compact(now) == 1
        assert len(stored(app, Change)) == 2

    def test_goes_on_after_a_batch_with_nothing_to_forget(self, app, now, monkeypatch):
        monkeypatch.setattr(changes, "EXAMINED_AT_ONCE", 2)
        lamp = uuid4()
        record(now - timedelta(days=9), uuid4(), uuid4(), lamp, uuid4(), lamp)

        assert self.compact(now) == 1
