"""What the API's document says: to people in words, to generators of clients in types, to programs in codes."""

import json
import re

import jsonschema_rs
import pytest

from aggregator.api.document.events import DATA
from aggregator.api.document.words import TAGS, USUAL
from aggregator.models import Event
from aggregator.problem_types import problem_types
from tests.house.test_openapi import METHODS, operations

PROBLEM = "application/problem+json"


@pytest.fixture
def backend() -> str:
    return "sqlite"  # the document comes from the code alone


@pytest.fixture
def document(visitor) -> dict:
    return visitor.get("/openapi.json").json


def resolved(document: dict, schema: dict) -> dict:
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def problems(document: dict) -> dict[tuple[str, str], list[str]]:
    """The codes of each operation and status."""
    return {
        (operation["operationId"], status): resolved(document, answer["content"][PROBLEM]["schema"])["allOf"][1][
            "properties"
        ]["code"]["enum"]
        for operation in operations(document).values()
        for status, answer in operation["responses"].items()
        if PROBLEM in answer.get("content", {})
    }


class TestProblems:
    def test_each_status_of_each_operation_has_the_codes_that_it_may_have(self, document):
        found = problems(document)

        statuses = {(o["operationId"], s) for o in operations(document).values() for s in o["responses"]}
        own = {("get_readyz", "503"), ("get_status", "503")}  # no problems, but what they say themselves
        assert {each for each in statuses if each[1] >= "4" and each[1] != "default"} - own - set(found) == set()
        assert [codes for codes in found.values() if not codes] == []
        assert {code for codes in found.values() for code in codes} <= set(problem_types())
        for (operation, status), codes in found.items():
            assert {problem_types()[code].status for code in codes} == {int(status)}, operation

    def test_some_of_them_by_name(self, document):
        found = problems(document)

        assert found["create_product", "409"] == ["changed_meanwhile", "id_taken", "name_taken", "request_in_progress"]
        assert found["create_order", "409"] == [
            *("changed_meanwhile", "insufficient_stock", "limit_reached", "request_in_progress", "total_changed")
        ]
        assert found["delete_category", "409"] == ["category_not_empty", "changed_meanwhile"]
        assert found["update_product", "412"] == ["version_conflict"]
        assert found["get_me", "401"] == ["not_authenticated", "token_expired", "token_invalid", "token_revoked"]
        assert found["list_products", "422"] == ["invalid_cursor", "validation_failed"]
        assert found["list_users", "403"] == ["role_required"]
        assert found["get_image_thumb", "404"] == ["image_failed", "not_found", "not_ready"]

    def test_each_problem_that_an_answer_can_be_is_of_an_operation_or_of_all(self, document):
        somewhere = {code for codes in problems(document).values() for code in codes}

        assert set(problem_types()) - somewhere == {"bad_request", "internal_error", "method_not_allowed"}

    def test_examples_of_problems_are_good_ones(self, document):
        for where, operation in operations(document).items():
            for status, answer in operation["responses"].items():
                content = answer.get("content", {}).get(PROBLEM)
                if content:
                    validate(document, content["schema"], content["example"])
                    assert content["example"]["status"] == int(status), where


class TestWords:
    def test_every_parameter_and_every_member_is_described(self, document):
        bare = [
            (path, parameter["name"])
            for path, item in document["paths"].items()
            for part in (item, *(item[method] for method in METHODS & set(item)))
            for parameter in part.get("parameters", ())
            if not parameter.get("description")
        ]
        bare += [
            (name, member)
            for name, schema in document["components"]["schemas"].items()
            for member, described in schema.get("properties", {}).items()
            if not described.get("description")
        ]

        assert bare == []

    def test_words_for_usual_members_are_used(self, document):
        names = {name for schema in document["components"]["schemas"].values() for name in schema.get("properties", {})}
        names |= {
            parameter["name"]
            for item in document["paths"].values()
            for part in (item, *(item[method] for method in METHODS & set(item)))
            for parameter in part.get("parameters", ())
        }

        assert set(USUAL) - names == set()

    def test_tags_come_in_the_order_in_which_a_newcomer_needs_them(self, document):
        assert [tag["name"] for tag in document["tags"]] == [
            *("accounts", "products", "offers", "prices", "alerts", "cart", "orders", "categories", "images"),
            *("webhooks", "changes", "import-export", "users", "health"),
        ]
        assert [tag["name"] for tag in document["tags"] if not tag["description"].endswith(".")] == []
        assert {tag for operation in operations(document).values() for tag in operation["tags"]} == set(TAGS)

    def test_the_introduction_says_what_to_know_first(self, document):
        headings = re.findall("^## (.*)$", document["info"]["description"], re.MULTILINE)

        assert headings == [
            *("Sign in", "Prices and moments", "Lists", "Caching and editing", "Repeating a request", "Errors"),
            *("Limits", "Versions"),
        ]

    def test_ids_of_operations_are_names_of_functions(self, document):
        ids = [operation["operationId"] for operation in operations(document).values()]

        assert [each for each in ids if not re.fullmatch("[a-z]+(_[a-z]+)*", each)] == []
        assert {"list_products", "create_product", "get_product", "update_product", "checkout", "login"} <= set(ids)


class TestSchemas:
    def test_what_a_request_may_bring_is_closed_and_answers_are_open(self, document):
        requests, answers = set(), set()
        for operation in operations(document).values():
            requests |= named(document, operation.get("requestBody", {}))
            answers |= named(document, operation["responses"])
        closed = {n for n, s in document["components"]["schemas"].items() if s.get("additionalProperties") is False}

        assert closed == {name for name in requests if document["components"]["schemas"][name]["type"] == "object"}
        assert closed & answers == set()

    def test_defaults_of_bodies_are_words_so_that_generated_clients_neither_send_nor_demand_them(self, document):
        schemas = document["components"]["schemas"]
        members = {(name, m): d for name, schema in schemas.items() for m, d in schema.get("properties", {}).items()}

        assert [where for where, described in members.items() if "default" in described] == []
        assert members["ProductCreate", "stock"]["description"].endswith(" Unless sent: `0`.")
        assert members["AlertInput", "by_mail"]["description"].endswith(" Unless sent: `true`.")
        assert "Unless sent" not in members["ProductPatch", "rating"]["description"]


class TestWebhooks:
    def test_each_event_has_a_schema_and_an_example_that_is_valid(self, document):
        by_mail_only = {Event.DAILY, Event.DIGEST, Event.CONFIRM_EMAIL}

        assert set(document["webhooks"]) == {event.value for event in Event} - by_mail_only
        assert set(DATA) == set(Event) - by_mail_only
        for event, described in document["webhooks"].items():
            content = described["post"]["requestBody"]["content"]["application/json"]
            validate(document, content["schema"], content["example"])
            assert content["example"]["type"] == event


class TestServing:
    def test_the_document_is_written_once_and_kept(self, visitor):
        first = visitor.get("/openapi.json")
        again = visitor.get("/openapi.json", headers={"If-None-Match": first.headers["ETag"]})

        assert (first.status_code, first.headers["Cache-Control"]) == (200, "no-cache")
        assert (again.status_code, again.data) == (304, b"")

    def test_the_command_writes_the_same(self, runner, visitor):
        written = runner.invoke(args=["openapi", "print"])

        assert json.loads(written.output) == visitor.get("/openapi.json").json


def named(document: dict, value: object) -> set[str]:
    """The names of the schemas in value, and of those in these."""
    if isinstance(value, list):
        return set().union(*(named(document, each) for each in value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*(named(document, each) for each in value.values()))
    reference = value.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/components/schemas/"):
        name = reference.rpartition("/")[2]
        found |= {name} | named(document, document["components"]["schemas"][name])
    return found


def validate(document: dict, schema: dict, value: object) -> None:
    """Raise unless value is as a schema of the document says."""
    whole = {**schema, "components": document["components"]}
    jsonschema_rs.validator_for(whole, validate_formats=True).validate(value)
