"""How the whole is doing, in numbers and in words."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.clock import utcnow
from aggregator.models import Registration
from aggregator.services import health
from tests.builders import make_product

WELL = health.Status(
    products=3,
    registrations_pending=0,
    registrations_refused=0,
    oldest_pending_age=None,
    oldest_sync_age=59.0,
    syncs_failing=0,
    workers=1,
    worker_heartbeat_age=2.0,
    token="valid",
    paused_calls={},
)


@pytest.mark.usefixtures("context")
class TestStatus:
    def test_the_database_answers_and_knows_its_revision(self, app):
        health.ping()

        assert health.schema_revision() == app.extensions["schema"][0]

    def test_ages_are_by_the_databases_clock(self, app):
        make_product(app, feed={"synced_at": utcnow() - timedelta(hours=1)})
        make_product(app, feed={"synced_at": utcnow() - timedelta(hours=2)})
        make_product(app, feed={"status": Registration.PENDING, "due_at": utcnow() - timedelta(minutes=5)})

        status = health.status()

        assert 7195 < status.oldest_sync_age < 7205
        assert 295 < status.oldest_pending_age < 305

    def test_what_is_due_in_the_future_is_not_late(self, app):
        make_product(app, feed={"status": Registration.PENDING, "due_at": utcnow() + timedelta(minutes=5)})

        assert health.status().oldest_pending_age < 0

    def test_a_product_that_waits_for_its_registration_has_no_sync_to_be_late(self, app):
        make_product(app, feed={"status": Registration.PENDING, "synced_at": utcnow() - timedelta(days=1)})

        assert health.status().oldest_sync_age is None


class TestProblems:
    def test_none_when_all_is_well(self):
        assert WELL.problems(60) == []
        assert replace(WELL, oldest_sync_age=None).problems(60) == []

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"workers": 0}, "no worker is alive"),
            ({"oldest_sync_age": 181.0}, "some offers have not been synced for long"),
            (
                {"paused_calls": {"auth": "the credentials are refused"}},
                "offers service, auth: the credentials are refused",
            ),
        ],
    )
    def test_each_in_words(self, change, problem):
        assert replace(WELL, **change).problems(60) == [problem]

    def test_what_is_late_depends_on_the_interval(self):
        assert replace(WELL, oldest_sync_age=181.0).problems(61) == []
