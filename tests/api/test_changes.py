"""GET /api/v1/changes: what has changed since."""

from uuid import uuid4

import pytest

from aggregator.database import transaction
from aggregator.models import ChangeKind
from aggregator.services import changes
from tests.builders import make_product, offer_id, sync

URL = "/api/v1/changes"
LAST = 2**63 - 1


@pytest.fixture
def products(app, now):
    """Products that have been changed one after the other."""
    products = [uuid4() for _ in range(3)]
    for product_id in products:
        with app.app_context(), transaction():
            changes.record(ChangeKind.UPDATED, [product_id], now)
    return [str(product_id) for product_id in products]


def following(response) -> str:
    url, rel = response.headers["Link"].split("; ")
    assert rel == 'rel="next"'
    return url.strip("<>")


class TestChanges:
    def test_says_what_has_happened_to_a_product(self, app, visitor, now):
        product_id = make_product(app)
        sync(app, product_id, {offer_id(1): (1999, 3)}, now)

        (change,) = visitor.get(URL).json

        assert change == {
            "cursor": change["cursor"],
            "type": "offers.changed",
            "at": "2026-05-04T12:30:15.250000Z",
            "product_id": str(product_id),
            "category_id": None,
            "price_before": None,
            "lowest_price": 1999,
            "offer_count": 1,
            "sold_out": False,
        }

    def test_leads_from_each_part_to_the_next_until_there_is_nothing_more(self, visitor, products):
        seen, url = [], f"{URL}?limit=2"
        while part := (response := visitor.get(url)).json:
            seen.append([change["product_id"] for change in part])
            url = following(response)

        assert seen == [products[:2], products[2:]]
        assert following(response) == url

    def test_goes_on_from_any_change(self, visitor, products):
        first, *_ = visitor.get(URL).json

        rest = visitor.get(URL, query_string={"cursor": first["cursor"]}).json

        assert [change["product_id"] for change in rest] == products[1:]

    def test_is_told_once_where_nothing_has_come(self, visitor, products):
        response = visitor.get(URL)

        again = visitor.get(URL, headers={"If-None-Match": response.headers["ETag"]})

        assert (again.status_code, again.text) == (304, "")
        assert again.headers["Link"] == response.headers["Link"]

    def test_a_cursor_of_another_database_is_a_410_that_says_what_to_do(self, visitor, products):
        response = visitor.get(f"{URL}?cursor=999999999")

        assert (response.status_code, response.json["code"]) == (410, "cursor_gone")
        assert response.json["detail"] == (
            "The cursor is of a change that this database does not have; start over without one."
        )

    @pytest.mark.parametrize(
        ("query", "errors"),
        [
            ({"cursor": "abc"}, {"cursor": ["Not a valid integer."]}),
            (
                {"cursor": -1},
                {"cursor": [f"Must be greater than or equal to 0 and less than or equal to {LAST}."]},
            ),
            ({"limit": 1001}, {"limit": ["Must be greater than or equal to 1 and less than or equal to 1000."]}),
            ({"page": 2}, {"page": ["Unknown field."]}),
        ],
    )
    def test_refuses_what_makes_no_sense(self, visitor, query, errors):
        response = visitor.get(URL, query_string=query)

        assert response.status_code == 422
        assert response.json["errors"] == {"query": errors}

    def test_creating_editing_and_deleting_are_there_in_order(self, client, visitor):
        product = client.post("/api/v1/products", json={"name": "Lamp", "description": ""}).json
        url = f"/api/v1/products/{product['id']}"
        client.patch(url, json={"name": "Lantern"})
        client.delete(url)

        told = visitor.get(URL).json
        assert [change["type"] for change in told] == ["product.created", "product.updated", "product.deleted"]
        assert {change["product_id"] for change in told} == {product["id"]}
