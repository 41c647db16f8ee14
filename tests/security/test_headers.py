"""What every answer tells browsers and caches: send() looks at each answer, and here all kinds of them are sent."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from aggregator.models import User
from aggregator.services import catalog_list
from tests.builders import edit
from tests.security.operations import Call, Operation, operations, send
from tests.security.world import World, admins_world, admins_worlds

HSTS = "Strict-Transport-Security"
SHOP, LOCAL = "https://shop.example.com", "http://localhost:3000"
PAGES = ("/", "/docs", "/redoc", "/docs/assets/swagger-ui.css", "/openapi.json", "/nowhere", "/api/v1/nowhere")
# What never changes: there is one, or there is none.
PICTURES, FOREVER = {"get_image_thumb", "get_image_full"}, "public, max-age=31536000, immutable"
# None of them is one of the two.
LOOKALIKES = [
    "https://shop.example.com.attacker.example",
    "https://attacker.example/https://shop.example.com",
    "https://attackershop.example.com",
    "https://a.shop.example.com",
    "https://shopXexample.com",
    "https://shop.example.com:444",
    "https://shop.example.com:443",
    "https://shop.example.com/",
    "https://shop.example.com.",
    "https://shop.example.com@attacker.example",
    "https://user@shop.example.com",
    "https://shop.example.co",
    "http://shop.example.com",
    "http://localhost",
    "http://localhost:30000",
    "http://127.0.0.1:3000",
    "https://localhost:3000",
    "https://example.com",
    "shop.example.com",
    "https://shop.example.com\0",
    "https://shop.example.com https://attacker.example",
    "https://shop.example.com,https://attacker.example",
    "null",
    "*",
    "file://",
    "x" * 50_000,
]


def token_for(world: World, operation: Operation) -> str:
    """A token of an admin's, of the kind that an operation takes."""
    tokens = world.tokens(world.admin)
    return str(tokens["refresh_token" if operation.id == "refresh_tokens" else "access_token"])


# Every way in which a call may come to something. The good one comes last: it changes things.
KINDS: dict[str, Callable[[FlaskClient, World, Call], TestResponse]] = {
    "for options": lambda client, world, call: send(client, "OPTIONS", call.path),
    "of another method": lambda client, world, call: send(client, "TRACE", call.path),
    "of another path": lambda client, world, call: send(client, call.operation.method, f"{call.path}/nowhere"),
    "without a token": lambda client, world, call: call.send(client),
    "with a bad token": lambda client, world, call: call.send(client, "bad"),
    "not for customers": lambda client, world, call: call.send(client, world.tokens(world.owner)["access_token"]),
    "with bad fields": lambda client, world, call: call.send(
        client, token_for(world, call.operation), **({"json": {"x": 1}} if call.body else {"query_string": "page=x"})
    ),
    "not JSON": lambda client, world, call: call.send(client, token_for(world, call.operation), **body(b"{")),
    "not called JSON": lambda client, world, call: call.send(
        client, token_for(world, call.operation), **body(b"{}", "text/plain")
    ),
    "too large": lambda client, world, call: call.send(
        client, token_for(world, call.operation), **body(b" " * (2**20 + 1))
    ),
    "seen already": lambda client, world, call: call.send(
        client, token_for(world, call.operation), headers={"If-None-Match": "*"}
    ),
    "good": lambda client, world, call: call.send(client, token_for(world, call.operation)),
}


def body(data: bytes, content_type: str = "application/json") -> dict[str, Any]:
    return {"data": data, "content_type": content_type}


def answers(app: Flask) -> Iterator[tuple[Operation, TestResponse]]:
    """An answer of each kind of each operation."""
    client, world_for = app.test_client(), admins_worlds(app)
    for operation in operations(app):
        world = world_for(operation)
        for kind, ask in KINDS.items():
            if kind == "seen already" and operation.method != "GET":
                continue
            yield operation, ask(client, world, world.call(operation))


def test_every_answer_of_every_operation_tells_browsers_to_be_careful_and_caches_to_keep_nothing_private(app):
    statuses, private = set(), {}
    for operation, answer in answers(app):
        statuses.add(answer.status_code)
        about_it = answer.request.method == operation.method and answer.status_code != 404
        if about_it and (operation.needs_token or operation.method != "GET"):
            private[operation.id, answer.status_code] = answer.headers["Cache-Control"]

    assert statuses == {200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 409, 413, 415, 422}
    assert private == dict.fromkeys(private, "no-store")
    assert {name for name, _ in private} == {o.id for o in operations(app) if o.needs_token or o.method != "GET"}


def test_pages_and_what_is_not_there_tell_it_too(app):
    assert [send(app.test_client(), "GET", path).status_code for path in PAGES] == [302, 200, 200, 200, 200, 404, 404]


def test_a_limit_that_is_reached_tells_it_too(make_app):
    client = make_app(logins_per_address=1).test_client()
    login = {"json": {"username": "nobody", "password": "nothing"}}
    assert send(client, "POST", "/api/v1/auth/login", **login).status_code == 401

    assert send(client, "POST", "/api/v1/auth/login", **login).status_code == 429


def test_a_mistake_of_ours_tells_it_too(app, monkeypatch):
    monkeypatch.setattr(catalog_list, "page", lambda *args, **kwargs: 1 // 0)

    assert send(app.test_client(), "GET", "/api/v1/products").status_code == 500


class TestHttps:
    def test_only_there_are_browsers_told_to_insist_on_it(self, app):
        world_for = admins_worlds(app)

        for operation in operations(app):
            world = world_for(operation)
            for scheme, told in {"https": "max-age=31536000; includeSubDomains", "http": None}.items():
                for token in (None, token_for(world, operation)):
                    answer = world.call(operation).send(app.test_client(), token, base_url=f"{scheme}://localhost")
                    assert answer.headers.get(HSTS) == told, (operation.id, answer.status_code)

    @pytest.mark.parametrize(("proxies", "told"), [(0, False), (1, True)])
    def test_is_where_a_trusted_proxy_says_so_and_nobody_else(self, make_app, proxies, told):
        client = make_app(trusted_proxies=proxies).test_client()

        for header, value in {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Ssl": "on",
            "Forwarded": "proto=https",
        }.items():
            answer = send(client, "GET", "/healthz", headers={header: value})
            assert (HSTS in answer.headers) is (told and header == "X-Forwarded-Proto")


class TestCaches:
    def test_may_keep_the_catalogue_but_ask_each_time(self, app):
        world = admins_world(app)
        shown = [o for o in operations(app) if o.path.startswith("/api/") and not o.needs_token and o.method == "GET"]

        for token in (None, "bad"):
            found = {o.id: world.call(o).send(app.test_client(), token).headers["Cache-Control"] for o in shown}
            assert found == {o.id: FOREVER if o.id in PICTURES else "no-cache" for o in shown}

    def test_are_not_given_a_304_for_what_somebody_else_may_read(self, app):
        world = admins_world(app)
        (me,) = (world.call(operation) for operation in operations(app) if operation.id == "get_me")
        token = world.tokens(world.owner)["access_token"]
        edit(app, User, User.id == world.owner, active=False)

        assert me.send(app.test_client(), token, headers={"If-None-Match": "*"}).status_code == 401


def cors(response: TestResponse) -> set[str]:
    return {name for name in response.headers.keys() if name.startswith("Access-Control-")}  # noqa: SIM118


@pytest.fixture
def shop_app(make_app) -> Flask:
    return make_app(cors_origins=(SHOP, LOCAL))


class TestOtherOrigins:
    def test_may_read_nothing_unless_they_are_allowed_to(self, app):
        preflight = {"Origin": SHOP, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "*"}
        world_for = admins_worlds(app)

        for operation in operations(app):
            world = world_for(operation)
            call = world.call(operation)
            asked = send(app.test_client(), "OPTIONS", call.path, headers=preflight)
            done = call.send(app.test_client(), token_for(world, operation), headers={"Origin": SHOP})
            assert cors(asked) | cors(done) == set()

    def test_that_are_allowed_to_may_read_every_answer(self, shop_app):
        world_for = admins_worlds(shop_app)

        for operation in operations(shop_app):
            world = world_for(operation)
            for origin, token in ((SHOP, None), (LOCAL, None), (SHOP, token_for(world, operation))):
                answer = world.call(operation).send(shop_app.test_client(), token, headers={"Origin": origin})
                assert answer.headers.getlist("Access-Control-Allow-Origin") == [origin]
                assert "Origin" in answer.headers["Vary"]
                assert "Access-Control-Allow-Credentials" not in answer.headers
                assert "X-Request-ID" in answer.headers["Access-Control-Expose-Headers"]

    def test_that_are_allowed_to_may_ask_first_without_a_token(self, shop_app):
        world = admins_world(shop_app)

        for operation in operations(shop_app):
            asked = {
                "Access-Control-Request-Method": operation.method,
                "Access-Control-Request-Headers": "authorization",
            }
            path = world.call(operation).path
            answer = send(shop_app.test_client(), "OPTIONS", path, headers={"Origin": SHOP, **asked})
            assert (answer.status_code, answer.text) == (200, "")
            assert answer.headers["Access-Control-Allow-Origin"] == SHOP
            assert operation.method in answer.headers["Access-Control-Allow-Methods"]
            assert answer.headers["Access-Control-Allow-Headers"].lower() == "authorization"

    def test_that_are_only_like_an_allowed_one_may_read_nothing(self, shop_app):
        client = shop_app.test_client()

        for origin in LOOKALIKES:
            preflight = {"Origin": origin, "Access-Control-Request-Method": "GET"}
            asked = send(client, "OPTIONS", "/api/v1/products", headers=preflight)
            done = send(client, "GET", "/api/v1/products", headers={"Origin": origin})
            assert cors(asked) | cors(done) == set(), origin

    def test_are_named_as_what_each_answer_depends_on_also_where_none_asks(self, shop_app):
        """Else a cache gives the answer to a visitor without an origin to a page that has one."""
        world_for = admins_worlds(shop_app)

        for operation in operations(shop_app):
            world = world_for(operation)
            answer = world.call(operation).send(shop_app.test_client(), token_for(world, operation))
            assert answer.headers.getlist("Vary") == ["Origin"], operation.id
            again = world.call(operation).send(shop_app.test_client(), None, headers={"If-None-Match": "*"})
            assert "Origin" in again.headers["Vary"]

    def test_are_not_told_who_is_allowed(self, shop_app):
        answer = send(shop_app.test_client(), "GET", "/api/v1/products")

        assert cors(answer) == set()
