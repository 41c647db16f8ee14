"""What there is to know of a price today."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
import sqlalchemy as sa

from aggregator.database import db, transaction
from aggregator.errors import NotFound
from aggregator.models import ProductPricePoint
from aggregator.models.base import MAX_PRICE
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.services import retention
from aggregator.services.price_insights import against, insights, position
from aggregator.services.price_series import Series
from tests.builders import make_product
from tests.evidence_prices import roll_up

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def told(app, now):
    """What the insights say about a product that has had prices: how long ago, and how much."""

    def told(*walk: tuple[timedelta, int | None], raw_days: int | None = None, **fields) -> dict:
        product_id: UUID = make_product(app, **fields)
        rows = [
            {"product_id": product_id, "observed_at": now - ago, "lowest_price": price, "offer_count": 1}
            for ago, price in walk
        ]
        if rows:
            with transaction():
                db.session.execute(sa.insert(ProductPricePoint), rows)
        if raw_days is not None:
            roll_up(Series.of_product(product_id), retention.cuts(now, raw_days, 365))
        return json.loads(insights(product_id, now))

    return told


def test_of_a_product_without_prices_are_null(told):
    assert told() == {
        "price": None,
        "lowest_30_days": None,
        "all_time_low": None,
        "all_time_high": None,
        "changes": {"24h": None, "7d": None, "30d": None},
        "position": None,
        "own_price": None,
        "own_against_market": None,
    }


def test_of_no_product_there_are_none(now):
    with pytest.raises(NotFound):
        insights(UUID(int=0), now)


def test_tell_the_lowest_and_highest_prices_and_when_they_were_first_asked(told, now):
    found = told((90 * DAY, 500), (80 * DAY, 100), (70 * DAY, 900), (20 * DAY, 300), (19 * DAY, 400), (5 * DAY, 300))

    assert found["all_time_low"] == {"at": text(now - 80 * DAY), "price": 100}
    assert found["all_time_high"] == {"at": text(now - 70 * DAY), "price": 900}
    assert found["lowest_30_days"] == {"at": text(now - 20 * DAY), "price": 300}


def test_a_price_that_was_in_force_30_days_ago_is_one_of_the_last_30_days(told, now):
    assert told((70 * DAY, 100), (20 * DAY, 300))["lowest_30_days"] == {"at": text(now - 30 * DAY), "price": 100}
    assert told((70 * DAY, 100), (30 * DAY, 300))["lowest_30_days"] == {"at": text(now - 30 * DAY), "price": 300}
    assert told((70 * DAY, 100), (40 * DAY, None))["lowest_30_days"] is None


def test_changes_are_from_the_price_in_force_then(told):
    found = told((31 * DAY, 0), (8 * DAY, 400), (25 * HOUR, 250), (HOUR, 200))

    assert found["changes"] == {
        "24h": {"change": -50, "change_percent": -20.0},
        "7d": {"change": -200, "change_percent": -50.0},
        "30d": {"change": 200, "change_percent": None},
    }


def test_changes_are_null_where_there_was_no_price_or_is_none(told):
    assert told((6 * DAY, None), (2 * HOUR, 200))["changes"] == {"24h": None, "7d": None, "30d": None}
    assert told((60 * DAY, 100), (2 * HOUR, None))["changes"] == {"24h": None, "7d": None, "30d": None}


def test_of_a_product_that_is_sold_out_have_no_present_price(told):
    found = told((60 * DAY, 100), (50 * DAY, 300), (2 * HOUR, None), price=200)

    assert (found["price"], found["position"], found["own_price"], found["own_against_market"]) == (
        None,
        None,
        200,
        None,
    )
    assert (found["all_time_low"]["price"], found["all_time_high"]["price"]) == (100, 300)


def test_the_same_prices_are_told_after_a_roll_up(told, now):
    walk = [(90 * DAY, 500), (80 * DAY, 100), (70 * DAY, 900), (20 * DAY, 300), (10 * DAY, None), (5 * DAY, 700)]
    raw, rolled = told(*walk), told(*walk, raw_days=1)

    hour = now.replace(minute=0, second=0, microsecond=0)
    assert [rolled[name]["price"] for name in ("all_time_low", "all_time_high", "lowest_30_days")] == [100, 900, 300]
    assert [raw[name]["at"] for name in ("all_time_low", "all_time_high")] == [text(now - n * DAY) for n in (80, 70)]
    assert [rolled[name]["at"] for name in ("all_time_low", "all_time_high", "lowest_30_days")] == [
        text(hour - n * DAY) for n in (80, 70, 20)
    ]
    same = ("price", "changes", "position", "own_price")
    assert [rolled[name] for name in same] == [raw[name] for name in same]


def test_a_day_ago_is_the_beginning_of_its_hour_where_that_was_rolled_up(told, now):
    found = told((30 * HOUR, 100), (24 * HOUR + timedelta(minutes=5), 150), (HOUR, 300), raw_days=0)

    assert found["changes"]["24h"] == {"change": 200, "change_percent": 200.0}


@pytest.mark.parametrize(
    ("price", "low", "high", "expected"),
    [
        (100, 100, 300, 0.0),
        (300, 100, 300, 100.0),
        (150, 100, 250, 33.33),
        (200, 100, 250, 66.67),
        (1, 0, MAX_PRICE, 0.0),
        (200, 200, 200, None),
        (None, 100, 300, None),
        (None, None, None, None),
    ],
)
def test_position_is_where_a_price_stands_between_low_and_high(price, low, high, expected):
    assert position(price, low, high) == expected


@pytest.mark.parametrize(
    ("own", "market", "expected"),
    [
        (110, 100, {"difference": 10, "percent": 10.0}),
        (100, 110, {"difference": -10, "percent": -9.09}),
        (100, 0, {"difference": 100, "percent": None}),
        (0, 100, {"difference": -100, "percent": -100.0}),
        (None, 100, None),
        (100, None, None),
    ],
)
def test_our_own_price_is_held_against_the_markets(own, market, expected):
    assert against(own, market) == expected


def text(moment) -> str:
    return moment.strftime(TIMESTAMP_FORMAT)
