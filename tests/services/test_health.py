"""How the whole is doing, in numbers and in words."""

from dataclasses import replace
from datetime import timedelta

import pytest

from aggregator.clients.offers import AccessToken
from aggregator.clock import utcnow
from aggregator.database import transaction
from aggregator.extensions import offers_box
from aggregator.models import Access, Feed, Registration
from aggregator.services import access, health
from tests.builders import edit, make_product

WELL = health.Status(
    products=3,
    registrations_pending=0,
    registrations_refused=0,
    oldest_pending_age=None,
    oldest_sync_age=59.0,
    syncs_failing=0,
    rejected_rows=0,
    products_with_rejected_rows=0,
    rejected_example=None,
    workers=1,
    worker_heartbeat_age=2.0,
    ahead=None,
    token="valid",
    paused_calls={},
)


EXAMPLE = {"product_id": "P", "offer_id": "O", "reason": "bad price: null"}
US, OTHERS = "u" * 12, "o" * 12


@pytest.mark.usefixtures("context")
class TestStatus:
    def test_the_database_knows_its_revision(self, app):
        assert health.schema_revision() == app.extensions["schema"][0]

    def test_ages_are_by_the_databases_clock(self, app):
        make_product(app, feed={"synced_at": utcnow() - timedelta(hours=1)})
        make_product(app, feed={"synced_at": utcnow() - timedelta(hours=2)})
        for minutes in (5, 4):
            make_product(app, feed={"status": Registration.PENDING}, created_at=utcnow() - timedelta(minutes=minutes))

        status = health.status(US, offers_box().prefixes)

        assert 7195 < status.oldest_sync_age < 7205
        assert 295 < status.oldest_pending_age < 305

    def test_of_an_empty_catalogue_has_nothing_to_age(self):
        assert health.status(US, offers_box().prefixes) == health.Status(
            products=0,
            registrations_pending=0,
            registrations_refused=0,
            oldest_pending_age=None,
            oldest_sync_age=None,
            syncs_failing=0,
            rejected_rows=0,
            products_with_rejected_rows=0,
            rejected_example=None,
            workers=0,
            worker_heartbeat_age=None,
            ahead=None,
            token="missing",
            paused_calls={},
        )

    def test_a_registration_is_as_old_as_its_product_however_soon_it_is_tried_again(self, app):
        feed = {"status": Registration.PENDING, "due_at": utcnow() + timedelta(minutes=5)}
        make_product(app, feed=feed, created_at=utcnow() - timedelta(hours=3))

        assert 10795 < health.status(US, offers_box().prefixes).oldest_pending_age < 10805

    def test_only_a_pending_product_waits_for_its_registration(self, app):
        for status in (Registration.REGISTERED, Registration.REFUSED):
            make_product(app, feed={"status": status})

        assert health.status(US, offers_box().prefixes).oldest_pending_age is None

    def test_a_registered_product_that_was_never_synced_is_late_from_its_registration_on(self, app):
        make_product(app, feed={"registered_at": utcnow() - timedelta(hours=2), "synced_at": None})
        make_product(app, feed={"synced_at": utcnow() - timedelta(hours=1)})

        assert 7195 < health.status(US, offers_box().prefixes).oldest_sync_age < 7205

    def test_a_synced_product_is_no_older_than_its_last_sync(self, app):
        make_product(app, feed={"registered_at": utcnow() - timedelta(days=1), "synced_at": utcnow()})

        assert -1 < health.status(US, offers_box().prefixes).oldest_sync_age < 5

    def test_syncs_that_failed_last_time_are_counted(self, app):
        for failures in (0, 1, 7):
            make_product(app, feed={"failures": failures})

        make_product(app, feed={"status": Registration.REFUSED, "failures": 2})

        status = health.status(US, offers_box().prefixes)
        assert (status.syncs_failing, status.registrations_refused) == (2, 1)

    def test_rows_that_were_rejected_are_counted_and_one_of_them_is_shown(self, app):
        first, second = sorted(make_product(app) for _ in range(2))
        make_product(app)
        edit(app, Feed, Feed.product_id == first, rejected_rows=3, rejected_reason='bad price: "x"')
        edit(
            app,
            Feed,
            Feed.product_id == second,
            rejected_rows=1,
            rejected_offer_id="7",
            rejected_reason="bad stock: -1",
        )

        status = health.status(US, offers_box().prefixes)

        assert (status.rejected_rows, status.products_with_rejected_rows) == (4, 2)
        assert status.rejected_example == {"product_id": str(first), "offer_id": None, "reason": 'bad price: "x"'}
        edit(app, Feed, rejected_rows=0, rejected_reason=None)
        assert health.status(US, offers_box().prefixes).rejected_example is None

    def test_the_token_is_ours_and_good_or_it_is_said_why_not(self, app):
        def token(fingerprint: str = US) -> str:
            return health.status(fingerprint, offers_box().prefixes).token

        assert token() == "missing"
        with transaction():
            access.store_token(US, AccessToken("t0k3n", utcnow() + timedelta(minutes=5)), offers_box())
        assert (token(), token(OTHERS)) == ("valid", "missing")
        edit(app, Access, expires_at=None)
        assert token() == "valid"
        edit(app, Access, expires_at=utcnow() - timedelta(seconds=1))
        assert (token(), token(OTHERS)) == ("expired", "missing")
        with transaction():
            access.doubt_token("t0k3n", offers_box())
        assert token() == "missing"

    def test_a_product_that_waits_for_its_registration_has_no_sync_to_be_late(self, app):
        make_product(app, feed={"status": Registration.PENDING, "synced_at": utcnow() - timedelta(days=1)})

        assert health.status(US, offers_box().prefixes).oldest_sync_age is None


class TestProblems:
    def test_none_when_all_is_well(self):
        assert WELL.problems(60) == []
        assert replace(WELL, oldest_sync_age=None).problems(60) == []
        assert replace(WELL, oldest_sync_age=180.0).problems(60) == []
        assert replace(WELL, registrations_pending=1, oldest_pending_age=900.0).problems(60) == []

    def test_all_that_there_are(self):
        bad = replace(WELL, workers=0, oldest_pending_age=1e6, syncs_failing=2, oldest_sync_age=1e6)

        assert replace(bad, paused_calls={"auth": "timed out", "offers": "it answered 503"}).problems(60) == [
            "offers service, auth: timed out",
            "offers service, offers: it answered 503",
            "no worker is alive",
            "a product has been waiting long to be registered",
            "products whose offers cannot be synced: 2",
            "some offers have not been synced for long",
        ]

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"workers": 0}, "no worker is alive"),
            ({"registrations_refused": 2}, "products that the offers service refuses: 2"),
            (
                {"rejected_rows": 3, "products_with_rejected_rows": 1, "rejected_example": EXAMPLE},
                "rows of offers that were rejected: 3, of 1 product; for example product P, offer O: bad price: null",
            ),
            (
                {
                    "rejected_rows": 3,
                    "products_with_rejected_rows": 2,
                    "rejected_example": {**EXAMPLE, "offer_id": None},
                },
                "rows of offers that were rejected: 3, of 2 products; for example product P, offer without an id: "
                "bad price: null",
            ),
            ({"oldest_sync_age": 181.0}, "some offers have not been synced for long"),
            ({"oldest_pending_age": 900.1}, "a product has been waiting long to be registered"),
            ({"syncs_failing": 7}, "products whose offers cannot be synced: 7"),
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
