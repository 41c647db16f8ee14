"""What an answer of the offers service makes of the offers, their history and the summaries."""

from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from aggregator.database import db, transaction
from aggregator.models import Feed, Offer, PricePoint, Product, ProductPricePoint
from aggregator.services.sync import apply
from tests.builders import answer, before, claim, edit, make_product, offer_id, rows, stored, the_feed

pytestmark = pytest.mark.usefixtures("context")
A, B, C, D = (offer_id(number) for number in range(1, 5))


class Market:
    """A product, and the answers that come in about it, a minute apart."""

    def __init__(self, app, now, product_id=None) -> None:
        self.app, self.now = app, now
        self.product_id: UUID = product_id or make_product(app)

    def answers(self, offers, at: float | None = None, **fields) -> dict[str, int]:
        """Apply an answer; returns what was counted. at is in minutes, the next one unless given."""
        self.now = self.now + timedelta(minutes=1) if at is None else self.now + timedelta(minutes=at)
        products = claim(self.app, self.product_id)
        with transaction():
            done = apply([answer(product, offers, **fields) for product in products], self.now)
        return {name: count for name, count in done.items() if count}

    def offers(self) -> dict[str, tuple]:
        """The offers by id: price, stock, when first seen, last seen and sold out."""
        found = stored(self.app, Offer, Offer.product_id == self.product_id)
        return {
            o.upstream_id: (o.price, o.items_in_stock, o.first_seen_at, o.last_seen_at, o.sold_out_at) for o in found
        }

    def open(self) -> dict[str, tuple[int, int]]:
        return {id: row[:2] for id, row in self.offers().items() if row[3] is None}

    def points(self, offer: str) -> list[tuple]:
        """The price points of an offer, in the order of time."""
        mine = (Offer.upstream_id == offer, Offer.product_id == self.product_id)
        (key,) = [row.id for row in stored(self.app, Offer, *mine)]
        return [(p.observed_at, p.price) for p in stored(self.app, PricePoint, PricePoint.offer_id == key)]

    def summaries(self) -> list[tuple]:
        found = stored(self.app, ProductPricePoint, ProductPricePoint.product_id == self.product_id)
        return [(p.observed_at, p.lowest_price, p.offer_count) for p in found]

    @property
    def feed(self) -> Feed:
        return the_feed(self.app, self.product_id)


@pytest.fixture
def market(app, context, now) -> Market:
    return Market(app, now)


class TestAddedOffers:
    def test_are_stored_as_they_are_said_to_be(self, market):
        done = market.answers({A: (500, 3), B: (400, 0)})

        at = market.now
        assert done == {"synced": 1, "offers_added": 2}
        assert market.offers() == {A: (500, 3, at, None, None), B: (400, 0, at, None, at)}

    def test_have_a_price_point_if_they_are_in_stock(self, market):
        market.answers({A: (500, 3), B: (400, 0)})

        assert market.points(A) == [(market.now, 500)]
        assert market.points(B) == []

    def test_may_be_at_the_limits(self, market):
        market.answers({A: (0, 1), B: (10**12, 10**9), "9223372036854775807": (1, 1)})

        assert market.open() == {A: (0, 1), B: (10**12, 10**9), "9223372036854775807": (1, 1)}
        assert market.feed.lowest_price == 0

    def test_may_be_thousands(self, market):
        many = {offer_id(number): (number, 1) for number in range(1, 25_001)}

        assert market.answers(many) == {"synced": 1, "offers_added": 25_000}
        assert (market.feed.offer_count, market.feed.lowest_price) == (25_000, 1)

    def test_the_same_id_under_two_products_is_two_offers(self, app, market, now):
        other = Market(app, now)
        market.answers({A: (100, 1)})
        other.answers({A: (200, 2)})
        market.answers({A: (150, 1)})

        assert (market.open(), other.open()) == ({A: (150, 1)}, {A: (200, 2)})
        assert [price for _, price in market.points(A)] == [100, 150]
        assert [price for _, price in other.points(A)] == [200]


class TestUpdatedOffers:
    @pytest.fixture(autouse=True)
    def first(self, market):
        market.answers({A: (500, 3), B: (600, 9)})
        self.first_seen = market.now

    def test_what_is_the_same_is_not_written(self, market):
        assert market.answers({A: (500, 3), B: (600, 9)}) == {"synced": 1}

        assert market.offers()[A] == (500, 3, self.first_seen, None, None)
        assert len(market.points(A)) == len(market.summaries()) == 1

    def test_a_new_price_is_a_new_point(self, market):
        assert market.answers({A: (450, 3), B: (600, 9)}) == {"synced": 1, "offers_updated": 1}

        assert market.points(A) == [(self.first_seen, 500), (market.now, 450)]
        assert market.points(B) == [(self.first_seen, 600)]

    def test_a_new_stock_is_no_new_point(self, market):
        assert market.answers({A: (500, 2), B: (600, 9)}) == {"synced": 1, "offers_updated": 1}

        assert market.open()[A] == (500, 2)
        assert len(market.points(A)) == 1

    def test_one_that_is_sold_out_but_listed_stays_open_and_has_a_gap(self, market):
        market.answers({A: (500, 0), B: (600, 9)})

        assert market.offers()[A] == (500, 0, self.first_seen, None, market.now)
        assert market.points(A) == [(self.first_seen, 500), (market.now, None)]

    def test_the_price_of_what_is_sold_out_is_no_point(self, market):
        market.answers({A: (500, 0), B: (600, 9)})
        sold_out = market.now
        market.answers({A: (300, 0), B: (600, 9)})

        assert market.offers()[A] == (300, 0, self.first_seen, None, sold_out)
        assert market.points(A) == [(self.first_seen, 500), (sold_out, None)]

    def test_one_that_is_stocked_again_has_a_price_again(self, market):
        market.answers({A: (500, 0), B: (600, 9)})
        gap = market.now
        market.answers({A: (500, 7), B: (600, 9)})

        assert market.offers()[A] == (500, 7, self.first_seen, None, None)
        assert market.points(A) == [(self.first_seen, 500), (gap, None), (market.now, 500)]


class TestClosedOffers:
    @pytest.fixture(autouse=True)
    def first(self, market):
        market.answers({A: (500, 3), B: (600, 9)})
        self.first_seen = market.now

    def test_what_is_listed_no_more_is_closed_and_was_last_seen_the_time_before(self, market):
        assert market.answers({B: (600, 9)}) == {"synced": 1, "offers_closed": 1}

        assert market.offers()[A] == (500, 0, self.first_seen, self.first_seen, market.now)
        assert market.points(A) == [(self.first_seen, 500), (market.now, None)]

    def test_what_was_sold_out_before_keeps_that_moment(self, market):
        market.answers({A: (500, 0), B: (600, 9)})
        sold_out = market.now
        market.answers({B: (600, 9)})

        assert market.offers()[A] == (500, 0, self.first_seen, sold_out, sold_out)
        assert market.points(A) == [(self.first_seen, 500), (sold_out, None)]

    def test_an_empty_list_closes_all(self, market):
        assert market.answers({}) == {"synced": 1, "offers_closed": 2}

        assert market.open() == {}
        assert (market.feed.offer_count, market.feed.lowest_price) == (0, None)

    def test_a_closed_one_that_comes_back_is_opened_again(self, market):
        market.answers({B: (600, 9)})
        closed = market.now
        assert market.answers({A: (450, 1), B: (600, 9)}) == {"synced": 1, "offers_added": 1}

        assert market.offers()[A] == (450, 1, self.first_seen, None, None)
        assert market.points(A) == [(self.first_seen, 500), (closed, None), (market.now, 450)]

    def test_nothing_is_ever_deleted(self, market):
        market.answers({})
        market.answers({C: (1, 1)})

        assert market.offers().keys() == {A, B, C}


class TestBadRows:
    @pytest.fixture(autouse=True)
    def first(self, market):
        market.answers({A: (500, 3), B: (600, 9)})

    def test_a_bad_row_neither_updates_nor_closes_its_offer(self, market):
        done = market.answers(rows({B: (650, 9)}, rejected=[A]))

        assert done == {"synced": 1, "offers_updated": 1}
        assert market.open() == {A: (500, 3), B: (650, 9)}
        assert (market.feed.offer_count, market.feed.lowest_price) == (2, 500)

    def test_a_bad_row_of_an_offer_that_is_not_there_is_nothing(self, market):
        market.answers(rows({A: (500, 3), B: (600, 9)}, rejected=[C]))

        assert market.offers().keys() == {A, B}

    def test_where_a_row_had_no_id_nothing_is_closed(self, market):
        assert market.answers(rows({C: (700, 1)}, complete=False)) == {"synced": 1, "offers_added": 1}

        assert market.open() == {A: (500, 3), B: (600, 9), C: (700, 1)}
        assert market.feed.offer_count == 3

    def test_the_next_whole_answer_closes_what_is_missing(self, market):
        market.answers(rows({}, complete=False))
        market.answers({A: (500, 3)})

        assert market.open() == {A: (500, 3)}


class TestSummaries:
    def test_tell_the_lowest_price_in_stock_and_the_number_of_open_offers(self, market):
        market.answers({A: (500, 3), B: (400, 0), C: (450, 1)})

        assert (market.feed.lowest_price, market.feed.offer_count) == (450, 3)
        assert market.summaries() == [(market.now, 450, 3)]

    def test_are_appended_when_either_changes_and_only_then(self, market):
        moments = []
        for offers in (
            {A: (500, 3)},
            {A: (500, 2)},  # stock: no change
            {A: (500, 2), B: (900, 1)},  # one more offer
            {A: (400, 2), B: (900, 1)},  # a lower price
            {A: (400, 2), B: (800, 1)},  # a price that is not the lowest: no change
            {A: (400, 0), B: (800, 1)},  # the cheapest is sold out
            {B: (800, 1)},  # and gone
            {},
        ):
            market.answers(offers)
            moments.append(market.now)

        assert market.summaries() == [
            (moments[0], 500, 1),
            (moments[2], 500, 2),
            (moments[3], 400, 2),
            (moments[5], 800, 2),
            (moments[6], 800, 1),
            (moments[7], None, 0),
        ]

    def test_of_a_product_without_offers_are_none(self, market):
        market.answers({})

        assert market.summaries() == []
        assert (market.feed.offer_count, market.feed.synced_at) == (0, market.now)


class TestUnchangedAnswers:
    def test_write_no_offers_and_keep_the_summary(self, app, market):
        market.answers({A: (500, 3)}, digest=7)
        edit(app, Offer, price=499)  # so that any write would show

        assert market.answers(None, digest=7) == {"synced": 1}
        assert market.open() == {A: (499, 3)}
        assert (market.feed.synced_at, market.feed.digest) == (market.now, 7)
        assert (market.feed.lowest_price, market.feed.offer_count) == (500, 1)
        assert len(market.summaries()) == 1

    def test_the_digest_is_remembered(self, market):
        market.answers({A: (500, 3)}, digest=-(2**63))
        assert market.feed.digest == -(2**63)

        market.answers({A: (501, 3)}, digest=2**63 - 1)
        assert market.feed.digest == 2**63 - 1


class TestLateAnswers:
    def test_one_whose_claim_is_lost_is_dropped(self, app, now, market):
        (late,) = claim(app, market.product_id, by="late", seconds=-1)
        market.answers({A: (500, 3)})
        with transaction():
            done = apply([answer(late, {A: (1, 1), B: (2, 2)})], now)

        assert (done["synced"], done["dropped"], done["offers_added"]) == (0, 1, 0)
        assert market.open() == {A: (500, 3)}
        assert len(market.points(A)) == len(market.summaries()) == 1

    def test_one_whose_product_is_deleted_is_dropped(self, app, client, now, market):
        (claimed,) = claim(app, market.product_id)
        client.delete(f"/api/v1/products/{market.product_id}")
        with transaction():
            done = apply([answer(claimed, {A: (500, 3)})], now)

        assert (done["synced"], done["dropped"]) == (0, 1)
        assert (stored(app, Offer), stored(app, PricePoint), stored(app, ProductPricePoint)) == ([], [], [])

    def test_the_others_of_its_batch_are_written(self, app, now, market):
        good, lost = market.product_id, make_product(app)
        products = claim(app, good, lost)
        edit(app, Feed, Feed.product_id == lost, claimed_by="another")
        with transaction():
            done = apply([answer(product, {A: (500, 3)}) for product in products], now)

        assert (done["synced"], done["dropped"], done["offers_added"]) == (1, 1, 1)
        assert [offer.product_id for offer in stored(app, Offer)] == [good]

    @pytest.mark.parametrize("order", [1, -1])
    def test_of_two_about_one_product_that_was_claimed_anew_the_one_whose_claim_holds_is_applied(
        self, app, now, market, order
    ):
        market.answers({A: (500, 3)})
        (lost,) = claim(app, market.product_id, by="first", seconds=-1)
        (holds,) = claim(app, market.product_id, by="second")
        answers = [answer(lost, {A: (400, 3)}), answer(holds, {A: (300, 3)})][::order]
        with transaction():
            done = apply(answers, market.now + timedelta(minutes=1))

        assert (done["synced"], done["dropped"], market.open()) == (1, 1, {A: (300, 3)})

    def test_one_answer_is_applied_once(self, app, now, market):
        (claimed,) = claim(app, market.product_id)
        with transaction():
            apply([answer(claimed, {A: (500, 3)})], now)
        with transaction():
            done = apply([answer(claimed, {A: (1, 1)})], now)

        assert done["dropped"] == 1
        assert market.open() == {A: (500, 3)}


class TestMoments:
    def test_a_clock_that_is_set_back_does_not_turn_history_around(self, market):
        market.answers({A: (500, 3)})
        first = market.now
        market.answers({A: (400, 3)}, at=-60)
        market.answers({A: (300, 3)}, at=-60)

        assert market.points(A) == [
            (first, 500),
            (first + timedelta(microseconds=1), 400),
            (first + timedelta(microseconds=2), 300),
        ]
        assert [moment for moment, _, _ in market.summaries()] == [moment for moment, _ in market.points(A)]

    def test_two_answers_at_the_same_moment_are_two_moments(self, market):
        market.answers({A: (500, 3)})
        market.answers({A: (400, 3)}, at=0)

        assert market.points(A) == [(market.now, 500), (market.now + timedelta(microseconds=1), 400)]

    def test_a_clock_that_is_set_back_says_when_the_last_sync_was_all_the_same(self, app, market):
        market.answers({A: (500, 3)})
        market.answers({A: (400, 3)}, at=-60)

        feed = the_feed(app, market.product_id)
        assert feed.synced_at == market.now
        assert feed.points_until == market.now + timedelta(minutes=60, microseconds=1)

        market.answers({A: (300, 3)}, at=61)
        feed = the_feed(app, market.product_id)
        assert (feed.synced_at, feed.points_until) == (market.now, None)
        assert market.points(A)[-1] == (market.now, 300)

    def test_a_product_whose_points_lie_ahead_does_not_take_others_along(self, app, now, market):
        other = Market(app, now + timedelta(hours=1))
        other.answers({A: (1, 1)})
        products = claim(app, market.product_id, other.product_id)
        with transaction():
            apply([answer(product, {A: (2, 2)}) for product in products], now)

        assert market.points(A) == [(now, 2)]
        assert other.points(A)[-1] == (other.now + timedelta(microseconds=1), 2)

    def test_each_product_is_due_again_when_it_was_said_to_be(self, app, now):
        soon, late = make_product(app), make_product(app)
        products = claim(app, soon, late)
        with transaction():
            apply([answer(products[0], {}, due_in=10.0), answer(products[1], {}, due_in=100.0)], now)

        assert timedelta(seconds=89) < the_feed(app, late).due_at - the_feed(app, soon).due_at < timedelta(seconds=91)


class TestBatches:
    def test_many_products_at_once_end_up_as_one_by_one(self, app, now):
        markets = [Market(app, now) for _ in range(7)]
        products = claim(app, *(market.product_id for market in markets))
        batch = [answer(product, {A: (100 + n, 1), offer_id(50 + n): (1, 0)}) for n, product in enumerate(products)]
        with transaction():
            done = apply(batch, now)

        assert (done["synced"], done["offers_added"]) == (7, 14)
        for n, market in enumerate(markets):
            assert market.open() == {A: (100 + n, 1), offer_id(50 + n): (1, 0)}
            assert market.points(A) == [(now, 100 + n)]
            assert market.summaries() == [(now, 100 + n, 2)]

    def test_other_products_are_not_touched(self, app, now, market):
        bystander = Market(app, before(now, days=1))
        bystander.answers({A: (1, 1), B: (2, 2)})
        untouched = bystander.offers()

        market.answers({A: (500, 3)})
        market.answers({})

        assert bystander.offers() == untouched

    def test_what_fails_leaves_nothing_behind(self, app, now, market):
        products = claim(app, market.product_id)
        with pytest.raises(sa.exc.IntegrityError), transaction():
            apply([answer(product, {A: (500, 3), B: (-1, 3)}) for product in products], now)

        assert (stored(app, Offer), stored(app, PricePoint)) == ([], [])
        assert market.feed.claimed_by == "tester"

    def test_products_keep_their_version(self, app, market):
        market.answers({A: (500, 3)})

        (product,) = stored(app, Product)
        assert (product.version, product.updated_at) == (1, product.created_at)

    def test_the_history_says_what_the_offers_say(self, app, market):
        """The last point of each offer is its price, and the last summary what the open offers come to."""
        for offers in ({A: (5, 1), B: (6, 1)}, {A: (4, 0), C: (9, 2)}, {B: (6, 3), C: (8, 2)}, {C: (8, 0), D: (3, 1)}):
            market.answers(offers)
            with transaction():
                open_offers = db.session.execute(
                    sa.select(Offer.id, Offer.price, Offer.items_in_stock).where(Offer.last_seen_at.is_(None))
                ).all()
                last = {
                    point.offer_id: point.price
                    for point in db.session.scalars(sa.select(PricePoint).order_by(PricePoint.observed_at))
                }
            assert [last.get(id) for id, _, _ in open_offers] == [p if stock else None for _, p, stock in open_offers]
            assert market.summaries()[-1][1:] == (
                min(price for _, price, stock in open_offers if stock),
                len(open_offers),
            )
