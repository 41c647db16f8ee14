"""The second generation of the service, to the letter of the contract."""

from uuid import uuid4

import pytest
import requests

MISSING = {"msg": "field required", "type": "value_error.missing"}


class TestRegister:
    def test_answers_201_with_the_id(self, client):
        product_id = str(uuid4())

        response = client.register(product_id)

        assert response.status_code == 201
        assert response.json() == {"id": product_id}

    def test_writes_the_id_in_small_letters(self, client):
        response = client.register("6F6E5A2C-9B1D-4F5E-8A64-9C1F5D3B2A10")

        assert response.json() == {"id": "6f6e5a2c-9b1d-4f5e-8a64-9c1f5d3b2a10"}

    def test_answers_409_to_an_id_it_knows(self, client, product_id):
        response = client.register(product_id)

        assert response.status_code == 409
        assert response.json() == {"detail": "Product ID already registered"}

    def test_answers_409_to_an_id_of_somebody_else(self, client):
        product_id = str(uuid4())
        client.sandbox.add_foreign_product(product_id)

        assert client.register(product_id).status_code == 409
        assert client.offers(product_id).status_code == 404

    @pytest.mark.parametrize("token", ["", "wrong"])
    def test_answers_401_without_a_good_token(self, client, token):
        client.token = token

        assert client.register().status_code == 401

    def test_answers_401_to_the_right_token_in_authorization(self, client, product_id):
        url = f"{client.sandbox.url}/api/v1/products/{product_id}/offers"

        response = requests.get(url, headers={"Authorization": f"Bearer {client.token}"}, timeout=5)

        assert response.status_code == 401

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"id": "left out"}, {"loc": ["body", "id"], **MISSING}),
            ({"name": "left out"}, {"loc": ["body", "name"], **MISSING}),
            ({"description": "left out"}, {"loc": ["body", "description"], **MISSING}),
            (
                {"id": "12"},
                {"loc": ["body", "id"], "msg": "value is not a valid uuid", "type": "type_error.uuid"},
            ),
            (
                {"id": 12},
                {"loc": ["body", "id"], "msg": "value is not a valid uuid", "type": "type_error.uuid"},
            ),
            ({"name": 12}, {"loc": ["body", "name"], "msg": "str type expected", "type": "type_error.str"}),
            (
                {"description": None},
                {
                    "loc": ["body", "description"],
                    "msg": "none is not an allowed value",
                    "type": "type_error.none.not_allowed",
                },
            ),
        ],
    )
    def test_names_the_field_that_is_wrong(self, client, changes, fault):
        response = client.register(**changes)

        assert response.status_code == 422
        assert response.json() == {"detail": [fault]}

    def test_names_all_wrong_fields_at_once(self, client):
        response = client.post({})

        assert [fault["loc"] for fault in response.json()["detail"]] == [
            ["body", "id"],
            ["body", "name"],
            ["body", "description"],
        ]

    def test_takes_json_only(self, client):
        form = {"id": str(uuid4()), "name": "Lamp", "description": "-"}
        url = f"{client.sandbox.url}/api/v1/products/register"

        response = requests.post(url, data=form, headers=client.headers, timeout=5)

        assert response.status_code == 422
        assert response.json()["detail"][0]["msg"] == "value is not a valid dict"

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
    def test_answers_422_to_a_body_that_is_no_object(self, client, body):
        url = f"{client.sandbox.url}/api/v1/products/register"
        headers = {**client.headers, "Content-Type": "application/json"}

        response = requests.post(url, data=body, headers=headers, timeout=5)

        assert response.status_code == 422
        assert set(response.json()["detail"][0]) == {"loc", "msg", "type"}


class TestOffers:
    def test_lists_what_the_market_has(self, client, product_id):
        response = client.offers(product_id)

        assert response.status_code == 200
        assert response.headers["Content-Type"] == "application/json"
        assert response.json() == client.sandbox.offers_of(product_id)
        assert list(response.json()[0]) == ["id", "price", "items_in_stock"]

    def test_knows_the_product_by_any_spelling_of_its_id(self, client, product_id):
        assert client.offers(product_id.upper()).json() == client.offers(product_id).json()

    def test_answers_404_to_an_unknown_product(self, client):
        response = client.offers(uuid4())

        assert response.status_code == 404
        assert response.json() == {"detail": "Product does not exist"}

    def test_answers_422_to_an_id_that_is_no_uuid(self, client):
        response = client.offers("12")

        assert response.status_code == 422
        assert response.json() == {
            "detail": [
                {
                    "loc": ["path", "product_id"],
                    "msg": "value is not a valid uuid",
                    "type": "type_error.uuid",
                }
            ]
        }

    def test_answers_401_without_a_token(self, client, product_id):
        client.token = ""

        response = client.offers(product_id)

        assert response.status_code == 401
        assert response.json() == {"detail": "Access token missing or invalid"}

    def test_answers_401_when_the_token_has_expired(self, client, product_id, clock):
        clock.now += 300

        assert client.offers(product_id).status_code == 401


class TestAnythingElse:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/v1/auth"),
            ("GET", "/api/v1/products/register"),
            ("POST", "/api/v1/products/x/offers"),
        ],
    )
    def test_answers_405_to_another_method(self, client, method, path):
        response = requests.request(method, client.sandbox.url + path, timeout=5)

        assert response.status_code == 405
        assert response.json() == {"detail": "Method Not Allowed"}
        assert response.headers["Allow"] == ("GET" if method == "POST" else "POST")

    @pytest.mark.parametrize(
        "path",
        [
            "/",
            "/auth",
            "/api/v1",
            "/api/v1/",
            "/api/v1/auth/",
            "/api/v1/products",
            "/api/v1/products//offers",
        ],
    )
    def test_answers_404_to_another_path(self, client, path):
        response = requests.get(client.sandbox.url + path, timeout=5)

        assert response.status_code == 404
        assert response.json() == {"detail": "Not Found"}
