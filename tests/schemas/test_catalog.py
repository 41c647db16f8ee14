"""The JSON of products: what is asked for, and what falls back to what."""

from uuid import UUID

import pytest
from marshmallow import ValidationError

from aggregator.models import MAX_PRICE, MAX_STOCK
from aggregator.schemas.catalog import ProductCreateSchema, ProductInputSchema, ProductPatchSchema, ProductQuerySchema

MINIMAL = {"name": "Lamp", "description": ""}
ID = "00000000-0000-0000-0000-00000000000a"


def test_what_is_left_out_of_a_new_product_has_a_default():
    assert ProductInputSchema().load(MINIMAL) == {
        **MINIMAL,
        "brand": None,
        "category_id": None,
        "price": None,
        "rating": None,
    }


def test_only_a_new_product_may_bring_an_id():
    assert ProductCreateSchema().load({**MINIMAL, "id": ID})["id"] == UUID(ID)
    with pytest.raises(ValidationError, match="Unknown field"):
        ProductInputSchema().load({**MINIMAL, "id": ID})


def test_what_is_left_out_of_a_change_stays_as_it_is():
    assert ProductPatchSchema().load({}) == {}
    assert ProductPatchSchema().load({"price": None, "stock": 5}) == {"price": None, "stock": 5}


def test_the_bounds_are_those_of_the_models():
    assert ProductPatchSchema().load({"price": MAX_PRICE, "stock": MAX_STOCK})
    assert set(ProductPatchSchema().validate({"price": MAX_PRICE + 1, "stock": MAX_STOCK + 1})) == {"price", "stock"}


def test_a_list_has_20_to_a_page_and_no_other_defaults():
    assert ProductQuerySchema().load({}) == {"page_size": 20}
