"""The API's document: it is valid, and it says neither more nor less than the app answers to."""

import re

import pytest
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

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


def references(value: object) -> set[str]:
    """All that is referred to, anywhere in value."""
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(references(member) for member in value.values()))
    return set().union(*(references(element) for element in value)) if isinstance(value, list) else set()


def test_the_document_is_openapi_3_1(document):
    assert [str(error) for error in OPENAPI_31_VALIDATOR.iter_errors(document)] == []
    assert document["openapi"] == "3.1.0"
    assert document["info"] == {"title": "Product Aggregator", "version": "v1"}


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


def test_every_route_of_the_api_is_in_the_document_and_the_other_way_round(app, document):
    routes = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/")
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }

    assert set(operations(document)) == routes


def test_the_paths_that_other_people_rely_on_are_there(document):
    assert {path for _, path in operations(document)} >= {
        "/api/v1/products",
        "/api/v1/products/{product_id}",
        "/api/v1/products/{product_id}/offers",
        "/api/v1/products/{product_id}/offers/{offer_id}",
        "/api/v1/offers",
        "/api/v1/offers/{offer_id}",
    }


def test_all_answers_that_carry_json_have_a_schema(document):
    for where, operation in operations(document).items():
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values():
                assert content.get("schema"), (where, status)
