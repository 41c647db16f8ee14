"""The market: plausible, and the same for everybody who asks for the same moment."""

import subprocess
import sys
from itertools import pairwise
from uuid import UUID

import pytest

from aggregator.sandbox.market import CALM, LIVELY, offers_at, profile_of

PRODUCTS = [str(UUID(int=number)) for number in range(200)]
NOW = 28_000_000
LAMP = PRODUCTS[0]
FIRST_TWO = [
    {"id": "09f6d915-f650-69c1-b524-c23ae954409b", "price": 223202, "items_in_stock": 344},
    {"id": "abc36899-15f2-49e2-e1c3-1a954bbf9e21", "price": 222141, "items_in_stock": 617},
]


def test_the_same_seed_product_and_tick_give_the_same_offers_in_another_process():
    program = f"from aggregator.sandbox.market import offers_at; print(offers_at(7, {LAMP!r}, {NOW}))"

    output = subprocess.check_output([sys.executable, "-c", program], text=True)

    assert output.strip() == str(offers_at(7, LAMP, NOW))


def test_this_moment_has_exactly_these_offers():
    assert offers_at(0, LAMP, NOW)[:2] == FIRST_TWO


def test_another_seed_is_another_market():
    assert offers_at(0, LAMP, NOW) != offers_at(1, LAMP, NOW)


def test_a_product_has_4_to_12_offers_about_8_on_average():
    counts = [len(offers_at(0, product, NOW)) for product in PRODUCTS]

    assert (min(counts), max(counts)) == (4, 12)
    assert 7.5 < sum(counts) / len(counts) < 8.5


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_prices_stay_within_8_percent_of_the_base(generation):
    for product in PRODUCTS:
        base = profile_of(0, product).base
        prices = [row["price"] for tick in (1, NOW, NOW + 500) for row in offers_at(0, product, tick, generation)]
        assert all(abs(price / base - 1) < 0.08 for price in prices)


def test_base_prices_differ_between_products():
    bases = [profile_of(0, product).base for product in PRODUCTS]

    assert len(set(bases)) > 150
    assert min(bases) >= 2_000
    assert max(bases) <= 400_000


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_every_price_changes_with_every_tick_but_only_a_little(generation):
    for product in PRODUCTS:
        for before, after in pairwise(prices_by_id(product, tick, generation) for tick in range(NOW, NOW + 5)):
            steps = [after[offer] / before[offer] - 1 for offer in before.keys() & after.keys()]
            assert all(0 < abs(step) < 0.01 for step in steps)


def test_the_list_is_not_sorted():
    prices = [[row["price"] for row in offers_at(0, product, NOW)] for product in PRODUCTS]

    assert sum(listed != sorted(listed) for listed in prices) > 180


def test_most_stocks_lie_between_23_and_832():
    stocks = [row["items_in_stock"] for product in PRODUCTS for row in offers_at(0, product, NOW)]

    assert max(stocks) <= 832
    assert sum(stock >= 23 for stock in stocks) / len(stocks) > 0.8


def test_stock_only_runs_down_while_an_offer_lasts():
    for before, after in pairwise(stocks_by_id(LAMP, tick) for tick in range(NOW, NOW + 1000)):
        assert all(after[offer] <= before[offer] for offer in before.keys() & after.keys())


def test_a_sold_out_offer_gives_way_to_a_new_id_for_good():
    moments = [stocks_by_id(LAMP, tick) for tick in range(NOW, NOW + 1000)]
    last_seen = {offer: stocks[offer] for stocks in moments for offer in stocks}
    gone = last_seen.keys() - moments[-1].keys()

    assert len({len(stocks) for stocks in moments}) == 1
    assert len(gone) >= len(moments[0])
    # Some show a row with 0 once before they go, the others go with their last one.
    assert {last_seen[offer] for offer in gone} == {0, 1}
    for offer in gone:
        seen = [offer in stocks for stocks in moments]
        assert True not in seen[seen.index(True) :][sum(seen) :]


def test_a_row_with_nothing_in_stock_is_seen_at_most_once():
    moments = [stocks_by_id(LAMP, tick) for tick in range(NOW, NOW + 1000)]
    empty = [offer for stocks in moments for offer, stock in stocks.items() if stock == 0]

    assert empty
    assert len(empty) == len(set(empty))


def test_ids_are_128_random_bits_mostly_of_no_version():
    ids = [UUID(str(row["id"])) for product in PRODUCTS for row in offers_at(0, product, NOW)]

    assert len(set(ids)) == len(ids)
    assert sum(offer.version == 4 for offer in ids) < len(ids) / 10


def test_first_generation_offers_keep_their_ids_and_are_stocked_again():
    moments = [stocks_by_id(LAMP, tick, "v1") for tick in range(NOW, NOW + 1500)]

    assert len({tuple(stocks) for stocks in moments}) == 1
    for offer in moments[0]:
        stocks = [stocks[offer] for stocks in moments]
        assert any(before > 0 and after == 0 for before, after in pairwise(stocks))
        assert any(before == 0 and after > 0 for before, after in pairwise(stocks))


def prices_by_id(product: str, tick: int, generation: str) -> dict[object, int]:
    return {row["id"]: int(row["price"]) for row in offers_at(0, product, tick, generation)}


def stocks_by_id(product: str, tick: int, generation: str = "v2") -> dict[object, int]:
    return {row["id"]: int(row["items_in_stock"]) for row in offers_at(0, product, tick, generation)}


class TestALivelyMarket:
    def prices(self, product: str, ticks: range) -> list[int]:
        """The lowest price in stock at each tick."""
        listed = [offers_at(0, product, tick, base=20_000, habits=LIVELY) for tick in ticks]
        return [min(int(row["price"]) for row in rows if row["items_in_stock"]) for rows in listed]

    def test_has_moves_that_somebody_notices_within_minutes(self):
        for product in PRODUCTS[:20]:
            prices = self.prices(product, range(NOW, NOW + 40))  # ten minutes of the demo
            assert max(prices) / min(prices) > 1.05

    def test_stays_near_the_list_price(self):
        for product in PRODUCTS[:20]:
            prices = self.prices(product, range(NOW, NOW + 40))
            assert all(0.6 < price / 20_000 < 1.2 for price in prices)

    def test_sells_out_sooner(self):
        ids = [
            {row["id"] for tick in range(NOW, NOW + 60) for row in offers_at(0, PRODUCTS[0], tick, habits=habits)}
            for habits in (CALM, LIVELY)
        ]

        assert len(ids[1]) > 1.5 * len(ids[0])
