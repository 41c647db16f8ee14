"""Endings of claims: nobody writes to what is no longer theirs."""

from datetime import timedelta

import pytest

from aggregator.clock import utcnow
from aggregator.database import transaction
from aggregator.models import Endpoint, Feed, Registration
from aggregator.services import feed_endings, feeds
from tests.builders import LONG_AGO, claim, edit, make_product, the_feed

pytestmark = pytest.mark.usefixtures("context")


class TestEndings:
    """Each ending writes and gives the product back, but only while the claim holds."""

    MOMENT = LONG_AGO + timedelta(days=1)

    def end(self, how: str, product: feeds.Claimed) -> set[str]:
        with transaction():
            if how == "release":
                feed_endings.release([product])
                return set()
            return {
                "synced": lambda: feed_endings.synced([product], [7], [60.0], [500], [2], self.MOMENT, self.MOMENT),
                "failed": lambda: feed_endings.failed([product], ["it answered 500"], [120.0]),
                "registered": lambda: feed_endings.registered([product], "f" * 12, self.MOMENT),
                "not registered": lambda: feed_endings.not_registered([product], ["timed out"], [15.0]),
                "refused": lambda: feed_endings.refused([product], ['too "dull", {really}\\'], [300.0]),
            }[how]()

    ENDINGS = ("release", "synced", "failed", "registered", "not registered", "refused")

    @pytest.mark.parametrize("how", ENDINGS)
    def test_gives_the_product_back(self, app, how):
        product_id = make_product(app)
        self.end(how, *claim(app, product_id))

        feed = the_feed(app, product_id)
        assert (feed.claimed_by, feed.claimed_until) == (None, None)

    @pytest.mark.parametrize("how", ENDINGS)
    def test_writes_nothing_where_the_claim_is_lost(self, app, how):
        product_id = make_product(app)
        (late,) = claim(app, product_id, by="late", seconds=-1)
        claim(app, product_id, by="quick")
        before = vars(the_feed(app, product_id))

        assert self.end(how, late) == set()
        after = vars(the_feed(app, product_id))
        assert {k: v for k, v in after.items() if k[0] != "_"} == {k: v for k, v in before.items() if k[0] != "_"}

    @pytest.mark.parametrize("how", ENDINGS)
    def test_writes_nothing_where_the_product_is_gone(self, app, client, how):
        product_id = make_product(app)
        (claimed,) = claim(app, product_id)
        client.delete(f"/api/v1/products/{product_id}")

        assert self.end(how, claimed) == set()

    def test_released_is_untouched_and_still_due(self, app, claim_due):
        product_id = make_product(app)
        self.end("release", *claim(app, product_id))

        assert claim_due("b") == [str(product_id)]

    def test_synced_notes_the_answer_and_starts_anew(self, app):
        product_id = make_product(app, feed={"attempts": 4, "failures": 3, "failure": "it answered 500"})
        assert self.end("synced", *claim(app, product_id)) == {str(product_id)}

        feed = the_feed(app, product_id)
        assert (feed.digest, feed.lowest_price, feed.offer_count, feed.synced_at) == (7, 500, 2, self.MOMENT)
        assert (feed.attempts, feed.failures, feed.failure) == (0, 0, None)
        assert timedelta(seconds=55) < feed.due_at - utcnow() <= timedelta(seconds=60)

    def test_synced_without_news_leaves_the_summary(self, app):
        product_id = make_product(app, feed={"lowest_price": 300, "offer_count": 4})
        claimed = claim(app, product_id)
        with transaction():
            feed_endings.synced(claimed, [7], [60.0], [None], [None], self.MOMENT, self.MOMENT)

        feed = the_feed(app, product_id)
        assert (feed.lowest_price, feed.offer_count, feed.synced_at) == (300, 4, self.MOMENT)

    def test_synced_with_no_offers_left_has_no_price(self, app):
        product_id = make_product(app, feed={"lowest_price": 300, "offer_count": 4})
        claimed = claim(app, product_id)
        with transaction():
            feed_endings.synced(claimed, [7], [60.0], [None], [0], self.MOMENT, self.MOMENT)

        feed = the_feed(app, product_id)
        assert (feed.lowest_price, feed.offer_count) == (None, 0)

    def test_failed_counts_and_keeps_what_is_stored(self, app):
        product_id = make_product(app, feed={"failures": 1, "digest": 7, "lowest_price": 300, "offer_count": 4})
        self.end("failed", *claim(app, product_id))

        feed = the_feed(app, product_id)
        assert (feed.failures, feed.failure, feed.digest) == (2, "it answered 500", 7)
        assert (feed.lowest_price, feed.offer_count, feed.status) == (300, 4, Registration.REGISTERED)
        assert timedelta(seconds=115) < feed.due_at - utcnow() <= timedelta(seconds=120)

    def test_registered_is_due_for_its_first_sync_at_once(self, app, us, claim_due):
        product_id = make_product(app, feed={"status": Registration.PENDING, "reason": "timed out", "digest": 7})
        claimed = claim(app, product_id)
        with transaction():
            assert feed_endings.registered(claimed, us, self.MOMENT) == {str(product_id)}

        feed = the_feed(app, product_id)
        assert (feed.status, feed.reason, feed.digest) == (Registration.REGISTERED, None, None)
        assert (feed.registered_at, feed.registered_with, feed.attempts) == (self.MOMENT, us, 2)
        assert claim_due("b", endpoints={Endpoint.OFFERS}) == [str(product_id)]

    def test_not_registered_is_tried_again_later(self, app):
        product_id = make_product(app, feed={"status": Registration.PENDING})
        self.end("not registered", *claim(app, product_id))

        feed = the_feed(app, product_id)
        assert (feed.status, feed.reason, feed.attempts) == (Registration.PENDING, "timed out", 2)
        assert timedelta(seconds=10) < feed.due_at - utcnow() <= timedelta(seconds=15)

    def test_refused_is_tried_again_much_later(self, app, claim_due):
        product_id = make_product(app, feed={"status": Registration.PENDING, "failures": 1})
        self.end("refused", *claim(app, product_id))

        feed = the_feed(app, product_id)
        assert (feed.status, feed.reason) == (Registration.REFUSED, 'too "dull", {really}\\')
        assert (feed.attempts, feed.failures) == (2, 2)
        assert timedelta(seconds=295) < feed.due_at - utcnow() <= timedelta(seconds=300)
        assert claim_due("b") == []
        with transaction():
            feeds.register_again([product_id])
        assert claim_due("b") == [str(product_id)]

    def test_some_of_a_batch_may_be_lost(self, app):
        kept, lost = make_product(app), make_product(app)
        products = claim(app, kept, lost)
        edit(app, Feed, Feed.product_id == lost, claimed_by="another")
        with transaction():
            done = feed_endings.failed(products, ["a", "b"], [1.0, 1.0])

        assert done == {str(kept)}
        assert the_feed(app, lost).failure is None

    def test_nothing_is_nothing(self):
        with transaction():
            assert feed_endings.failed([], [], []) == set()
