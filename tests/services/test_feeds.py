"""Claims: no product is worked on twice, and nobody writes to what is no longer theirs."""

from datetime import timedelta
from threading import Barrier, Thread
from uuid import UUID, uuid4

import pytest

from aggregator.clock import utcnow
from aggregator.database import transaction
from aggregator.models import Endpoint, Feed, Registration
from aggregator.services import feeds
from tests.builders import LONG_AGO, before, claim, edit, make_product, the_feed

pytestmark = pytest.mark.usefixtures("context")
REGISTER, OFFERS = Endpoint.REGISTER, Endpoint.OFFERS
BOTH = {REGISTER, OFFERS}
UNSETTLED = ["pending", "never registered", "another account's", "nobody's"]
UNSETTLED += ["refused", "refused to another account", "refused to nobody"]


class TestClaimDue:
    def test_two_claimers_never_get_the_same_product(self, app, claim_due):
        products = {str(make_product(app)) for _ in range(5)}

        first, second = claim_due("a", limit=3), claim_due("b", limit=3)

        assert (len(first), len(second)) == (3, 2)
        assert set(first) | set(second) == products

    def test_many_at_once_share_the_work(self, app, claim_due):
        products = {str(make_product(app)) for _ in range(60)}
        claimed: list[str] = []
        start = Barrier(4)

        def work(name: str) -> None:
            with app.app_context():
                start.wait()
                while batch := claim_due(name, limit=7):
                    claimed.extend(batch)

        threads = [Thread(target=work, args=(name,)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(claimed) == 60
        assert set(claimed) == products

    def test_the_longest_due_come_first(self, app, claim_due):
        products = [make_product(app, feed={"due_at": LONG_AGO + timedelta(hours=age)}) for age in (2, 0, 1)]

        assert claim_due("a", limit=1) + claim_due("a", limit=1) == [str(products[1]), str(products[2])]

    def test_what_is_not_due_yet_is_left_alone(self, app, claim_due):
        make_product(app, feed={"due_at": utcnow() + timedelta(minutes=1)})

        assert claim_due("a") == []

    def test_a_claim_that_has_run_out_is_anybodys(self, app, claim_due):
        product_id = str(make_product(app))

        assert claim_due("a") == [product_id]
        edit(app, Feed, claimed_until=utcnow() - timedelta(seconds=1))
        assert claim_due("b") == [product_id]
        assert claim_due("c") == []

    def test_a_claim_lasts_for_a_minute_and_a_half(self, app, claim_due):
        product_id = make_product(app)
        claim_due("a")

        feed = the_feed(app, product_id)
        assert feed.claimed_by == "a"
        assert timedelta(seconds=85) < feed.claimed_until - utcnow() <= timedelta(seconds=90)

    @pytest.mark.parametrize(
        ("endpoints", "wanted"),
        [
            ({REGISTER}, UNSETTLED),
            ({OFFERS}, ["ours"]),
            (BOTH, [*UNSETTLED, "ours"]),
            ([REGISTER, OFFERS], [*UNSETTLED, "ours"]),
        ],
    )
    def test_only_what_the_calls_are_due_for(self, app, us, claim_due, endpoints, wanted):
        states = {
            "pending": {"status": Registration.PENDING},
            "never registered": {"status": Registration.PENDING, "registered_with": None},
            "another account's": {"registered_with": "o" * 12},
            "nobody's": {"registered_with": None},
            "ours": {"registered_with": us},
            "refused": {"status": Registration.REFUSED},
            "refused to another account": {"status": Registration.REFUSED, "registered_with": "o" * 12},
            "refused to nobody": {"status": Registration.REFUSED, "registered_with": None},
        }
        names = {str(make_product(app, feed=state)): name for name, state in states.items()}

        assert sorted(names[product_id] for product_id in claim_due("a", endpoints=endpoints)) == sorted(wanted)

    def test_no_more_than_asked_for_of_a_large_catalogue(self, app, claim_due):
        for _ in range(40):
            make_product(app)

        assert [len(claim_due(name, limit=15)) for name in "abcd"] == [15, 15, 10, 0]

    def test_tells_all_that_a_sync_needs(self, app, us, now):
        state = {"attempts": 2, "failures": 3, "digest": -(2**63), "synced_at": now, "id_is_ours": False}
        state |= {"lowest_price": 5, "offer_count": 1, "points_until": before(now, hours=-1), "rejected_rows": 2}
        product_id = make_product(app, name="Lamp", description="Warm", feed=state)
        with transaction():
            (claimed,) = feeds.claim_due("a", 1, BOTH, us)
            feeds.describe([claimed])

        assert claimed == feeds.Claimed(
            product_id=str(product_id),
            claim="a",
            status=Registration.REGISTERED,
            registered_with=us,
            **state,
            name="Lamp",
            description="Warm",
        )


class TestClaimersSideBySide:
    @pytest.fixture
    def backend(self) -> str:
        return "postgresql"  # SQLite has one writer at a time

    def test_a_claimer_does_not_wait_for_another(self, app, claim_due):
        locked, free = make_product(app, feed={"due_at": LONG_AGO}), make_product(app)
        with app.app_context(), transaction():
            feeds.claim_product("a", locked)
            with app.app_context():
                assert claim_due("b") == [str(free)]


class TestClaimProduct:
    def test_one_may_be_claimed_before_it_is_due(self, app):
        product_id = make_product(app, feed={"due_at": utcnow() + timedelta(hours=1)})

        assert [product.product_id for product in claim(app, product_id)] == [str(product_id)]
        assert claim(app, product_id) == []

    def test_one_that_is_not_there_cannot(self, app):
        assert claim(app, uuid4()) == []


class TestDue:
    def test_what_can_be_claimed_is_counted(self, app, claim_due):
        for feed in ({}, {}, {"status": Registration.PENDING}, {"status": Registration.REFUSED}):
            make_product(app, feed=feed)
        make_product(app, feed={"due_at": utcnow() + timedelta(minutes=1)})

        assert (feeds.anything_due(), feeds.count_due()) == (True, 4)
        assert len(claim_due("a")) == 4
        assert (feeds.anything_due(), feeds.count_due()) == (False, 0)


class TestHurry:
    def test_what_failed_is_due_at_once_and_nothing_else(self, app, claim_due):
        later = utcnow() + timedelta(minutes=5)
        pending = make_product(app, feed={"status": Registration.PENDING, "due_at": later})
        failing = make_product(app, feed={"failures": 2, "due_at": later})
        well = make_product(app, feed={"due_at": later})
        refused = make_product(app, feed={"status": Registration.REFUSED, "due_at": later})
        with transaction():
            feeds.hurry()

        assert set(claim_due("a")) == {str(pending), str(failing), str(refused)}
        assert the_feed(app, well).due_at == later


@pytest.mark.parametrize(("attempts", "seconds"), [(1, 5), (2, 15), (3, 60), (4, 300), (5, 300), (1000, 300)])
def test_registration_is_tried_after_5_15_60_and_from_then_on_300_seconds(attempts, seconds):
    assert feeds.registration_pause(attempts) == seconds


@pytest.mark.parametrize(
    ("refusals", "seconds"), [(1, 300), (2, 600), (3, 1200), (9, 76_800), (10, 86_400), (5000, 86_400)]
)
def test_what_is_refused_is_tried_again_after_five_minutes_and_then_ever_less_often_but_once_a_day(refusals, seconds):
    assert feeds.refusal_pause(refusals) == seconds


@pytest.mark.parametrize(
    ("failures", "interval", "seconds"),
    [(1, 60, 60), (2, 60, 120), (4, 60, 480), (5, 60, 900), (5000, 60, 900), (1, 3600, 3600), (3, 3600, 3600)],
)
def test_a_failing_sync_is_tried_ever_less_often_but_at_least_every_15_minutes(failures, interval, seconds):
    assert feeds.sync_pause(failures, interval) == seconds


def test_a_products_id_is_passed_on_as_text(app):
    product_id = make_product(app)

    assert [UUID(product.product_id) for product in claim(app, product_id)] == [product_id]
