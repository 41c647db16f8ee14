"""The headers that all requests and answers have in common."""

import io
import json
import re
import sys
from collections.abc import Callable

import pytest

from tests.builders import bearer, create, make_product, make_user
from tests.conftest import signed_in

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

        assert re.fullmatch("[0-9a-f]{32}", replaced)

    def test_each_request_has_its_own(self, client):
        first, second = (client.get("/healthz").headers["X-Request-ID"] for _ in range(2))

        assert first != second

    @pytest.mark.parametrize("path", PATHS)
    def test_every_answer_has_one(self, client, path):
        assert client.get(path, headers={"X-Request-ID": "mine"}).headers["X-Request-ID"] == "mine"


class TestLogLine:
    def test_a_log_that_cannot_be_written_fails_no_request(self, make_app, monkeypatch):
        class Broken(io.StringIO):
            def write(self, text: str) -> int:
                raise BrokenPipeError

        monkeypatch.setattr(sys, "stderr", Broken())

        assert make_app().test_client().get("/healthz").status_code == 200

    @pytest.fixture
    def request_lines(self, capsys) -> Callable[[], list[dict]]:
        def lines() -> list[dict]:
            written = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
            return [line for line in written if line["event"] == "request"]

        return lines

    def test_says_what_was_asked_for_and_by_whom(self, make_app, request_lines):
        app = make_app(log_format="json")
        user = make_user(app)
        signed_in(app, user).get("/api/v1/auth/me?x=1", headers={"X-Request-ID": "mine"})

        (line,) = request_lines()
        assert line.pop("ts").endswith("Z")
        assert 0 < line.pop("ms") < 10_000
        assert line == {
            "level": "info",
            "logger": "aggregator.api.requests",
            "event": "request",
            "method": "GET",
            "path": "/api/v1/auth/me",
            "status": 200,
            "request_id": "mine",
            "user_id": str(user),
        }

    def test_says_who_may_not_as_well(self, make_app, request_lines):
        app = make_app(log_format="json")
        user = make_user(app)
        signed_in(app, user).get("/api/v1/users")

        (line,) = request_lines()
        assert (line["status"], line["user_id"]) == (403, str(user))

    @pytest.mark.parametrize("path", ["/api/v1/products", "/api/v1/auth/me", "/nowhere"])
    def test_names_nobody_where_nobody_has_signed_in(self, make_app, request_lines, path):
        client = make_app(log_format="json").test_client()
        client.get(path)
        client.get(path, headers=bearer("nonsense"))

        assert ["user_id" in line for line in request_lines()] == [False, False]


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
