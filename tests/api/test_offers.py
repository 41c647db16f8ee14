"""The shops' offers, of one product and of all: to be read, and only to be read."""

from datetime import timedelta
from uuid import uuid4

import pytest

from aggregator.models import Feed
from tests.api.pages import links, pagination
from tests.builders import LONG_AGO, edit, make_offer, make_product, offer_id, sync

ALL = "/api/v1/offers"


@pytest.fixture
def product(app):
    return make_product(app)


@pytest.fixture
def url(product) -> str:
    return f"/api/v1/products/{product}/offers"


def ids(response) -> list[str]:
    assert response.status_code == 200, response.json
    return [offer["id"] for offer in response.json]


class TestOfAProduct:
    @pytest.fixture
    def offers(self, app, product) -> dict[str, str]:
        """One that is dear, one that is cheap, one sold out but listed, one that is listed no more."""
        return {
            "dear": make_offer(app, product, price=900, stock=1, first_seen_at=LONG_AGO + timedelta(1)),
            "cheap": make_offer(app, product, price=100, stock=9, first_seen_at=LONG_AGO + timedelta(2)),
            "sold out": make_offer(app, product, price=500, stock=0),
            "closed": make_offer(app, product, price=300, stock=0, last_seen_at=LONG_AGO),
        }

    def test_there_may_be_none(self, client, url):
        response = client.get(url)

        assert ids(response) == []
        assert pagination(response) == {"total": 0, "total_pages": 0}

    def test_the_open_ones_come_the_cheapest_first(self, client, url, offers):
        response = client.get(url)

        assert ids(response) == [offers["cheap"], offers["sold out"], offers["dear"]]
        assert pagination(response)["total"] == 3

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("in_stock=true", ["cheap", "dear"]),
            ("in_stock=false", ["sold out"]),
            ("include_closed=true", ["cheap", "closed", "sold out", "dear"]),
            ("include_closed=false", ["cheap", "sold out", "dear"]),
            ("include_closed=1&in_stock=0", ["closed", "sold out"]),
            ("include_closed=true&in_stock=true", ["cheap", "dear"]),
            ("sort=-price", ["dear", "sold out", "cheap"]),
            ("sort=items_in_stock", ["sold out", "dear", "cheap"]),
            ("sort=-first_seen_at", ["cheap", "dear", "sold out"]),
            ("sort=-price&page=2&page_size=2", ["cheap"]),
        ],
    )
    def test_can_be_chosen_and_sorted(self, client, url, offers, query, expected):
        assert ids(client.get(f"{url}?{query}")) == [offers[name] for name in expected]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("in_stock=perhaps", "in_stock"),
            ("include_closed=", "include_closed"),
            ("sort=shop", "sort"),
            ("sort=id", "sort"),
            ("page_size=101", "page_size"),
            ("page=0", "page"),
            ("cursor=x", "cursor"),
            ("min_price=1", "min_price"),
            ("q=x", "q"),
        ],
    )
    def test_a_query_that_makes_no_sense_is_refused(self, client, url, query, field):
        response = client.get(f"{url}?{query}")

        assert response.status_code == 422
        assert list(response.json["errors"]["query"]) == [field]

    def test_a_walk_by_cursor_sees_all_of_equal_price_once(self, app, client, product, url):
        made = {make_offer(app, product, price=number % 2) for number in range(9)}
        seen, address = [], f"{url}?sort=-price&page_size=2"

        while address:
            response = client.get(address)
            seen += response.json
            address = links(response).get("next")

        assert [offer["price"] for offer in seen] == [1] * 4 + [0] * 5
        assert {offer["id"] for offer in seen} == made
        assert len(seen) == 9

    def test_each_shows_all_there_is_to_an_offer(self, client, url, product, offers):
        closed = client.get(f"{url}?include_closed=true&sort=price").json[1]

        assert closed == {
            "id": offers["closed"],
            "product_id": str(product),
            "price": 300,
            "items_in_stock": 0,
            "first_seen_at": "2026-01-02T03:04:05.678901Z",
            "last_seen_at": "2026-01-02T03:04:05.678901Z",
            "sold_out_at": "2026-01-02T03:04:05.678901Z",
        }

    def test_an_open_one_was_seen_by_the_latest_sync(self, app, client, url, product, offers, now):
        edit(app, Feed, synced_at=now)

        assert {offer["last_seen_at"] for offer in client.get(url).json} == {"2026-05-04T12:30:15.250000Z"}

    def test_the_page_changes_its_etag_with_a_sync(self, app, client, url, product):
        tag = client.get(url).headers["ETag"]
        assert client.get(url, headers={"If-None-Match": tag}).status_code == 304

        sync(app, product, {offer_id(1): (500, 2)})

        assert client.get(url, headers={"If-None-Match": tag}).status_code == 200

    @pytest.mark.parametrize("path", ["00000000-0000-0000-0000-00000000000a", "none"])
    def test_a_product_that_is_not_there_is_a_404(self, client, path):
        assert client.get(f"/api/v1/products/{path}/offers").status_code == 404

    def test_a_deleted_product_has_none(self, client, product, url, offers):
        client.delete(f"/api/v1/products/{product}")

        assert client.get(url).status_code == 404
        assert client.get(f"{url}/{offers['cheap']}").status_code == 404


class TestOne:
    def test_is_found_by_the_services_id(self, app, client, product, url):
        offer = make_offer(app, product, price=700, stock=2)

        expected = {
            "id": offer,
            "product_id": str(product),
            "price": 700,
            "items_in_stock": 2,
            "first_seen_at": "2026-01-02T03:04:05.678901Z",
            "last_seen_at": "2026-01-02T03:04:05.678901Z",
            "sold_out_at": None,
        }
        assert client.get(f"{url}/{offer}").json == expected
        assert client.get(f"{ALL}/{offer}").json == expected

    def test_a_number_is_an_id_too(self, app, client, product, url):
        make_offer(app, product, id="4711")

        assert client.get(f"{url}/4711").json["id"] == "4711"
        assert client.get(f"{ALL}/4711").json["id"] == "4711"

    def test_a_closed_one_is_still_there(self, app, client, product, url):
        offer = make_offer(app, product, last_seen_at=LONG_AGO)

        assert client.get(f"{url}/{offer}").json["last_seen_at"] == "2026-01-02T03:04:05.678901Z"
        assert client.get(f"{ALL}/{offer}").status_code == 200

    def test_the_same_id_under_two_products_is_two_offers(self, app, client):
        first, second = make_product(app), make_product(app)
        make_offer(app, first, id=offer_id(1), price=100)
        make_offer(app, second, id=offer_id(1), price=200)

        shown = [client.get(f"/api/v1/products/{product}/offers/{offer_id(1)}").json for product in (first, second)]

        assert [(offer["product_id"], offer["price"]) for offer in shown] == [(str(first), 100), (str(second), 200)]
        assert client.get(f"{ALL}/{offer_id(1)}").json["price"] == 200

    def test_another_products_offer_is_a_404(self, app, client, url):
        elsewhere = make_offer(app, make_product(app))

        assert client.get(f"{url}/{elsewhere}").status_code == 404

    @pytest.mark.parametrize("path", ["none", "0", "a" * 300, "%20", "%27", "%00", "%ED%A0%80", "é"])
    def test_what_is_not_there_is_a_404(self, client, url, path):
        for address in (f"{url}/{path}", f"{ALL}/{path}"):
            response = client.get(address)
            assert response.status_code == 404, address
            assert response.content_type == "application/problem+json"

    def test_who_has_it_already_gets_a_304(self, app, client, product, url):
        offer = make_offer(app, product)
        tag = client.get(f"{url}/{offer}").headers["ETag"]

        assert client.get(f"{url}/{offer}", headers={"If-None-Match": tag}).status_code == 304
        sync(app, product, {offer: (1, 1)})
        assert client.get(f"{url}/{offer}", headers={"If-None-Match": tag}).status_code == 200


class TestOfAllProducts:
    @pytest.fixture
    def offers(self, app) -> list[str]:
        """Three of two products, of 100, 200 and 300; the last is sold out."""
        first, second = make_product(app), make_product(app)
        return [
            make_offer(app, first, price=100),
            make_offer(app, second, price=200, first_seen_at=LONG_AGO + timedelta(1)),
            make_offer(app, second, price=300, stock=0, first_seen_at=LONG_AGO + timedelta(2)),
        ]

    def test_the_newest_come_first(self, client, offers):
        assert ids(client.get(ALL)) == offers[::-1]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("min_price=200", [1, 2]),
            ("max_price=200", [0, 1]),
            ("min_price=200&max_price=200", [1]),
            ("min_price=201&max_price=200", []),
            ("in_stock=true", [0, 1]),
            ("in_stock=false", [2]),
            ("in_stock=true&min_price=150&page_size=1", [1]),
        ],
    )
    def test_can_be_chosen(self, client, offers, query, expected):
        assert ids(client.get(f"{ALL}?sort=price&{query}")) == [offers[number] for number in expected]

    def test_can_be_those_of_a_product(self, client, offers):
        product = client.get(f"{ALL}/{offers[0]}").json["product_id"]

        assert ids(client.get(ALL, query_string={"product_id": product})) == offers[:1]
        assert ids(client.get(ALL, query_string={"product_id": str(uuid4())})) == []

    def test_closed_ones_and_those_of_deleted_products_are_left_out(self, app, client, offers):
        make_offer(app, make_product(app), last_seen_at=LONG_AGO)
        gone = make_product(app)
        make_offer(app, gone)
        client.delete(f"/api/v1/products/{gone}")

        assert ids(client.get(ALL)) == offers[::-1]

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("product_id=none", "product_id"),
            ("min_price=x", "min_price"),
            ("min_price=-1", "min_price"),
            (f"max_price={10**12 + 1}", "max_price"),
            (f"max_price={'9' * 5000}", "max_price"),
            ("include_closed=true", "include_closed"),
            ("sort=product_id", "sort"),
        ],
    )
    def test_a_query_that_makes_no_sense_is_refused(self, client, query, field):
        response = client.get(f"{ALL}?{query}")

        assert response.status_code == 422
        assert list(response.json["errors"]["query"]) == [field]

    def test_a_walk_by_cursor_sees_everything_once(self, app, client):
        products = [make_product(app), make_product(app)]
        for number in range(11):
            make_offer(app, products[number % 2], price=number % 3, stock=number % 2)
        seen, address = [], f"{ALL}?sort=items_in_stock,-price&page_size=3"

        while address:
            response = client.get(address)
            seen += response.json
            address = links(response).get("next")

        assert [offer["id"] for offer in seen] == ids(client.get(f"{ALL}?sort=items_in_stock,-price&page_size=100"))
        assert len({offer["id"] for offer in seen}) == 11


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", ["/products/{product}/offers", "/products/{product}/offers/x", "/offers", "/offers/x"])
def test_offers_cannot_be_written(client, product, method, path):
    response = client.open(f"/api/v1{path.format(product=product)}", method=method, json={"price": 1})

    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert response.content_type == "application/problem+json"
