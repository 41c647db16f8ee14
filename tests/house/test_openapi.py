"""The API's document: it is valid, and it says neither more nor less than the app answers to."""

import re

import pytest
from flask import Flask
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from aggregator.operations import MAY_CALL, Who, operation_id

# Of which the document says nothing.
PAGES = {
    *("/", "/docs", "/redoc", "/docs/assets/{name}", "/openapi.json"),
    *("/docs/problems", "/docs/problems/{name}"),
    *("/account/confirm-email", "/api/v1/mail/unsubscribe"),  # where mails lead to
}
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def backend() -> str:
    return "sqlite"  # the document comes from the code alone


@pytest.fixture
def document(client) -> dict:
    return client.get("/openapi.json").json


def operations(document: dict) -> dict[tuple[str, str], dict]:
    """The operations of a document by method and path."""
    return {
        (method, path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    }


def routes(app: Flask) -> dict[tuple[str, str], str]:
    """The names of all that the app answers to, pages included, by method and path."""
    return {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)): operation_id(method, rule.endpoint)
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }


def references(value: object) -> set[str]:
    """All that is referred to, anywhere in value."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(member) for member in value.values()))
    return set().union(*(references(element) for element in value)) if isinstance(value, list) else set()


def test_the_document_is_openapi_3_1(document):
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []
    assert document["openapi"] == "3.1.0"
    assert (document["info"]["title"], document["info"]["version"]) == ("Product Aggregator", "v1")


def test_all_that_it_refers_to_is_there(document):
    for reference in references(document):
        found: object = document
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, reference
            found = found[part]


def test_every_operation_has_a_summary_and_an_id_of_its_own(document):
    found = operations(document)
    ids = [operation.get("operationId") for operation in found.values()]

    assert [where for where, operation in found.items() if not operation.get("summary")] == []
    assert [where for where, operation in found.items() if not operation.get("operationId")] == []
    assert len(set(ids)) == len(ids)


def test_every_operation_says_what_an_error_looks_like(document):
    for where, operation in operations(document).items():
        default = operation["responses"]["default"]
        response = document["components"]["responses"][default["$ref"].rpartition("/")[2]]
        assert list(response["content"]) == ["application/problem+json"], where


def test_every_route_but_the_pages_is_in_the_document_and_the_other_way_round(app, document):
    documented = {where: operation["operationId"] for where, operation in operations(document).items()}

    assert documented == {where: name for where, name in routes(app).items() if where[1] not in PAGES}


def test_the_table_says_of_every_operation_and_every_page_who_may_call_it_and_of_nothing_else(app, document):
    documented = [operation["operationId"] for operation in operations(document).values()]
    pages = {(method, path): name for (method, path), name in routes(app).items() if path in PAGES}

    assert {path for _, path in pages} == PAGES
    assert sorted(MAY_CALL) == sorted([*documented, *pages.values()])


def test_every_operation_says_whom_it_is_for(document):
    for where, operation in operations(document).items():
        who, answers = MAY_CALL[operation["operationId"]], operation["responses"]
        assert operation["security"] == ([] if who is Who.EVERYBODY else [{"bearerAuth": []}]), where
        mixed = operation["operationId"] == "update_order"  # admins may change one part of it, others another
        assert ("403" in answers) == (who is Who.ADMIN or mixed), where
        for status in {Who.EVERYBODY: [], Who.ADMIN: ["401", "403"]}.get(who, ["401"]):
            assert list(answers[status]["content"]) == ["application/problem+json"], where

    schemes = document["components"]["securitySchemes"]
    assert schemes == {"bearerAuth": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}


def test_the_paths_that_other_people_rely_on_are_there(document):
    assert {path for _, path in operations(document)} >= {
        "/api/v1/products",
        "/api/v1/products/{product_id}",
        "/api/v1/products/{product_id}/offers",
        "/api/v1/products/{product_id}/offers/{offer_id}",
        "/api/v1/offers",
        "/api/v1/offers/{offer_id}",
        "/api/v1/auth/register",
        "/api/v1/auth/login",
        "/api/v1/auth/refresh",
        "/api/v1/auth/logout",
        "/api/v1/auth/me",
        "/api/v1/users",
        "/healthz",
        "/readyz",
        "/status",
    }


def test_all_answers_that_carry_json_have_a_schema(document):
    for where, operation in operations(document).items():
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values():
                assert content.get("schema"), (where, status)
