"""What must be true of the data whatever happens, as queries for what breaks it, to be asked of anybody's database.

They know nothing of the code that they judge: what an order may do stands here a second time, on purpose.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from aggregator.reading import read_at_length

SHOWN = 20  # of each rule


@dataclass(frozen=True)
class Rule:
    """Something that must be true, and the query that finds where it is not."""

    name: str
    words: str
    query: str


@dataclass(frozen=True)
class Violation:
    """Where a rule is broken: ids and figures, by their names."""

    rule: Rule
    found: Mapping[str, Any]

    def __str__(self) -> str:
        where = ", ".join(f"{name} {value}" for name, value in self.found.items())
        return f"{self.rule.name}: {where}. {self.rule.words}"


STOCK = (
    Rule("stock-not-negative", "No stock is negative.", "SELECT id AS product, stock FROM products WHERE stock < 0"),
    Rule(
        "stock-explained",
        "The stock of a product is the sum of its movements.",
        """
        SELECT products.id AS product, stock, coalesce(moved, 0) AS movements FROM products
        LEFT JOIN (SELECT product_id, sum(quantity) AS moved FROM stock_movements GROUP BY product_id) AS ledger
          ON ledger.product_id = products.id
        WHERE stock <> coalesce(moved, 0)
        """,
    ),
)
ORDERS = (
    Rule(
        "order-has-lines",
        "An order has lines.",
        """
        SELECT id AS "order" FROM orders
        WHERE NOT EXISTS (SELECT 1 FROM order_items WHERE order_items.order_id = orders.id)
        """,
    ),
    Rule(
        "order-total",
        "The total of an order is what its lines come to.",
        """
        SELECT orders.id AS "order", total, lines FROM orders
        JOIN (SELECT order_id, sum(quantity * unit_price) AS lines FROM order_items GROUP BY order_id) AS items
          ON items.order_id = orders.id
        WHERE total <> lines
        """,
    ),
    Rule(
        "order-took-its-stock",
        "What an order has taken from the stock is what is in it.",
        """
        SELECT orders.id AS "order", product_id AS product, sum(ordered) AS ordered, sum(taken) AS taken FROM (
          SELECT order_id, product_id, quantity AS ordered, 0 AS taken FROM order_items
          UNION ALL
          SELECT order_id, product_id, 0, -quantity FROM stock_movements WHERE order_id IS NOT NULL
        ) AS sides
        JOIN orders ON orders.id = sides.order_id AND orders.status <> 'cancelled'
        GROUP BY orders.id, product_id HAVING sum(ordered) <> sum(taken)
        """,
    ),
    Rule(
        "cancelled-gave-back",
        "A cancelled order has given back what it took, once.",
        """
        SELECT orders.id AS "order", product_id AS product, -sum(quantity) AS "not given back" FROM stock_movements
        JOIN orders ON orders.id = order_id AND orders.status = 'cancelled'
        GROUP BY orders.id, product_id HAVING sum(quantity) <> 0
        """,
    ),
    Rule(
        "order-status",
        "The status of an order is the last one of its history.",
        """
        SELECT orders.id AS "order", orders.status, last.status AS last FROM orders
        LEFT JOIN order_events AS last ON last.order_id = orders.id
          AND last.number = (SELECT max(number) FROM order_events WHERE order_id = orders.id)
        WHERE last.status IS NULL OR last.status <> orders.status
        """,
    ),
    Rule(
        "order-history",
        "An order goes from placed to paid, shipped and delivered, or is cancelled before it is shipped.",
        """
        SELECT order_id AS "order", number, before, status FROM (
          SELECT order_id, number, status,
            row_number() OVER (PARTITION BY order_id ORDER BY number) AS place,
            coalesce(lag(status) OVER (PARTITION BY order_id ORDER BY number), 'nothing') AS before
          FROM order_events
        ) AS history
        WHERE number <> place OR before || ' to ' || status NOT IN (
          'nothing to placed', 'placed to paid', 'paid to shipped', 'shipped to delivered',
          'placed to cancelled', 'paid to cancelled'
        )
        """,
    ),
    Rule(
        "order-key",
        "An Idempotency-Key leads to one order of whose key it is, and no other key leads there.",
        """
        SELECT orders.id AS "order", count(*) AS keys FROM orders JOIN idempotency_keys ON resource_id = orders.id
        GROUP BY orders.id, user_id HAVING count(*) > 1 OR min(owner) <> CAST(user_id AS text)
        """,
    ),
    Rule(
        "cart-lines",
        "A cart has a hundred lines at most.",
        'SELECT user_id AS "user", count(*) AS lines FROM cart_items GROUP BY user_id HAVING count(*) > 100',
    ),
)
PRICES = (
    Rule(
        "product-fed",
        "Living products have a feed, and deleted ones have none.",
        """
        SELECT id AS product FROM products LEFT JOIN feeds ON product_id = id
        WHERE (deleted_at IS NULL) <> (product_id IS NOT NULL)
        """,
    ),
    Rule(
        "price-points",
        "Each price point of an offer says another price than the one before.",
        """
        SELECT offer_id AS offer, observed_at AS at, price FROM (
          SELECT offer_id, observed_at, price, lag(offer_id) OVER offers_points AS follows,
            lag(price) OVER offers_points AS before
          FROM price_points WINDOW offers_points AS (PARTITION BY offer_id ORDER BY observed_at)
        ) AS history
        WHERE follows IS NOT NULL AND coalesce(price, -1) = coalesce(before, -1)
        """,
    ),
    Rule(
        "offer-price",
        "The last price point of an offer is its price, and null where it is not to be had.",
        """
        SELECT id AS offer, product_id AS product, asked, last FROM (
          SELECT id, product_id, CASE WHEN items_in_stock > 0 AND last_seen_at IS NULL THEN price END AS asked,
            (SELECT price FROM price_points WHERE offer_id = id ORDER BY observed_at DESC LIMIT 1) AS last
          FROM offers
        ) AS prices
        WHERE coalesce(asked, -1) <> coalesce(last, -1)
        """,
    ),
    Rule(
        "product-summary",
        "The lowest price and the number of offers of a product are those of its open offers.",
        """
        SELECT feeds.product_id AS product, lowest_price, lowest, offer_count, offers FROM feeds
        LEFT JOIN (
          SELECT product_id, count(*) AS offers, min(CASE WHEN items_in_stock > 0 THEN price END) AS lowest
          FROM offers WHERE last_seen_at IS NULL GROUP BY product_id
        ) AS its ON its.product_id = feeds.product_id
        WHERE offer_count <> coalesce(offers, 0) OR coalesce(lowest_price, -1) <> coalesce(lowest, -1)
        """,
    ),
    Rule(
        "product-points",
        "The last price point of a product is its summary.",
        """
        SELECT feeds.product_id AS product, feeds.lowest_price, last.lowest_price AS last FROM feeds
        JOIN product_price_points AS last ON last.product_id = feeds.product_id AND observed_at =
          (SELECT max(observed_at) FROM product_price_points WHERE product_id = feeds.product_id)
        WHERE coalesce(feeds.lowest_price, -1) <> coalesce(last.lowest_price, -1)
          OR feeds.offer_count <> last.offer_count
        """,
    ),
)
DELIVERIES = (
    Rule(
        "daily-mail",
        "There is one daily mail for a user and a day: its key, which is unique, says both.",
        r"""
        SELECT id AS delivery, user_id AS "user" FROM deliveries
        WHERE event = 'daily'
          AND (key IS NULL OR key NOT LIKE 'daily\:' || CAST(user_id AS text) || '\:____-__-__')
        """,
    ),
    Rule(
        "delivery-key",
        "What webhooks are told has a key for each of them.",
        r"""
        SELECT id AS delivery, webhook_id AS webhook FROM deliveries
        WHERE channel = 'webhook' AND event <> 'webhook.test'
          AND (key IS NULL OR key NOT LIKE '%\:' || CAST(webhook_id AS text))
        """,
    ),
)
RULES = (*STOCK, *ORDERS, *PRICES, *DELIVERIES)


def violations(rule: Rule) -> list[Violation]:
    """Where a rule is broken, some places of each; all at one moment."""
    rows = read_at_length(sa.text(f"{rule.query} LIMIT {SHOWN}"))
    return [Violation(rule, dict(row)) for row in rows]
