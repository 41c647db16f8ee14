"""What moves in the demo, in lines for the terminal: prices, sell-outs, and an alert that fires."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import requests

from aggregator.services.formats import money, percent

SHOWN = 3  # price changes of one look, the largest first
SMALLEST = 0.5  # percent


class Movements:
    """Looks at products again and again, and says what has moved since the last look."""

    def __init__(self, session: requests.Session, api: str, products: Sequence[dict[str, Any]], currency: str) -> None:
        self._session, self._api, self._currency = session, api, currency
        self._names = {product["id"]: product["name"] for product in products}
        self._prices = {product["id"]: product["lowest_price"] for product in products}
        self._alert: dict[str, Any] | None = None

    def watch_for(self, product_id: str) -> None:
        """Make an alert for each change of a product's price, in place of that of an earlier run."""
        for old in self._session.get(f"{self._api}/alerts", timeout=5).json():
            self._session.delete(f"{self._api}/alerts/{old['id']}", timeout=5)
        alert = {"product_id": product_id, "kind": "any_change", "cooldown_seconds": 300}
        answer = self._session.post(f"{self._api}/alerts", json=alert, timeout=5)
        self._alert = answer.json() if answer.ok else None

    def look(self, now: datetime) -> list[str]:
        """A line for each thing that has happened; none where the web does not answer."""
        try:
            answer = self._session.get(f"{self._api}/products?page_size=100", timeout=5)
            products = {product["id"]: product for product in answer.json()} if answer.ok else {}
            lines = [*self._changes(products), *self._alerts()]
        except requests.RequestException:
            return []
        return [f"  {now.astimezone():%H:%M:%S}  {line}" for line in lines]

    def _changes(self, products: dict[str, dict[str, Any]]) -> list[str]:
        moved: list[tuple[float, str]] = []
        for product_id in self._names.keys() & products.keys():
            before, after = self._prices[product_id], products[product_id]["lowest_price"]
            if before == after:
                continue
            size, words = self._in_words(before, after)
            if size >= SMALLEST:
                self._prices[product_id] = after
                moved.append((size, f"{self._names[product_id]}: {words}"))
        return [line for _, line in sorted(moved, reverse=True)[:SHOWN]]

    def _in_words(self, before: int | None, after: int | None) -> tuple[float, str]:
        """How large a change is, in percent, and what it is."""
        if after is None:
            return 100.0, "sold out"
        if not before:
            return 100.0, f"in stock again at {money(after, self._currency)}"
        change = 100 * (after - before) / before
        return abs(change), f"{money(before, self._currency)} -> {money(after, self._currency)} ({percent(change)})"

    def _alerts(self) -> Iterator[str]:
        if self._alert is None:
            return
        answer = self._session.get(f"{self._api}/alerts/{self._alert['id']}", timeout=5)
        if answer.ok and answer.json() != self._alert:
            self._alert = answer.json()
            yield f"Alert: the price of {self._names[self._alert['product_id']]} has changed; its mail is in worker.log"
