"""What a registration lets guess of a price."""

import pytest

from aggregator.sandbox.list_prices import list_price


@pytest.mark.parametrize(
    ("name", "description", "price"),
    [
        ("Lamp", "Brass. List price 389.00.", 38_900),
        ("Lamp", "LIST PRICE: 12.95", 1_295),
        ("Coffee machine", "", 38_900),
        ("Phone charger", "", 2_500),
        ("Brennholt Cordless drill Pro A10", "", 14_900),
        ("Thing", "Nothing is known of it", None),
        ("", "", None),
    ],
)
def test_a_price_follows_what_the_product_is(name, description, price):
    assert list_price(name, description) == price
