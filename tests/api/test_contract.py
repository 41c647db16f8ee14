"""The JSON that the database writes is, member by member, what the schemas make of the same rows."""

from datetime import UTC, datetime, timedelta

import pytest

from aggregator.models import Feed, Offer, Product, Registration
from aggregator.schemas.catalog import ProductSchema, ProductWithOffersSchema
from aggregator.schemas.offers import OfferSchema
from tests.builders import LONG_AGO, make_offer, make_product, stored

TEXT = "\" ' \\ / \b \f \n \r \t \x01 \x7f é ß 漢字 😀 \u2028 </script> {{}} %s %% :name ?"
EVEN = datetime(2026, 3, 29, 1, 0, 0, 0, UTC)  # no fraction of a second, in the hour that summer time skips


def offer_fields(offer: Offer, feed: Feed) -> dict:
    """An offer as its schema is to see it."""
    return {
        "id": offer.upstream_id,
        "product_id": offer.product_id,
        "price": offer.price,
        "items_in_stock": offer.items_in_stock,
        "first_seen_at": offer.first_seen_at,
        "last_seen_at": offer.last_seen_at or offer.confirmed_at or feed.synced_at,
        "sold_out_at": offer.sold_out_at,
    }


def problem_of(feed: Feed) -> str | None:
    if feed.status != Registration.REGISTERED:
        return feed.reason
    rejected = f"rows rejected: {feed.rejected_rows}, the first for a {feed.rejected_reason}"
    return feed.failure if feed.failures else rejected if feed.rejected_rows else None


def product_fields(product: Product, feed: Feed) -> dict:
    """A product as its schema is to see it."""
    own = ("id", "name", "description", "brand", "price", "stock", "rating", "created_at", "updated_at")
    return {
        **{name: getattr(product, name) for name in own},
        "category": None,  # tests/api/test_product_filters.py
        "registration": feed,
        "lowest_price": feed.lowest_price,
        "offer_count": feed.offer_count,
        "offers_synced_at": feed.synced_at,
        "offers_up_to_date": feed.status == Registration.REGISTERED and not feed.failures and feed.digest is not None,
        "offers_problem": problem_of(feed),
        "images": [],  # tests/api/test_images.py
    }


@pytest.fixture
def rows(app) -> list[tuple[Product, Feed, list[Offer]]]:
    """Products with everything and with nothing, and their offers."""
    full = make_product(
        app,
        name=TEXT,
        description=TEXT * 50,
        brand=TEXT[:100],
        price=10**12,
        stock=10**9,
        rating=3.3,
        created_at=EVEN,
        updated_at=LONG_AGO + timedelta(days=90),
        feed={"reason": TEXT, "registered_at": EVEN, "synced_at": EVEN, "digest": -7},
    )
    make_offer(app, full, price=0, stock=0, sold_out_at=EVEN)
    make_offer(app, full, price=10**12, stock=10**9, first_seen_at=EVEN)
    make_offer(app, full, id="4711", price=5, first_seen_at=LONG_AGO)
    make_offer(app, full, price=6, stock=0, last_seen_at=EVEN)
    make_product(app, name="x", feed={"status": Registration.PENDING, "registered_at": None, "registered_with": None})
    rejected = {"rejected_rows": 3, "rejected_reason": TEXT, "rejected_offer_id": "4712"}
    unread = make_product(app, name="z", feed={"synced_at": LONG_AGO, **rejected})
    make_offer(app, unread, id="4712", price=5, confirmed_at=EVEN)
    make_product(app, name="failing", feed={"digest": 7, "failures": 2, "failure": TEXT, **rejected})
    make_product(app, name="y", rating=0, price=0, feed={"status": Registration.REFUSED, "reason": "no"})
    feeds = {feed.product_id: feed for feed in stored(app, Feed)}
    return [
        (product, feeds[product.id], list(stored(app, Offer, Offer.product_id == product.id)))
        for product in stored(app, Product)
    ]


def test_a_page_of_products(client, rows):
    listed = {product["id"]: product for product in client.get("/api/v1/products").json}

    assert listed == {str(product.id): ProductSchema().dump(product_fields(product, feed)) for product, feed, _ in rows}


def test_a_product_with_its_offers(client, rows):
    for product, feed, offers in rows:
        open_ones = [offer for offer in offers if offer.last_seen_at is None]
        open_ones.sort(key=lambda offer: (offer.price, offer.id))
        fields = product_fields(product, feed) | {"offers": [offer_fields(offer, feed) for offer in open_ones]}

        assert client.get(f"/api/v1/products/{product.id}").json == ProductWithOffersSchema().dump(fields)


def test_offers_listed_and_alone(client, rows):
    across = {offer["id"]: offer for offer in client.get("/api/v1/offers").json}
    still_open = {}
    for product, feed, offers in rows:
        expected = {offer.upstream_id: OfferSchema().dump(offer_fields(offer, feed)) for offer in offers}
        still_open |= {offer.upstream_id: expected[offer.upstream_id] for offer in offers if not offer.last_seen_at}

        url = f"/api/v1/products/{product.id}/offers"
        listed = {offer["id"]: offer for offer in client.get(f"{url}?include_closed=true").json}
        alone = {offer_id: client.get(f"{url}/{offer_id}").json for offer_id in expected}

        assert listed == alone == expected
    assert across == still_open


def test_moments_have_six_digits_and_a_z(client, rows):
    product = next(p for p in client.get("/api/v1/products").json if p["name"] == TEXT)

    assert product["created_at"] == "2026-03-29T01:00:00.000000Z"
    assert product["updated_at"] == "2026-04-02T03:04:05.678901Z"
    assert product["registration"]["registered_at"] == "2026-03-29T01:00:00.000000Z"


def test_the_members_come_in_the_order_of_the_schema(client, rows):
    (product, *_) = client.get("/api/v1/products").json
    (offer, *_) = client.get("/api/v1/offers").json

    assert list(product) == list(ProductSchema().fields)
    assert list(offer) == list(OfferSchema().fields)
    assert list(client.get(f"/api/v1/products/{product['id']}").json) == list(ProductWithOffersSchema().fields)
