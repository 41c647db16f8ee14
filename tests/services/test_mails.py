"""The daily mail: when a day begins, who is to get its mail, and what is in it."""

import json
import threading
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from aggregator.clock import utcnow
from aggregator.database import db, in_transaction, transaction
from aggregator.models import Channel, Delivery, DeliveryStatus, Event, Feed, Product, ToldDay, User
from aggregator.services import accounts, mails
from aggregator.services.mails import Day
from tests.builders import edit, make_product, make_user, stored, sync

PRAGUE = ZoneInfo("Europe/Prague")
TODAY = Day(date(2026, 5, 4), datetime(2026, 5, 3, 22, tzinfo=UTC), datetime(2026, 5, 4, 22, tzinfo=UTC))
TOMORROW = Day(date(2026, 5, 5), TODAY.ends_at, TODAY.ends_at + timedelta(days=1))
NEWS = {"date": "2026-05-04"}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}+00:00")


def queue_all(app: Flask, day: Day = TODAY, now: datetime | None = None) -> int:
    """Queue the mail of a day for everybody, and count the new ones."""
    queued, last = 0, None
    with app.app_context():
        while True:
            new, last = in_transaction(lambda after=last: mails.queue_daily(day, NEWS, now or utcnow(), after))
            queued += new
            if last is None:
                return queued


def keys(app: Flask) -> set[str]:
    return {delivery.key for delivery in stored(app, Delivery)}


def anybody_waits(app: Flask, day: Day = TODAY) -> bool:
    with app.app_context():
        return mails.anybody_waits(day)


class TestTheDayToTell:
    @pytest.mark.parametrize(
        ("zone", "now", "day", "began_at"),
        [
            ("UTC", "2026-05-04T07:59:59", None, None),
            ("UTC", "2026-05-04T08:00:00", "2026-05-04", "2026-05-04T00:00:00"),
            ("UTC", "2026-05-04T23:59:59", "2026-05-04", "2026-05-04T00:00:00"),
            ("UTC", "2026-05-05T00:00:00", None, None),
            # Into summer time on 29 March at 2:00, which is 1:00 UTC, and out of it on 25 October at 3:00.
            ("Europe/Prague", "2026-03-28T06:59:59", None, None),
            ("Europe/Prague", "2026-03-28T07:00:00", "2026-03-28", "2026-03-27T23:00:00"),
            ("Europe/Prague", "2026-03-29T05:59:59", None, None),
            ("Europe/Prague", "2026-03-29T06:00:00", "2026-03-29", "2026-03-28T23:00:00"),
            ("Europe/Prague", "2026-03-30T06:00:00", "2026-03-30", "2026-03-29T22:00:00"),
            ("Europe/Prague", "2026-10-24T06:00:00", "2026-10-24", "2026-10-23T22:00:00"),
            ("Europe/Prague", "2026-10-25T06:59:59", None, None),
            ("Europe/Prague", "2026-10-25T07:00:00", "2026-10-25", "2026-10-24T22:00:00"),
            ("Europe/Prague", "2026-10-26T07:00:00", "2026-10-26", "2026-10-25T23:00:00"),
            # No summer time any more; when there was, it began at midnight, so that there was none.
            ("America/Sao_Paulo", "2026-10-18T10:59:59", None, None),
            ("America/Sao_Paulo", "2026-10-18T11:00:00", "2026-10-18", "2026-10-18T03:00:00"),
            ("America/Sao_Paulo", "2018-11-04T09:59:59", None, None),
            ("America/Sao_Paulo", "2018-11-04T10:00:00", "2018-11-04", "2018-11-04T03:00:00"),
            ("America/Sao_Paulo", "2018-02-18T11:00:00", "2018-02-18", "2018-02-18T03:00:00"),
            # Cuba has its midnight twice: the day begins with the first one.
            ("America/Havana", "2026-11-01T13:00:00", "2026-11-01", "2026-11-01T04:00:00"),
            # Fourteen hours ahead, where it is tomorrow already.
            ("Pacific/Kiritimati", "2026-05-03T17:59:59", None, None),
            ("Pacific/Kiritimati", "2026-05-03T18:00:00", "2026-05-04", "2026-05-03T10:00:00"),
            # Samoa went without 30 December 2011.
            ("Pacific/Apia", "2011-12-29T18:00:00", "2011-12-29", "2011-12-29T10:00:00"),
            ("Pacific/Apia", "2011-12-30T18:00:00", "2011-12-31", "2011-12-30T10:00:00"),
            ("Asia/Kathmandu", "2026-05-04T02:15:00", "2026-05-04", "2026-05-03T18:15:00"),
        ],
    )
    def test_begins_at_midnight_and_is_told_from_eight_on_by_peoples_clock(self, zone, now, day, began_at):
        told = mails.day_to_tell(moment(now), ZoneInfo(zone))

        assert (told and (told.date, told.began_at)) == (day and (date.fromisoformat(day), moment(began_at)))


class TestWhoGetsIt:
    @pytest.mark.parametrize(
        ("created_at", "gets_it"),
        [
            ("2026-05-03T21:59:00", True),  # 23:59 of yesterday
            ("2026-05-03T21:59:59.999999", True),
            ("2026-05-03T22:00:00", False),
            ("2026-05-03T22:01:00", False),  # 00:01 of today
            ("2020-01-01T00:00:00", True),
        ],
    )
    def test_is_who_registered_before_the_day(self, app, created_at, gets_it):
        user_id = make_user(app, created_at=moment(created_at))

        assert anybody_waits(app) is gets_it
        assert queue_all(app) == gets_it
        assert keys(app) == ({f"daily:{user_id}:2026-05-04"} if gets_it else set())

    def test_and_registered_today_gets_it_tomorrow(self, app):
        user_id = make_user(app, created_at=moment("2026-05-03T22:01:00"))

        assert (queue_all(app), queue_all(app, TOMORROW)) == (0, 1)
        assert keys(app) == {f"daily:{user_id}:2026-05-05"}

    def test_is_nobody_who_is_not_active(self, app):
        make_user(app, active=False)

        assert not anybody_waits(app)
        assert queue_all(app) == 0

    def test_is_whoever_is_active_again_the_same_day(self, app):
        user_id = make_user(app, active=False)
        queue_all(app)
        edit(app, User, active=True)

        assert anybody_waits(app)
        assert queue_all(app) == 1
        assert keys(app) == {f"daily:{user_id}:2026-05-04"}

    @pytest.mark.parametrize(("minutes", "waits"), [(-11, False), (-9, True), (60, True)])
    def test_is_asked_only_of_who_has_changed_since_everybody_was_told(self, app, now, minutes, waits):
        user_id = make_user(app)
        with app.app_context():
            in_transaction(lambda: mails.note_told(TODAY, now))
        assert not anybody_waits(app)

        edit(app, User, User.id == user_id, updated_at=now + timedelta(minutes=minutes))
        assert anybody_waits(app) is waits
        assert queue_all(app) == 1  # the whole look is not narrowed

    def test_is_whoever_is_activated_after_everybody_was_told(self, app, now):
        user_id = make_user(app, active=False)
        with app.app_context():
            in_transaction(lambda: mails.note_told(TODAY, now))
            assert not mails.anybody_waits(TODAY)
            in_transaction(lambda: accounts.change(user_id, {"active": True}, now + timedelta(hours=2)))

        assert anybody_waits(app)
        assert queue_all(app) == 1
        assert not anybody_waits(app)

    def test_of_one_day_is_not_told_the_next(self, app, now):
        make_user(app)
        with app.app_context():
            in_transaction(lambda: mails.note_told(TODAY, now))
            for later in (now, now + timedelta(hours=1)):
                in_transaction(lambda later=later: mails.note_told(TODAY, later))

        assert not anybody_waits(app)
        assert anybody_waits(app, TOMORROW)
        assert [told.date for told in stored(app, ToldDay)] == ["2026-05-04"]
        assert stored(app, ToldDay)[0].everybody_by == now + timedelta(minutes=50)

    def test_gets_it_once_a_day_and_again_on_the_next(self, app):
        users = [make_user(app) for _ in range(3)]

        assert [queue_all(app), queue_all(app)] == [3, 0]
        assert not anybody_waits(app)
        assert anybody_waits(app, TOMORROW)
        assert [queue_all(app, TOMORROW), queue_all(app, TOMORROW)] == [3, 0]
        assert keys(app) == {f"daily:{user_id}:2026-05-0{day}" for user_id in users for day in (4, 5)}

    def test_gets_it_once_even_if_it_has_failed(self, app):
        make_user(app)
        queue_all(app)
        edit(app, Delivery, status=DeliveryStatus.FAILED)

        assert not anybody_waits(app)
        assert queue_all(app) == 0

    def test_finds_it_queued_and_due(self, app, now):
        user_id = make_user(app)
        queue_all(app, now=now)

        (delivery,) = stored(app, Delivery)
        assert (delivery.channel, delivery.event, delivery.user_id) == (Channel.MAIL, Event.DAILY, user_id)
        assert (delivery.status, delivery.created_at) == (DeliveryStatus.PENDING, now)
        assert json.loads(delivery.payload) == NEWS

    def test_may_be_more_than_a_batch(self, app, monkeypatch):
        monkeypatch.setattr(mails, "BATCH", 3)
        users = [make_user(app) for _ in range(8)]

        assert queue_all(app) == 8
        assert keys(app) == {f"daily:{user_id}:2026-05-04" for user_id in users}

    def test_gets_it_once_from_two_workers_at_once(self, make_app, monkeypatch):
        monkeypatch.setattr(mails, "BATCH", 4)
        apps = [make_app() for _ in range(2)]
        for _ in range(20):
            make_user(apps[0])
        counts: list[int] = []
        threads = [threading.Thread(target=lambda app=app: counts.append(queue_all(app))) for app in apps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

        assert sum(counts) == 20
        assert len(stored(apps[0], Delivery)) == 20

    def test_is_looked_up_by_the_index_of_keys(self, app):
        with app.app_context(), transaction():
            connection = db.session.connection()
            explain = "EXPLAIN QUERY PLAN"
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(
                    "SET LOCAL enable_seqscan = off"
                )  # of a table that is empty it would read all
                explain = "EXPLAIN"
            compiled = mails._somebody_waits().compile(connection)
            values = compiled.params | {"began_at": "2026-05-03T22:00:00.000000Z", "suffix": ":2026-05-04"}
            values |= {"date": "2026-05-04", "beginning": "1970-01-01T00:00:00.000000Z"}
            names = compiled.positiontup
            bound = values if names is None else tuple(values[name] for name in names)
            plan = str(connection.exec_driver_sql(f"{explain} {compiled}", bound).all())

        assert "uq_deliveries_key" in plan or "SEARCH deliveries USING INDEX" in plan
        assert "ix_users_updated_at" in plan


class TestTheAddress:
    def test_is_that_of_an_active_user(self, app):
        active = make_user(app, email="ada@example.org")
        gone = make_user(app, active=False)

        with app.app_context():
            found = [mails.recipient(each) for each in (active, gone, UUID(int=1))]

        assert found == [mails.Recipient("ada@example.org", True, None, True, True), None, None]


class TestTheNews:
    def news(self, app: Flask, now: datetime) -> dict:
        with app.app_context():
            return mails.daily_news(TODAY, "EUR", now)

    def priced(self, app: Flask, now: datetime, before: int, price: int, name: str) -> UUID:
        """A product whose price became another one three hours ago."""
        product_id = make_product(app, name=name)
        sync(app, product_id, {"a": (before, 1)}, now - timedelta(days=3))
        sync(app, product_id, {"a": (price, 1)}, now - timedelta(hours=3))
        return product_id

    def test_of_an_empty_catalogue_is_none(self, app, now):
        assert self.news(app, now) == {
            "date": "2026-05-04",
            "currency": "EUR",
            "products": 0,
            "new": 0,
            "new_products": [],
            "drops": 0,
            "largest_drops": [],
        }

    def test_names_the_newest_products_and_what_they_cost(self, app, now):
        ids = [
            make_product(app, name=f"New {hours}", created_at=now - timedelta(hours=hours))
            for hours in (1, 2, 3, 4, 5, 6)
        ]
        make_product(app, name="Old", created_at=now - timedelta(hours=24))
        make_product(app, name="Gone", created_at=now - timedelta(hours=1), deleted_at=now)
        sync(app, ids[1], {"a": (4284, 1)}, now - timedelta(hours=1))

        news = self.news(app, now)
        assert (news["products"], news["new"], news["drops"]) == (7, 6, 0)
        assert news["new_products"] == [
            {"id": str(ids[n]), "name": f"New {n + 1}", "price": 4284 if n == 1 else None} for n in range(5)
        ]

    def test_names_what_fell_the_most_by_percent(self, app, now):
        falls = {"A": (1000, 900), "B": (200, 100), "C": (100_000, 70_000), "D": (3, 2), "E": (50, 0), "F": (1000, 999)}
        ids = {name: self.priced(app, now, *prices, name) for name, prices in falls.items()}
        self.priced(app, now, 100, 200, "rose")
        self.priced(app, now, 100, 100, "stayed")

        news = self.news(app, now)
        assert (news["products"], news["drops"]) == (8, 6)
        assert news["largest_drops"] == [
            {"id": str(ids[name]), "name": name, "price": price, "price_before": before, "change_percent": percent}
            for name, before, price, percent in (
                ("E", 50, 0, -100.0),
                ("B", 200, 100, -50.0),
                ("D", 3, 2, -33.33),
                ("C", 100_000, 70_000, -30.0),
                ("A", 1000, 900, -10.0),
            )
        ]

    def test_compares_with_the_price_in_force_a_day_ago(self, app, now):
        product_id = make_product(app, name="Moka pot")
        for hours, price in ((72, 500), (25, 300), (23, 900), (1, 290)):
            sync(app, product_id, {"a": (price, 1)}, now - timedelta(hours=hours))

        assert [(drop["price_before"], drop["price"]) for drop in self.news(app, now)["largest_drops"]] == [(300, 290)]

    def test_sees_no_fall_where_there_was_or_is_nothing_to_be_had(self, app, now):
        gone, back, fresh, withdrawn = (make_product(app) for _ in range(4))
        sync(app, gone, {"a": (500, 1)}, now - timedelta(hours=30))
        sync(app, gone, {"a": (500, 0)}, now - timedelta(hours=2))
        sync(app, back, {"a": (500, 1)}, now - timedelta(hours=40))
        sync(app, back, {"a": (500, 0)}, now - timedelta(hours=30))
        sync(app, back, {"a": (400, 1)}, now - timedelta(hours=2))
        sync(app, fresh, {"a": (500, 1)}, now - timedelta(hours=3))
        sync(app, fresh, {"a": (400, 1)}, now - timedelta(hours=2))
        sync(app, withdrawn, {"a": (500, 1)}, now - timedelta(hours=30))
        sync(app, withdrawn, {"a": (400, 1)}, now - timedelta(hours=2))
        edit(app, Product, Product.id == withdrawn, deleted_at=now)

        news = self.news(app, now)
        assert (news["drops"], news["largest_drops"]) == (0, [])
        assert stored(app, Feed)
