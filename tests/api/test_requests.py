"""The headers that all requests and answers have in common."""

from uuid import UUID

import pytest

from tests.builders import create, make_product

PATHS = [
    "/api/v1/products",
    "/api/v1/offers",
    "/api/v1/products/none",
    "/api/v1/products?page=0",
    "/healthz",
    "/readyz",
    "/status",
    "/openapi.json",
    "/docs",
    "/redoc",
    "/docs/assets/swagger-ui.css",
    "/",
    "/nowhere",
]


class TestRequestId:
    @pytest.mark.parametrize("given", ["mine", "A-1", "x" * 64, "0"])
    def test_a_good_one_is_kept(self, client, given):
        assert client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"] == given

    @pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a_b", "é", "a\tb", '{"a":1}', "a\x1b[31m"])
    def test_any_other_is_replaced(self, client, given):
        replaced = client.get("/healthz", headers={"X-Request-ID": given}).headers["X-Request-ID"]

        assert str(UUID(replaced)) == replaced

    def test_each_request_has_its_own(self, client):
        first, second = (client.get("/healthz").headers["X-Request-ID"] for _ in range(2))

        assert first != second

    @pytest.mark.parametrize("path", PATHS)
    def test_every_answer_has_one(self, client, path):
        assert client.get(path, headers={"X-Request-ID": "mine"}).headers["X-Request-ID"] == "mine"


class TestSecurityHeaders:
    @pytest.mark.parametrize("path", PATHS)
    def test_every_answer_forbids_what_it_does_not_need(self, client, path):
        headers = client.get(path).headers

        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]

    def test_so_do_answers_that_carry_nothing(self, app, client):
        url = f"/api/v1/products/{make_product(app)}"
        answers = [
            client.get(url, headers={"If-None-Match": "*"}),
            client.delete(url),
            client.options("/api/v1/products"),
            client.put("/api/v1/offers"),
            create(client),
        ]

        assert [answer.status_code for answer in answers] == [304, 204, 200, 405, 201]
        assert {answer.headers["X-Content-Type-Options"] for answer in answers} == {"nosniff"}

    def test_no_answer_names_what_it_runs_on_or_sets_a_cookie(self, client):
        for path in PATHS:
            headers = client.get(path).headers
            assert "Server" not in headers
            assert "Set-Cookie" not in headers
