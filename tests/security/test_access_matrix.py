"""Who may call what: every operation of the document, by everybody there is, on what belongs to somebody.

A new operation gets a line in MAY_CALL here, and does not work without: the app's own table is not asked. What it
needs to be called goes into world.py: an object of the owner's and its id, and a body that will do.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from aggregator.models import Base, Role, User
from tests.builders import edit
from tests.security.operations import PASSWORD, operations, send, with_body
from tests.security.tokens import resigned
from tests.security.world import World, everything, make_world

SERVED = "served"


def outcomes(nobody: Any, owner: Any, another: Any, admin: Any) -> dict[str, Any]:
    """What each of the seven gets to see; a token that is good no more is no token."""
    without = dict.fromkeys(("anonymous", "expired token", "signed out", "deactivated"), nobody)
    return without | {"owner": owner, "another user": another, "admin": admin}


EVERYBODY = outcomes(SERVED, SERVED, SERVED, SERVED)
SIGNED_IN = outcomes(401, SERVED, SERVED, SERVED)  # about the caller, or the same for all of them
OWNER = outcomes(401, SERVED, 404, 404)  # an object of somebody's: for all others there is no such thing
OWNER_OR_ADMIN = outcomes(401, SERVED, 404, SERVED)
ADMIN = outcomes(401, 403, 403, SERVED)

MAY_CALL = {
    "register": EVERYBODY,
    "login": EVERYBODY,
    "confirm_email": EVERYBODY,
    "resend_confirmation": SIGNED_IN,
    "refresh_tokens": SIGNED_IN,
    "logout": SIGNED_IN,
    "get_me": SIGNED_IN,
    "update_me": SIGNED_IN,
    "list_users": ADMIN,
    "get_user": ADMIN,
    "update_user": ADMIN,
    "list_products": EVERYBODY,
    "create_product": ADMIN,
    "get_product": EVERYBODY,
    "replace_product": ADMIN,
    "update_product": ADMIN,
    "delete_product": ADMIN,
    "list_product_offers": EVERYBODY,
    "get_product_price_history": EVERYBODY,
    "get_product_price_trend": EVERYBODY,
    "get_product_price_insights": EVERYBODY,
    "get_offer_price_history": EVERYBODY,
    "get_offer_price_trend": EVERYBODY,
    "get_product_offer": EVERYBODY,
    "list_offers": EVERYBODY,
    "get_offer": EVERYBODY,
    "import_products": ADMIN,
    "export_products": ADMIN,
    "list_categories": EVERYBODY,
    "create_category": ADMIN,
    "get_category": EVERYBODY,
    "replace_category": ADMIN,
    "update_category": ADMIN,
    "delete_category": ADMIN,
    "list_product_images": EVERYBODY,
    "create_product_image": ADMIN,
    "get_image": EVERYBODY,
    "get_image_thumb": EVERYBODY,
    "get_image_full": EVERYBODY,
    "update_image": ADMIN,
    "delete_image": ADMIN,
    "list_changes": EVERYBODY,
    "list_alerts": SIGNED_IN,
    "create_alert": SIGNED_IN,
    "get_alert": OWNER,
    "update_alert": OWNER,
    "delete_alert": OWNER,
    "get_cart": SIGNED_IN,
    "empty_cart": SIGNED_IN,
    "add_cart_item": SIGNED_IN,
    "set_cart_item": OWNER,
    "update_cart_item": OWNER,
    "delete_cart_item": OWNER,
    "checkout": outcomes(401, SERVED, 422, 422),  # there is nothing in the carts of the others
    "list_orders": SIGNED_IN,
    "create_order": SIGNED_IN,
    "get_order": OWNER_OR_ADMIN,
    "update_order": outcomes(401, SERVED, 404, 403),  # what is in an order, not even admins change
    "cancel_order": OWNER_OR_ADMIN,
    "list_webhooks": SIGNED_IN,
    "create_webhook": SIGNED_IN,
    "get_webhook": OWNER,
    "update_webhook": OWNER,
    "delete_webhook": OWNER,
    "rotate_webhook_secret": OWNER,
    "send_test_webhook": OWNER,
    "list_webhook_deliveries": OWNER,
    "get_webhook_delivery": OWNER,
    "redeliver_webhook": OWNER,
    "get_healthz": EVERYBODY,
    "get_readyz": EVERYBODY,
    "get_status": EVERYBODY,
}
# Where they read the owner's name or address. Nobody else does, and they do nowhere else.
READS_PRIVATE_DATA = {
    "owner": {
        *("get_me", "update_me", "list_orders", "create_order", "get_order", "update_order", "cancel_order"),
        "checkout",
    },
    "admin": {"list_users", "get_user", "update_user", "list_orders", "get_order", "cancel_order"},
}
# What is not in the document, and for everybody: pages, and the document itself.
PAGES = {
    *("/", "/docs", "/redoc", "/docs/assets/<name>", "/docs/problems", "/docs/problems/<name>", "/openapi.json"),
    *("/account/confirm-email", "/api/v1/mail/unsubscribe"),  # where mails lead to
}
OTHER_SPELLINGS = [
    "/api/v1/users/",
    "/api/v1/users//",
    "/api/v1//users",
    "//api/v1/users",
    "/api/v1/./users",
    "/api/v1/products/../users",
    "/API/V1/users",
    "/api/v1/users%2f",
    "/api/v1/users%00",
    "/api/v1/users;a=b",
    "/api/v1/users.json",
    "/api/v1/%75sers",
    "/healthz/../api/v1/users",
]


def _expired(world: World) -> dict[str, str]:
    tokens = world.tokens(world.owner)
    return {kind: resigned(world.app, tokens[kind], exp=1_700_000_000) for kind in ("access_token", "refresh_token")}


def _signed_out(world: World) -> dict[str, str]:
    tokens = world.tokens(world.owner)
    answer = send(world.app.test_client(), "POST", "/api/v1/auth/logout", tokens["access_token"])
    assert answer.status_code == 204
    return tokens


def _deactivated(world: World) -> dict[str, str]:
    tokens = world.tokens(world.owner)
    edit(world.app, User, User.id == world.owner, active=False)
    return tokens


# The seven, by the tokens they bring. Those of the last three were the owner's.
PRINCIPALS: dict[str, Callable[[World], dict[str, str]]] = {
    "anonymous": lambda world: {},
    "owner": lambda world: world.tokens(world.owner),
    "another user": lambda world: world.tokens(world.another),
    "admin": lambda world: world.tokens(world.admin),
    "expired token": _expired,
    "signed out": _signed_out,
    "deactivated": _deactivated,
}


def answers(app: Flask, principal: str, head: bool = False) -> dict[str, tuple[World, TestResponse]]:
    """What a principal gets from each operation, in a world where nobody has changed anything; with head, from HEAD."""
    untouched = _world_of(app, principal)
    found = {}
    for operation in operations(app):
        if head and operation.method != "GET":
            continue
        world, tokens = untouched if operation.method == "GET" else _world_of(app, principal)
        token = tokens.get("refresh_token" if operation.id == "refresh_tokens" else "access_token")
        call = world.call(replace(operation, method="HEAD") if head else operation)
        found[operation.id] = (world, call.send(app.test_client(), token))
    return found


def _world_of(app: Flask, principal: str) -> tuple[World, dict[str, str]]:
    world = make_world(app)
    return world, PRINCIPALS[principal](world)


def outcome(response: TestResponse) -> Any:
    return SERVED if 200 <= response.status_code < 300 else response.status_code


def names_somebody(world: World, response: TestResponse) -> bool:
    return world.canary in f"{response.headers}{response.text}"


def expected(principal: str) -> dict[str, Any]:
    return {operation: row[principal] for operation, row in MAY_CALL.items()}


def test_every_operation_of_the_document_is_in_the_table(app):
    assert sorted(operation.id for operation in operations(app)) == sorted(MAY_CALL)


def test_the_document_says_the_same_of_who_may_call_what(app):
    found = operations(app)

    assert {o.id for o in found if not o.needs_token} == {name for name in MAY_CALL if MAY_CALL[name] is EVERYBODY}
    assert {o.id for o in found if o.needs_token and "401" not in o.answers} == set()
    admins = {name for name in MAY_CALL if MAY_CALL[name] is ADMIN}
    assert {o.id for o in found if "403" in o.answers} == admins | {"update_order"}  # of which each may change a part


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_gets_what_the_table_says_and_reads_what_is_private_nowhere_else(app, principal):
    found = answers(app, principal)

    assert {name: outcome(response) for name, (_, response) in found.items()} == expected(principal)
    readable = {name for name, (world, response) in found.items() if names_somebody(world, response)}
    assert readable == READS_PRIVATE_DATA.get(principal, set())


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_what_may_not_be_read_is_not_told_by_a_head_either(app, principal):
    found = answers(app, principal, head=True)

    told = {name: outcome(response) for name, (_, response) in found.items()}
    assert told == {name: expected(principal)[name] for name in found}
    assert {response.text for _, response in found.values()} == {""}
    assert [name for name, (world, response) in found.items() if names_somebody(world, response)] == []


def test_what_is_refused_changes_nothing(app, sandbox):
    for principal in (name for name in PRINCIPALS if ADMIN[name] != SERVED):
        world, tokens = _world_of(app, principal)
        before = everything(app)

        for operation in operations(app):
            if MAY_CALL[operation.id] is ADMIN:
                world.call(operation).send(app.test_client(), tokens.get("access_token"))

        assert everything(app) == before, principal
    assert sandbox.calls == []


class TestWhatATokenIsWorth:
    def test_an_admin_who_is_one_no_more_loses_what_admins_may_at_once(self, app):
        world = make_world(app)
        token = world.tokens(world.admin)["access_token"]
        edit(app, User, User.id == world.admin, role=Role.CUSTOMER)

        refused = {
            operation.id
            for operation in operations(app)
            if operation.id not in ("refresh_tokens", "logout")
            and world.call(operation).send(app.test_client(), token).status_code == 403
        }

        assert refused == {name for name in MAY_CALL if MAY_CALL[name] is ADMIN}

    @pytest.mark.parametrize("principal", ["signed out", "deactivated"])
    def test_one_that_is_good_no_more_buys_no_new_one(self, app, principal):
        world = make_world(app)
        tokens = PRINCIPALS[principal](world)
        before = everything(app)

        answer = send(app.test_client(), "POST", "/api/v1/auth/refresh", tokens["refresh_token"])

        assert answer.status_code == 401
        assert everything(app) == before

    def test_a_deactivated_user_cannot_sign_in_again(self, app):
        world = make_world(app)
        login = {"username": world.anothers_name, "password": PASSWORD}
        edit(app, User, User.id == world.another, active=False)

        assert send(app.test_client(), "POST", "/api/v1/auth/login", json=login).status_code == 401


class TestOtherWaysIn:
    def test_what_is_not_in_the_document_is_a_page_for_everybody(self, app):
        documented = {operation.path for operation in operations(app)}
        rules = {rule.rule: re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules()}

        assert {rule for rule, path in rules.items() if path not in documented} == PAGES

    def test_by_no_spelling_of_its_path_is_an_operation_open(self, app):
        world, visitor = make_world(app), app.test_client()

        for path in OTHER_SPELLINGS:
            response = visitor.get(path, follow_redirects=True)
            assert response.status_code in (401, 404), path
            assert not names_somebody(world, response), path

    def test_no_header_makes_another_request_of_it(self, app):
        world = make_world(app)
        before = everything(app)

        for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"):
            headers = {name: f"/api/v1/users/{world.owner}" if name.endswith("URL") else "DELETE"}
            answer = send(app.test_client(), "GET", f"/api/v1/products/{world.ids['product_id']}", headers=headers)
            assert answer.json["id"] == world.ids["product_id"]

        assert everything(app) == before

    def test_nobody_is_who_a_header_says(self, app):
        world = make_world(app)

        for name in ("X-User-Id", "X-Forwarded-User", "Remote-User", "X-Remote-User", "X-Admin", "X-Role", "From"):
            for value in (str(world.admin), "admin", "true"):
                assert send(app.test_client(), "GET", "/api/v1/users", headers={name: value}).status_code == 401

    def test_options_tells_the_methods_and_nothing_else(self, app):
        client, world = app.test_client(), make_world(app)

        for operation in operations(app):
            answer = send(client, "OPTIONS", world.call(operation).path)
            assert (answer.status_code, answer.text) == (200, "")
            assert operation.method in answer.headers["Allow"].split(", ")


class TestBodies:
    def test_set_nothing_that_is_not_documented(self, app):
        world = make_world(app)
        token = world.tokens(world.admin)["access_token"]
        columns = {column.name for table in Base.metadata.sorted_tables for column in table.columns}
        calls = [world.call(operation) for operation in with_body(app)]
        before = everything(app)

        for call in calls:
            operation, hidden = call.operation, columns - call.operation.body.keys()
            answer = call.send(app.test_client(), token, json=call.body | dict.fromkeys(hidden, 1))
            assert answer.status_code == 422
            assert answer.json["errors"]["json"] == {name: ["Unknown field."] for name in hidden}, operation.id

        assert everything(app) == before

    def test_give_no_role_to_who_registers_or_edits_an_account(self, app):
        world = make_world(app)

        for operation in operations(app):
            if operation.id in ("register", "update_me"):
                token = world.tokens(world.another)["access_token"]
                call = world.call(operation)
                answer = call.send(app.test_client(), token, json=call.body | {"role": "admin"})
                assert answer.json["errors"]["json"] == {"role": ["Unknown field."]}
