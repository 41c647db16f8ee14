"""The made-up catalogue."""

from uuid import uuid4

from aggregator.models.catalog import BRAND_LENGTH, NAME_LENGTH
from aggregator.services import samples
from aggregator.services.categories import slug_of


def test_the_same_seed_gives_the_same_products():
    assert list(samples.products(30, seed=7)) == list(samples.products(30, seed=7))


def test_another_seed_gives_others():
    first, second = list(samples.products(30, seed=1)), list(samples.products(30, seed=2))

    assert {product["id"] for product in first}.isdisjoint(product["id"] for product in second)


def test_more_products_begin_with_the_same_ones():
    assert list(samples.products(30))[:10] == list(samples.products(10))
    assert list(samples.products(10, start=20)) == list(samples.products(30))[20:]


def test_no_two_of_5000_share_an_id_or_a_name():
    products = list(samples.products(5_000))

    assert len({product["id"] for product in products}) == 5_000
    assert len({product["name"] for product in products}) == 5_000


def test_they_are_what_a_product_may_be():
    for product in samples.products(500):
        assert product.keys() == {"id", "name", "description", "brand", "rating", "price", "stock"}
        assert 1 <= len(product["name"]) <= NAME_LENGTH
        assert 1 <= len(product["brand"]) <= BRAND_LENGTH
        assert 0 <= product["rating"] <= 5
        assert "{" not in product["description"]
        assert product["price"] is None or 1_000 <= product["price"] <= 200_000
        assert 0 <= product["stock"] <= (40 if product["price"] else 0)


def test_they_are_in_the_categories_that_are_named():
    ids = {slug_of(name): uuid4() for name, _ in samples.CATEGORIES}

    used = {product["category_id"] for product in samples.products(12, categories=ids)}
    assert used == {ids[slug] for _, slug, *_ in samples.KINDS}
