"""A catalogue of any size in PostgreSQL, made by PostgreSQL itself: a million products in some minutes."""

import io
from datetime import datetime
from typing import Any

from aggregator.folding import sort_key
from aggregator.services import samples
from benchmarks.stub import product_ids

SEED = 1
# Each has a word of its own, and shares all others with many; the newest is the first.
PRODUCTS = """
INSERT INTO products (id, name, sort_key, description, brand, brand_key, category_id, price, stock, rating, version,
  created_at, updated_at)
SELECT ids.id, names.name, lower(replace(names.name, '-', '')) || chr(31) || names.name, description, brand,
  lower(brand), categories.id,
  CASE WHEN place % 3 > 0 THEN 1000 + place % 90000 END, CASE WHEN place % 3 > 0 THEN place % 40 ELSE 0 END,
  (place % 51) / 10.0, 1, %(now)s - number * interval '1 second', %(now)s - place % 10000000 * interval '1 second'
FROM ids, LATERAL (SELECT hashint8(number) & 2147483647 AS place) AS random,
  LATERAL (SELECT (%(brands)s::text[])[1 + place % %(brand_count)s] AS brand) AS brands,
  LATERAL (SELECT 1 + number % %(kind_count)s AS kind_number) AS numbered,
  LATERAL (SELECT (%(kinds)s::text[])[kind_number] AS kind, (%(descriptions)s::text[])[kind_number] AS description,
    (%(slugs)s::text[])[kind_number] AS slug) AS kinds
  JOIN categories USING (slug), LATERAL (SELECT brand || ' ' || kind || ' A' || number AS name) AS names
"""
FEEDS = """
INSERT INTO feeds (product_id, status, attempts, registered_at, registered_with, id_is_ours, due_at, synced_at,
  failures, lowest_price, offer_count)
SELECT id, 'registered', 1, %(now)s, %(fingerprint)s, true, %(now)s + interval '1 year', %(now)s, 0,
  CASE WHEN hashint8(number + 7) % 20 > 0 THEN 500 + (hashint8(number + 9) & 65535) END, 0 FROM ids
"""
WORDS = """
INSERT INTO search_words (product_id, word, place)
SELECT id, word, min(place) FROM (
  SELECT id, regexp_split_to_table(lower(name), '[^a-z0-9]+') AS word, 0 AS place FROM products
  UNION ALL SELECT id, lower(brand), 1 FROM products
  UNION ALL SELECT id, regexp_split_to_table(lower(description), '[^a-z0-9]+'), 2 FROM products
) AS words WHERE word <> '' GROUP BY id, word ORDER BY id, word
"""
WORD_INDEX = "ix_search_words_word_place"


def fill(products: int, fingerprint: str, cursor: Any, now: datetime) -> None:
    """So many products, registered with a credential of that fingerprint and not due for a sync; without offers."""
    cursor.execute("CREATE TEMPORARY TABLE ids (number bigint, id uuid)")
    lines = "".join(f"{number}\t{id_}\n" for number, id_ in enumerate(product_ids(products, SEED), start=1))
    cursor.copy_expert("COPY ids FROM STDIN", io.StringIO(lines))
    for name, parent in samples.CATEGORIES:
        cursor.execute(
            "INSERT INTO categories (id, name, sort_key, slug, parent_id, created_at, updated_at)"
            " SELECT gen_random_uuid(), %s, %s, %s, (SELECT id FROM categories WHERE slug = %s), %s, %s",
            (name, sort_key(name), name.lower(), parent, now, now),
        )
    kinds, slugs, _, descriptions, _ = zip(*samples.KINDS, strict=True)
    lists = {"kinds": list(kinds), "slugs": list(slugs), "brands": samples.BRANDS}
    sizes = {"kind_count": len(kinds), "brand_count": len(samples.BRANDS)}
    descriptions = [text.format(n=12) for text in descriptions]
    cursor.execute(PRODUCTS.replace("% ", "%% "), {**lists, **sizes, "descriptions": descriptions, "now": now})
    cursor.execute(FEEDS.replace("% ", "%% "), {"now": now, "fingerprint": fingerprint})
    # To sort an index once takes seconds; to keep it sorted, row by row, takes minutes.
    cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", (WORD_INDEX,))
    (definition,) = cursor.fetchone()
    cursor.execute(f"DROP INDEX {WORD_INDEX}")
    cursor.execute(WORDS)
    cursor.execute(definition)
