"""The same text in two forms of Unicode is one text: what is composed on one system is in pieces on another."""

import pytest

from aggregator.models import Product
from tests.builders import create, make_category, stored

COMPOSED, IN_PIECES = "Caf\u00e9 Z\u00fcrich", "Cafe\u0301 Zu\u0308rich"
BOTH_WAYS = pytest.mark.parametrize(("first", "second"), [(COMPOSED, IN_PIECES), (IN_PIECES, COMPOSED)])


@BOTH_WAYS
def test_a_name_of_a_product_is_taken_in_both(app, client, first, second):
    assert create(client, first).json["name"] == COMPOSED
    assert (create(client, second).status_code, create(client, second).json["code"]) == (409, "name_taken")

    other = create(client).json["id"]
    assert client.patch(f"/api/v1/products/{other}", json={"name": second}).status_code == 409


@BOTH_WAYS
@pytest.mark.parametrize("kind", ["text/csv", "application/x-ndjson"])
def test_an_import_finds_a_product_by_its_name_in_both(app, client, first, second, kind):
    create(client, first, brand=first)
    file = f"name,brand,stock\n{second},{second},7\n" if kind == "text/csv" else f'{{"name": "{second}", "stock": 7}}\n'

    report = client.post("/api/v1/products/import", data=file.encode(), content_type=kind).json

    assert (report["updated"], report["added"], report["rejected"]) == (1, 0, 0)
    assert [(product.name, product.brand, product.stock) for product in stored(app, Product)] == [
        (COMPOSED, COMPOSED, 7)
    ]


@BOTH_WAYS
def test_products_are_found_by_words_and_brands_in_both(app, client, first, second):
    product = create(client, "Lamp", brand=first, description=first).json["id"]

    for query in ({"q": second}, {"brand": second}):
        found = client.get("/api/v1/products", query_string=query).json
        assert [each["id"] for each in found] == [product]


@BOTH_WAYS
def test_a_request_is_the_same_request_in_both(app, client, first, second):
    key = {"Idempotency-Key": "k"}

    one, two = create(client, first, headers=key), create(client, second, headers=key)

    assert (one.status_code, two.status_code, two.json["id"]) == (201, 201, one.json["id"])


@BOTH_WAYS
def test_a_category_has_one_slug(app, client, first, second):
    make_category(app, first)

    answer = client.post("/api/v1/categories", json={"name": second})

    assert (answer.status_code, answer.json["code"]) == (409, "slug_taken")


@BOTH_WAYS
def test_a_user_is_one_by_name_and_by_password(app, visitor, first, second):
    name, other = first.replace(" ", "."), second.replace(" ", ".")
    account = {"username": name, "email": "cafe@example.com", "password": first}
    account |= {"password": f"{first} 77 quay"}
    assert visitor.post("/api/v1/auth/register", json=account).status_code == 201
    taken = account | {"username": other, "email": "other@example.com"}
    assert visitor.post("/api/v1/auth/register", json=taken).status_code == 409
    login = {"username": other, "password": f"{second} 77 quay"}
    assert visitor.post("/api/v1/auth/login", json=login).status_code == 200


@pytest.mark.parametrize("length", [128, 129])
def test_a_password_is_measured_as_it_is_read(visitor, length):
    password = ("a\u0301bcdefg " * 20)[: length + (length + 7) // 8]
    account = {"username": "ada", "email": "ada@example.com", "password": password}

    answer = visitor.post("/api/v1/auth/register", json=account)

    assert answer.status_code == (201 if length == 128 else 422)
