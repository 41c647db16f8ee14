"""The jobs that send mails: each morning by people's clock, once, whatever clocks and workers do."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from aggregator.clock import utcnow
from aggregator.jobs import mails as jobs
from aggregator.jobs.run import Run
from aggregator.jobs.runner import run_job
from aggregator.jobs.timetable import JOBS
from aggregator.models import Delivery, DeliveryStatus, JobRun, ToldDay, User
from tests.builders import edit, make_product, make_user, stored, sync
from tests.conftest import signed_in
from tests.mail_server import Inbox, mail_server


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with mail_server() as inbox:
        yield inbox


@pytest.fixture
def clock(monkeypatch) -> Callable[[datetime], None]:
    """Sets the clock that the job goes by."""

    def set_to(moment: datetime) -> None:
        monkeypatch.setattr(jobs, "utcnow", lambda: moment)

    return set_to


def tick(app: Flask, name: str = "daily-mail") -> object:
    """What the worker does when it comes to a job."""
    with app.app_context():
        return run_job(JOBS[name], Run())


def days_told(app: Flask) -> dict[str, datetime]:
    """When the mail of which day was queued; every user got it once."""
    found = stored(app, Delivery)
    assert len({delivery.key for delivery in found}) == len(found)
    return {delivery.key.rpartition(":")[2]: delivery.created_at for delivery in sorted(found, key=_created_at)}


def _created_at(delivery: Delivery) -> datetime:
    return delivery.created_at


@pytest.mark.parametrize(
    ("zone", "day", "utc_hours"),
    [
        # The hour of UTC at which it is eight in the morning, from the day before to the day after.
        ("Europe/Prague", date(2026, 3, 29), (7, 6, 6)),
        ("Europe/Prague", date(2026, 10, 25), (6, 7, 7)),
        ("America/Sao_Paulo", date(2026, 10, 18), (11, 11, 11)),
        ("America/Sao_Paulo", date(2018, 11, 4), (11, 10, 10)),
        ("Pacific/Kiritimati", date(2026, 3, 29), (18, 18, 18)),
        ("UTC", date(2026, 3, 29), (8, 8, 8)),
    ],
)
def test_each_day_has_its_mail_at_eight_and_no_other(make_app, clock, zone, day, utc_hours):
    app = make_app(timezone=zone)
    make_user(app, created_at=datetime(2017, 1, 1, tzinfo=UTC))
    days = [day + timedelta(days=offset) for offset in (-1, 0, 1)]
    at = datetime.combine(days[0], datetime.min.time(), ZoneInfo(zone)).astimezone(UTC)
    while at.astimezone(ZoneInfo(zone)).date() <= days[-1]:
        clock(at)
        tick(app)
        at += timedelta(minutes=15)

    told = days_told(app)
    assert list(told) == [each.isoformat() for each in days]
    assert [moment.hour for moment in told.values()] == list(utc_hours)
    assert [moment.astimezone(ZoneInfo(zone)).strftime("%F %H:%M") for moment in told.values()] == [
        f"{each} 08:00" for each in days
    ]


class TestTheDailyMail:
    EIGHT = datetime(2026, 5, 4, 6, tzinfo=UTC)  # in Prague

    @pytest.fixture
    def app(self, make_app, inbox) -> Flask:
        return make_app(timezone="Europe/Prague", mail_url=inbox.url(), mail_from="shop@example.com")

    def test_goes_to_everybody_with_what_is_new(self, app, inbox, clock):
        make_product(app, name="Moka pot", created_at=self.EIGHT - timedelta(hours=3))
        for name in ("ada", "bob"):
            make_user(app, email=f"{name}@example.org")
        clock(self.EIGHT)

        assert tick(app) == {"queued": 2}
        edit(app, Delivery, created_at=utcnow())
        assert tick(app, "send-mails") == {"sent": 2}
        assert sorted(arrived.recipients for arrived in inbox.arrived) == [["ada@example.org"], ["bob@example.org"]]
        assert {arrived.message["Subject"] for arrived in inbox.arrived} == {"1 new product today"}
        assert "Monday, 4 May 2026" in inbox.arrived[0].message.get_body(("plain",)).get_content()

    def test_is_not_due_before_eight_and_leaves_no_trace(self, app, clock):
        make_user(app)
        clock(self.EIGHT - timedelta(microseconds=1))

        assert tick(app) is None
        assert (stored(app, Delivery), stored(app, JobRun)) == ([], [])

    def test_is_still_sent_by_a_worker_that_starts_in_the_afternoon(self, app, clock):
        make_user(app)
        clock(self.EIGHT + timedelta(hours=6))

        assert tick(app) == {"queued": 1}
        assert list(days_told(app)) == ["2026-05-04"]

    def test_of_a_day_that_was_missed_is_not_sent_later(self, app, clock):
        make_user(app)
        for days in (0, 3):
            clock(self.EIGHT + timedelta(days=days))
            tick(app)

        assert list(days_told(app)) == ["2026-05-04", "2026-05-07"]

    def test_survives_restarts_at_eight(self, make_app, app, inbox, clock, monkeypatch):
        monkeypatch.setattr(jobs.mails, "BATCH", 2)
        for _ in range(5):
            make_user(app)
        clock(self.EIGHT)
        stop = threading.Event()
        with app.app_context():  # the first worker is stopped after its first batch
            run = Run(stop)
            run.alive = stop.set
            assert jobs.queue_daily(run) == {"queued": 2}
        again = make_app(timezone="Europe/Prague")

        assert tick(again) == {"queued": 3}
        assert tick(make_app(timezone="Europe/Prague")) is None
        assert Counter(delivery.user_id for delivery in stored(app, Delivery)).most_common(1)[0][1] == 1

    def test_notes_that_everybody_was_told_only_where_that_is_so(self, app, clock):
        make_user(app)
        clock(self.EIGHT)
        run = Run()
        run.alive = run.stop.set
        with app.app_context():
            jobs.queue_daily(run)
        assert stored(app, ToldDay) == []

        with app.app_context():
            jobs.queue_daily(Run())
        assert [(told.date, told.everybody_by) for told in stored(app, ToldDay)] == [
            ("2026-05-04", self.EIGHT - timedelta(minutes=10))
        ]

    def test_is_not_doubled_by_a_clock_that_jumps(self, app, clock):
        make_user(app)
        for hours in (0, 1, -1, 25, 0, 24, 23, 48):
            clock(self.EIGHT + timedelta(hours=hours))
            tick(app)

        assert sorted(days_told(app)) == ["2026-05-04", "2026-05-05", "2026-05-06"]

    def test_is_not_sent_to_who_was_deactivated_after_it_was_queued(self, app, inbox, clock):
        user_id = make_user(app)
        clock(self.EIGHT)
        tick(app)
        edit(app, Delivery, created_at=utcnow())
        edit(app, User, User.id == user_id, active=False)

        assert tick(app, "send-mails") == {"refused": 1}
        assert inbox.arrived == []

    def test_is_not_kept_from_anybody_by_an_address_that_fails(self, app, inbox, clock):
        inbox.to_recipient["bob@example.org"] = "550 who?"
        for name in ("ada", "bob", "cyd"):
            make_user(app, email=f"{name}@example.org")
        clock(self.EIGHT)
        tick(app)
        edit(app, Delivery, created_at=utcnow())

        assert tick(app, "send-mails") == {"sent": 2, "refused": 1}
        assert tick(app) is None
        assert sorted(arrived.recipients[0] for arrived in inbox.arrived) == ["ada@example.org", "cyd@example.org"]


class TestSendingMails:
    @pytest.fixture
    def app(self, make_app, inbox) -> Flask:
        return make_app(mail_url=inbox.url())

    def test_is_due_when_a_mail_is(self, app, clock):
        make_user(app)
        clock(datetime(2026, 5, 4, 9, tzinfo=UTC))
        with app.app_context():
            assert JOBS["send-mails"].due() is False
        tick(app)
        with app.app_context():
            assert JOBS["send-mails"].due() is True

    def test_is_not_due_while_the_server_is_left_alone(self, app, clock):
        make_user(app)
        clock(datetime(2026, 5, 4, 9, tzinfo=UTC))
        tick(app)
        app.extensions["post"].is_down("unreachable")

        with app.app_context():
            assert JOBS["send-mails"].due() is False

    def test_of_a_server_that_is_down_is_recorded_with_the_reason(self, app, inbox, clock):
        make_user(app)
        clock(datetime(2026, 5, 4, 9, tzinfo=UTC))
        tick(app)
        edit(app, Delivery, created_at=utcnow())
        inbox.to_sender = "451 not now"

        assert tick(app, "send-mails") == {"delayed": 1, "problem": "the server answered 451 to the sender"}
        assert stored(app, JobRun)[-1].summary == '{"delayed": 1, "problem": "the server answered 451 to the sender"}'
        assert stored(app, Delivery)[0].status is DeliveryStatus.PENDING

    def test_works_by_hand(self, app, inbox, clock):
        make_user(app)
        clock(datetime.combine(utcnow().date(), datetime.min.time(), UTC) + timedelta(hours=9))
        runner = app.test_cli_runner()

        assert runner.invoke(args=["jobs", "run", "daily-mail"]).stdout == "queued: 1\n"
        assert runner.invoke(args=["jobs", "run", "send-mails"]).stdout == "sent: 1\n"
        assert runner.invoke(args=["jobs", "run", "daily-mail"]).stdout == "There is nothing to do.\n"
        assert runner.invoke(args=["jobs", "run", "send-mails"]).stdout == "There is nothing to do.\n"
        assert len(inbox.arrived) == 1


def test_an_alert_arrives_as_a_mail(make_app, inbox):
    app = make_app(mail_url=inbox.url(), mail_from="shop@example.com")
    user_id, product_id = make_user(app, email="ada@example.org"), make_product(app, name="Moka pot")
    sync(app, product_id, {"a": (5000, 1)})
    tick(app, "announce")
    alert = {"product_id": str(product_id), "kind": "below", "target": 4500}
    assert signed_in(app, user_id).post("/api/v1/alerts", json=alert).status_code == 201

    sync(app, product_id, {"a": (4284, 1)})
    tick(app, "announce")
    assert tick(app, "send-mails") == {"sent": 1}
    tick(app, "announce")
    assert tick(app, "send-mails") is None

    (arrived,) = inbox.arrived
    assert arrived.recipients == ["ada@example.org"]
    assert arrived.message["Subject"] == "Moka pot: 42.84 EUR (-14.32 %)"
    assert "Before: 50.00 EUR" in arrived.message.get_body(("plain",)).get_content()
