"""What is remembered of the last answers spares work, and never changes what is stored."""

import json
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.clients.offer_rows import OfferRows, parse_offers
from aggregator.flows.memory import MAX_ANSWER, OVERHEAD, LastAnswers
from aggregator.models import Registration
from aggregator.services.feeds import Claimed
from tests.builders import offer_id

A, B, C, D = (offer_id(number) for number in range(1, 5))
Offers = dict[str, tuple[int, int]]


def body(offers: Offers) -> bytes:
    rows = [{"id": id, "price": price, "items_in_stock": stock} for id, (price, stock) in offers.items()]
    return json.dumps(rows, separators=(",", ":")).encode()


def lowest(offers: Offers) -> int | None:
    return min((price for price, stock in offers.values() if stock), default=None)


def a_product(digest: int | None, offers: Offers) -> Claimed:
    product = (str(uuid4()), Registration.REGISTERED, "account", True, 0, 0, digest, None, None)
    return Claimed("claim", *product, lowest_price=lowest(offers), offer_count=len(offers), rejected_rows=0)


def remembered(offers: Offers, memory: LastAnswers | None = None) -> tuple[LastAnswers, Claimed]:
    memory = memory or LastAnswers()
    product = a_product(7, offers)
    memory.keep(product, 7, body(offers), parse_offers(body(offers)))
    return memory, product


class TestChanges:
    def test_are_the_rows_that_differ_as_they_are_and_as_they_were(self):
        memory, product = remembered({A: (100, 1), B: (200, 2), C: (300, 3)})

        changes = memory.changes(product, body({A: (100, 1), B: (200, 2), C: (250, 3)}))

        assert changes == OfferRows({C: (250, 3)}, before={C: (300, 3)})

    @pytest.mark.parametrize(
        "offers",
        [
            {A: (101, 1), B: (200, 2), C: (300, 3)},
            {A: (100, 0), B: (200, 2), C: (300, 3)},
        ],
        ids=["rises", "is sold out"],
    )
    def test_do_not_tell_enough_where_the_lowest_price(self, offers):
        memory, product = remembered({A: (100, 1), B: (200, 2), C: (300, 3)})

        assert memory.changes(product, body(offers)) is None

    @pytest.mark.parametrize(
        "offers",
        [
            {A: (100, 1), B: (200, 2)},
            {A: (100, 1), B: (200, 2), C: (300, 3), D: (400, 4)},
            {A: (100, 1), B: (200, 2), D: (300, 3)},
            {C: (300, 3), B: (200, 2), A: (100, 1)},
        ],
        ids=["one is gone", "one is new", "one takes another's place", "they are in another order"],
    )
    def test_do_not_tell_enough_where_other_offers_are_listed(self, offers):
        memory, product = remembered({A: (100, 1), B: (200, 2), C: (300, 3)})

        assert memory.changes(product, body(offers)) is None

    def test_are_not_known_where_something_else_has_been_stored_since(self):
        memory, product = remembered({A: (100, 1), B: (200, 2), C: (300, 3)})
        product.digest = 8

        assert memory.changes(product, body({A: (100, 1), B: (200, 2), C: (250, 3)})) is None

    def test_are_not_known_where_nothing_is_stored(self):
        memory, product = remembered({A: (100, 1), B: (200, 2), C: (300, 3)})
        product.digest = None

        assert memory.changes(product, body({A: (100, 1), B: (200, 2), C: (250, 3)})) is None

    def test_are_not_known_after_an_answer_with_bad_rows(self):
        bad = b'[{"id":"?","price":1,"items_in_stock":1},' + body({A: (100, 1), B: (200, 2)})[1:]
        memory, product = LastAnswers(), a_product(7, {A: (100, 1), B: (200, 2)})
        memory.keep(product, 7, bad, parse_offers(bad))

        assert memory.changes(product, bad.replace(b"200", b"150")) is None

    @given(
        before=st.dictionaries(st.sampled_from([A, B, C, D]), st.tuples(st.integers(0, 9), st.integers(0, 2))),
        after=st.dictionaries(st.sampled_from([A, B, C, D]), st.tuples(st.integers(0, 9), st.integers(0, 2))),
    )
    def test_come_to_what_the_whole_answer_comes_to(self, before, after):
        memory, product = remembered(before)

        changes = memory.changes(product, body(after))

        if changes is not None:
            prices = [price for price, stock in changes.rows.values() if stock]
            unchanged = [] if product.lowest_price is None else [product.lowest_price]
            assert before | changes.rows == after
            assert changes.before == {id: before[id] for id in changes.rows}
            assert min(prices + unchanged, default=None) == lowest(after)


class TestRoom:
    def test_is_never_exceeded_and_the_oldest_stay(self):
        offers = {A: (100, 1), B: (200, 2), C: (300, 3)}
        memory = LastAnswers(2 * (len(body(offers)) + OVERHEAD))
        products = [remembered(offers, memory)[1] for _ in range(4)]

        changed = body(offers | {C: (250, 3)})

        assert [memory.changes(product, changed) is not None for product in products] == [True, False, False, True]

    def test_is_given_back_when_an_answer_takes_the_place_of_another(self):
        offers = {A: (100, 1), B: (200, 2), C: (300, 3)}
        memory, product = remembered(offers, LastAnswers(len(body(offers)) + OVERHEAD))
        for digest in range(8, 20):
            memory.keep(product, digest, body(offers), parse_offers(body(offers)))
        product.digest = 19

        assert memory.changes(product, body(offers | {C: (250, 3)})) is not None

    def test_is_not_for_giants(self):
        offers = {offer_id(number): (100, 1) for number in range(MAX_ANSWER // 60)}
        memory, product = remembered(offers)

        assert memory.changes(product, body(offers | {offer_id(1): (90, 1)})) is None
