"""Numbers, ids, moments and flags of requests are read in one spelling."""

import pytest

from aggregator import literals
from tests.builders import make_product

NUMBERS = ["1_0", "１", "٣", " 1", "1 ", "+1", "1e0", "0x1", "1.0", "inf", "¹", "1\u200b"]  # noqa: RUF001
WHOLE = [
    *(("/api/v1/products", name) for name in ("page", "page_size", "min_price", "max_price", "min_stock")),
    *(("/api/v1/offers", name) for name in ("page", "min_price")),
    *(("/api/v1/changes", name) for name in ("cursor", "limit")),
]
ID = "e262b9d9-687b-44d1-9202-6b0e85f84b4e"
IDS = [
    f"{{{ID}}}",
    f"urn:uuid:{ID}",
    ID.replace("-", ""),
    f" {ID}",
    ID.replace("e", "ｅ"),  # noqa: RUF001
    "e262b9d9687b44d1-9202-6b0e85f84b4e",
]
MOMENTS = [
    "2026-W01",
    "2026-01-01",
    "20260101T000000Z",
    "2026-01-01 00:00:00Z",
    "٢٠٢٦-01-01T00:00:00Z",
    "2026-01-01T00Z",
]


@pytest.mark.parametrize(("path", "name"), WHOLE)
def test_a_whole_number_of_a_query_is_ascii_digits(visitor, path, name):
    found = {text: visitor.get(path, query_string={name: text}).status_code for text in NUMBERS}

    assert found == dict.fromkeys(NUMBERS, 422)


@pytest.mark.parametrize("text", ["4_0", "４.5", " 4", "+4", "4e0", "nan", "inf", ".5", "4."])  # noqa: RUF001
def test_a_number_of_a_query_is_ascii_digits_and_a_point(visitor, text):
    assert visitor.get("/api/v1/products", query_string={"min_rating": text}).status_code == 422


@pytest.mark.parametrize("text", IDS)
def test_an_id_is_written_as_the_api_writes_it(client, text):
    assert client.get("/api/v1/offers", query_string={"product_id": text}).status_code == 422
    assert client.get(f"/api/v1/products/{text}").status_code == 404
    new = {"name": "Lamp", "description": ""}
    assert client.post("/api/v1/products", json=new | {"id": text}).status_code == 422
    assert client.post("/api/v1/products", json=new | {"category_id": text}).status_code == 422
    assert client.post("/api/v1/cart/items", json={"product_id": text, "quantity": 1}).status_code == 422


@pytest.mark.parametrize("text", MOMENTS)
def test_a_moment_is_written_as_rfc_3339_writes_it(app, visitor, text):
    path = f"/api/v1/products/{make_product(app)}/price-trend"

    assert visitor.get(path, query_string={"since": text}).status_code == 422
    assert visitor.get("/api/v1/products", query_string={"created_after": text}).status_code == 422


@pytest.mark.parametrize("text", ["yes", "on", "t", "y", "ｔｒｕｅ", " true", "2", ""])  # noqa: RUF001
def test_a_flag_is_true_or_false(visitor, text):
    assert visitor.get("/api/v1/products", query_string={"in_stock": text}).status_code == 422
    assert visitor.get("/status", query_string={"strict": text}).status_code == 422


def test_what_is_documented_is_read():
    assert [literals.flag(text) for text in ("true", "True", "1", "false", "FALSE", "0")] == [True] * 3 + [False] * 3
    assert (literals.whole("-007"), literals.decimal("4.50")) == (-7, 4.5)
    assert str(literals.identifier(ID.upper())) == ID
