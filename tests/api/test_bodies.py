"""Bodies of requests: what they are called, how they come, and what they can be read as."""

import gzip
from uuid import uuid4

import pytest


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=iso-8859-1", "application/json; charset=klingon", "text/json", ""]
)
def test_json_is_utf_8_and_is_called_so(client, content_type):
    body = '{"name": "Café", "description": ""}'

    assert client.post("/api/v1/products", data=body.encode("latin1"), content_type=content_type).status_code == 415
    said = client.post("/api/v1/products", data=body.encode(), content_type='application/json; charset="UTF-8"')
    assert said.status_code == 201


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "br", "deflate", "nonsense"])
def test_a_body_that_is_compressed_is_a_415_that_says_how_it_may_come(client, coding):
    body = gzip.compress(b'{"name": "Lamp", "description": ""}')
    headers = {"Content-Encoding": coding}

    for path, kind in (
        ("products", "application/json"),
        (f"products/{uuid4()}/images", "multipart/form-data; boundary=x"),
    ):
        answer = client.post(f"/api/v1/{path}", data=body, content_type=kind, headers=headers)
        assert (answer.status_code, answer.headers["Accept-Encoding"]) == (415, "identity")


@pytest.mark.parametrize("body", ['{"name": "A", "description": "", "name": "B"}', '{"a": {"b": 1, "b": 2}}'])
def test_a_key_that_stands_twice_is_a_400(client, body):
    answer = client.post("/api/v1/products", data=body, content_type="application/json")

    assert (answer.status_code, answer.json["detail"]) == (400, "A key stands twice in one object.")


@pytest.mark.parametrize("number", ["NaN", "1e999", "-1e999", "Infinity", "9" * 5_000])
def test_a_number_beyond_all_bounds_is_a_400(client, number):
    body = f'{{"name": "A", "description": "", "price": {number}}}'

    assert client.post("/api/v1/products", data=body, content_type="application/json").status_code == 400


def test_a_form_without_a_boundary_is_a_415(client):
    path = f"/api/v1/products/{uuid4()}/images"

    assert client.post(path, data=b"--x--", content_type="multipart/form-data").status_code == 415
