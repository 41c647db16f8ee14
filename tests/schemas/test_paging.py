"""How to ask for a part of a list: what the document says of it is true."""

import re

import pytest

from aggregator.schemas.accounts import UsersQuerySchema
from aggregator.schemas.catalog import ProductQuerySchema
from aggregator.schemas.offers import OffersQuerySchema, ProductOffersQuerySchema
from aggregator.services.account_reads import USERS
from aggregator.services.catalog_list import PRODUCTS
from aggregator.services.offer_reads import OF_A_PRODUCT, OF_ALL_PRODUCTS

LISTS = [
    (ProductQuerySchema, PRODUCTS),
    (OffersQuerySchema, OF_ALL_PRODUCTS),
    (ProductOffersQuerySchema, OF_A_PRODUCT),
    (UsersQuerySchema, USERS),
]


@pytest.mark.parametrize(("schema", "listing"), LISTS)
class TestSortText:
    def test_describes_just_the_names_that_the_list_can_be_sorted_by(self, schema, listing):
        description = schema().fields["sort"].metadata["description"]

        assert re.findall("`(.+?)`", description) == list(listing.columns)

    def test_has_a_pattern_for_any_of_them_in_either_direction(self, schema, listing):
        matches = re.compile(schema().fields["sort"].metadata["pattern"]).search

        assert all(matches(name) and matches(f"-{name}") for name in listing.columns)
        assert matches(",-".join(listing.columns))
        assert not any(matches(text) for text in ("id", "name;", ",", "--" + next(iter(listing.columns))))
