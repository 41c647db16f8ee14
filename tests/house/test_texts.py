"""No text is compared or sorted in a way that depends on the database or its locale."""

import re

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from aggregator.services import (
    account_reads,
    alert_reads,
    catalog_list,
    category_reads,
    offer_reads,
    order_reads,
    webhook_reads,
)
from aggregator.services.list_queries import Listing
from tests.house.modules import MODULES, named

READS = (account_reads, alert_reads, catalog_list, category_reads, offer_reads, order_reads, webhook_reads)
LISTINGS = [value for module in READS for value in vars(module).values() if isinstance(value, Listing)]
# What SQLite does with ASCII only, and PostgreSQL as its locale says.
FOLDING_IN_SQL = re.compile(r"func\.(?:lower|upper|initcap)\b|\.i?like\(|autoescape")
# Both sides are folded by us before.
FOLDED_BEFORE = {"services/account_reads.py": 1}


def test_lists_are_sorted_by_texts_in_the_order_of_code_points():
    texts = {
        (listing.default_sort, name): column.type.dialect_impl(postgresql.dialect()).collation
        for listing in LISTINGS
        for name, column in listing.columns.items()
        if isinstance(column.type, sa.String)
    }

    assert len(LISTINGS) > 5
    assert len(texts) >= 4
    assert set(texts.values()) == {"C"}


def test_no_query_folds_case_by_itself():
    found = {named(module): len(FOLDING_IN_SQL.findall(module.read_text())) for module in MODULES}

    assert {name: count for name, count in found.items() if count} == FOLDED_BEFORE
