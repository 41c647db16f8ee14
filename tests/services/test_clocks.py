"""Moments that lie further ahead than anybody can have set them: the database's clock has gone back since.

They are over, and nobody waits until the clock has caught up.
"""

from datetime import timedelta

import pytest

from aggregator.clients.offers import AccessToken
from aggregator.clock import utcnow
from aggregator.database import in_transaction, transaction
from aggregator.extensions import offers_box
from aggregator.models import (
    Access,
    Channel,
    Circuit,
    Delivery,
    Endpoint,
    Feed,
    IdempotencyKey,
    Image,
    ImageStatus,
    RateLimit,
    Registration,
    SignIn,
)
from aggregator.services import access, feeds, idempotency, images, limits, outbox, sign_ins
from aggregator.services.idempotency import RequestKey
from tests.builders import edit, make_delivery, make_image, make_product, make_user, make_webhook, stored, the_feed
from tests.builders import sign_in as signed_in

pytestmark = pytest.mark.usefixtures("context")

INTERVAL = 60.0
BOTH = {Endpoint.REGISTER, Endpoint.OFFERS}


def ahead(**durations: float):
    return utcnow() + timedelta(**durations)


class TestFeeds:
    def forward(self) -> int:
        found = feeds.anything_misdated(INTERVAL)
        count = in_transaction(lambda: feeds.bring_forward(INTERVAL))
        assert found == bool(count)
        return count

    @pytest.mark.parametrize(
        ("state", "seconds"),
        [
            ({}, INTERVAL),
            ({"status": Registration.PENDING, "attempts": 0}, INTERVAL),
            ({"failures": 1}, 1.2 * 900),
            ({"status": Registration.PENDING, "attempts": 3}, 1.2 * 900),
        ],
        ids=["well", "new", "failing", "tried to be registered"],
    )
    def test_a_product_is_due_when_it_would_have_to_wait_for_longer_than_it_ever_has_to(self, app, state, seconds):
        product_id = make_product(app, feed=state | {"due_at": ahead(seconds=seconds - 5)})
        as_usual = self.forward()
        edit(app, Feed, due_at=ahead(seconds=seconds + 5))

        assert (as_usual, self.forward()) == (0, 1)
        assert abs(the_feed(app, product_id).due_at - utcnow()) < timedelta(seconds=5)
        assert not feeds.anything_misdated(INTERVAL)

    def test_a_claim_that_ends_later_than_a_new_one_would_is_over(self, app):
        make_product(app, feed={"claimed_by": "x", "claimed_until": ahead(seconds=feeds.CLAIM_SECONDS - 5)})
        make_product(app, feed={"claimed_by": "x", "claimed_until": ahead(hours=2)})

        with transaction():
            assert len(feeds.claim_due("a", 10, BOTH, app.extensions["settings"].offers.fingerprint)) == 1


class TestDeliveries:
    @pytest.fixture
    def webhook_id(self, app):
        return make_webhook(app, make_user(app))

    def is_due(self) -> bool:
        due = outbox.anything_due(Channel.WEBHOOK)
        claimed = in_transaction(lambda: outbox.claim_due("a", Channel.WEBHOOK, 10))
        in_transaction(lambda: outbox.release(claimed))
        assert due == bool(claimed)
        return due

    @pytest.mark.parametrize(("attempts", "pause"), [(0, 60), (1, 5), (2, 300), (3, 1_800)])
    def test_one_that_was_made_before_the_clock_went_back_waits_no_longer_than_its_pause(
        self, app, webhook_id, attempts, pause
    ):
        make_delivery(app, webhook_id, attempts=attempts, created_at=ahead(hours=2), due_at=ahead(seconds=pause + 5))
        late = self.is_due()
        edit(app, Delivery, due_at=ahead(seconds=pause - 2))

        assert (late, self.is_due()) == (True, False)

    def test_nothing_waits_for_longer_than_the_longest_pause(self, app, webhook_id):
        make_delivery(app, webhook_id, attempts=6, due_at=ahead(hours=25))

        assert self.is_due()

    def test_a_claim_that_ends_later_than_a_new_one_would_is_over(self, app, webhook_id):
        make_delivery(app, webhook_id, claimed_by="x", claimed_until=ahead(hours=2))

        assert self.is_due()


def test_an_image_whose_claim_ends_later_than_a_new_one_would_is_free(app):
    product_id = make_product(app)
    make_image(app, product_id, {}, status=ImageStatus.PENDING, claimed_by="x", claimed_until=ahead(seconds=100))
    as_usual = images.anything_due()
    edit(app, Image, claimed_until=ahead(hours=2))

    assert (as_usual, images.anything_due()) == (False, True)


class TestAccess:
    TOKEN = AccessToken("t", None)

    @pytest.fixture
    def token(self) -> AccessToken:
        token = AccessToken("secret", ahead(minutes=5))
        with transaction():
            access.store_token("us", token, offers_box())
        return token

    def test_a_lease_that_ends_later_than_a_new_one_would_is_over(self, app):
        edit(app, Access, leased_by="x", leased_until=ahead(seconds=10))
        with transaction():
            as_usual = access.take_lease("a")
        edit(app, Access, leased_until=ahead(hours=2))
        with transaction():
            assert (as_usual, access.take_lease("a")) == (False, True)

    def test_a_pause_longer_than_any_is_none(self, app):
        edit(app, Circuit, Circuit.endpoint == Endpoint.OFFERS, failures=3, retry_at=ahead(seconds=350))
        edit(app, Circuit, Circuit.endpoint == Endpoint.AUTH, failures=3, retry_at=ahead(hours=2))
        with transaction():
            assert set(access.pauses()) == {Endpoint.OFFERS}

    def test_a_token_that_was_got_later_than_now_may_have_expired(self, app, token):
        with transaction():
            as_usual = access.stored_token("us", offers_box())
        edit(app, Access, obtained_at=ahead(hours=2), expires_at=ahead(hours=2, minutes=5))
        with transaction():
            assert (as_usual, access.stored_token("us", offers_box())) == (token, None)

    def test_such_a_token_is_good_for_as_long_as_the_service_says_so_and_no_longer(self, app, token):
        edit(app, Access, obtained_at=ahead(hours=2), expires_at=ahead(hours=2, minutes=5))
        with transaction():
            prolonged = access.prolong_token("us", 15, offers_box())

        with transaction():
            assert access.stored_token("us", offers_box()) == prolonged
        assert abs(prolonged.expires_at - ahead(seconds=15)) < timedelta(seconds=5)


def test_a_window_of_tries_that_ends_later_than_a_new_one_would_is_over(app):
    for _ in range(3):
        tries, _ = in_transaction(lambda: limits.hit("a", 60))
    edit(app, RateLimit, expires_at=ahead(hours=2))

    again, left = in_transaction(lambda: limits.hit("a", 60))
    assert (tries, again) == (3, 1)
    assert 50 < left <= 60


def test_a_request_that_was_begun_later_than_now_is_not_waited_for(app):
    request, product_id = RequestKey("me", "key", "digest"), make_product(app)
    in_transaction(lambda: idempotency.begin(request, product_id, utcnow()))
    edit(app, IdempotencyKey, created_at=ahead(hours=2))

    earlier = in_transaction(lambda: idempotency.begin(request, product_id, utcnow()))
    assert (earlier.resource_id, earlier.answer) == (product_id, None)


def test_an_earlier_refresh_token_is_no_more_good_for_longer_because_the_clock_went_back(app):
    user_id = make_user(app)
    signed_in(app, user_id)
    edit(app, SignIn, generation=2, refreshed_at=ahead(hours=2))
    (row,) = stored(app, SignIn)

    life = timedelta(days=1)
    assert in_transaction(lambda: sign_ins.refresh(row.id, user_id, 1, utcnow(), life)) is None
    assert stored(app, SignIn)[0].ended_at is not None
