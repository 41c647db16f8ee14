"""What there is to know of a product's price today, beside those it has had."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.errors import NotFound
from aggregator.models import Product
from aggregator.reading import read
from aggregator.services import price_series
from aggregator.services.price_reads import percent, priced, rounded
from aggregator.services.price_series import EPOCH, Change, Series, microsecond
from aggregator.sql import Select, id_parameter

BACK = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}


def insights(product_id: UUID, now: datetime) -> str:
    """The lowest and highest prices, how the present one has changed, and how it and our own compare.

    NotFound if there is no such product. Where all points of a moment's hour or day have been rolled up, its price is
    that at their beginning.
    """
    rows = read(_own_price, id=str(product_id))
    if not rows:
        raise NotFound("There is no such product.")
    own_price, series, until = rows[0].price, Series.of_product(product_id), microsecond(now) + 1
    price = price_series.price_at(series, until - 1)
    low = price_series.extreme(series, microsecond(EPOCH), until)
    high = price_series.extreme(series, microsecond(EPOCH), until, highest=True)
    document = {
        "price": price,
        "lowest_30_days": _told(_lowest(series, microsecond(now - BACK["30d"]), until)),
        "all_time_low": _told(low),
        "all_time_high": _told(high),
        "changes": {name: _change(series, price, now - back) for name, back in BACK.items()},
        "position": position(price, low and low[1], high and high[1]),
        "own_price": own_price,
        "own_against_market": against(own_price, price),
    }
    return json.dumps(document, separators=(",", ":"))


def position(price: int | None, low: int | None, high: int | None) -> float | None:
    """Where a price stands between the lowest (0) and the highest (100); None where there is nothing in between."""
    if price is None or low is None or high is None or low == high:
        return None
    return rounded(100 * (price - low), high - low)


def against(own: int | None, market: int | None) -> Mapping[str, Any] | None:
    """How much our own price is above the market's; None where there is no such price."""
    if own is None or market is None:
        return None
    return {"difference": own - market, "percent": percent(own - market, market)}


def _change(series: Series, price: int | None, since: datetime) -> Mapping[str, Any] | None:
    before = price_series.price_at(series, microsecond(since))
    if price is None or before is None:
        return None
    return {"change": price - before, "change_percent": percent(price - before, before)}


def _lowest(series: Series, since: int, until: int) -> Change | None:
    """The lowest price of a period, and when it was first asked in it."""
    opening = price_series.price_at(series, since)
    found = [price_series.extreme(series, since, until), None if opening is None else (since, opening)]
    return min((change for change in found if change), key=lambda change: (change[1], change[0]), default=None)


def _told(change: Change | None) -> Mapping[str, Any] | None:
    return None if change is None else priced(*change)


def _own_price() -> Select:
    return sa.select(Product.price).where(Product.id == id_parameter("id"), Product.deleted_at.is_(None))
