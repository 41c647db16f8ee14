"""/docs/problems: where the type of a problem leads."""

import re

import pytest

from aggregator import errors
from aggregator.problem_types import ProblemType, problem_types

TYPES = list(problem_types().values())


@pytest.fixture
def backend() -> str:
    return "sqlite"  # no page asks the database


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.code)
def test_each_type_has_a_page_that_says_what_to_do(visitor, kind: ProblemType):
    response = visitor.get(kind.uri)

    assert (response.status_code, response.content_type) == (200, "text/html; charset=utf-8")
    assert f"<h1>{kind.title}</h1>" in response.text
    assert f'"code": "{kind.code}"' in response.text
    assert response.text.count("<p>") >= 3  # the way back, the message, and what to do


def test_the_index_leads_to_all_pages(visitor):
    links = re.findall(r'href="(/docs/problems/[^"]+)"', visitor.get("/docs/problems").text)

    assert links == [kind.uri for kind in TYPES]


def test_what_stands_between_backticks_is_code_and_all_else_is_escaped(visitor):
    text = visitor.get("/docs/problems/webhook-disabled").text

    assert "<code>{&#34;enabled&#34;: true}</code>" in text


@pytest.mark.parametrize("path", ["/docs/problems", "/docs/problems/not-found"])
def test_a_page_runs_no_script_and_fetches_nothing(visitor, path):
    response = visitor.get(path)

    assert "script" not in response.text
    assert re.findall(r"(?:src|href)=\"(?!/|data:,)", response.text) == []
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert "script-src" not in response.headers["Content-Security-Policy"]
    assert response.headers["Cache-Control"] == "max-age=3600"


def test_a_type_that_there_is_not_is_a_problem_whose_type_there_is(visitor):
    response = visitor.get("/docs/problems/not-enough-coffee")

    assert (response.status_code, response.json["code"]) == (404, "not_found")
    assert visitor.get(response.json["type"]).status_code == 200


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("malformed_body", 400),
        ("token_expired", 401),
        ("role_required", 403),
        ("owner_required", 403),
        ("not_ready", 404),
        ("insufficient_stock", 409),
        ("version_conflict", 412),
        ("image_too_large", 413),
        ("idempotency_key_reused", 422),
        ("rate_limited", 429),
        ("internal_error", 500),
        ("database_unavailable", 503),
    ],
)
def test_a_code_has_one_status(code, status):
    assert problem_types()[code].status == status


def test_a_kind_of_errors_has_no_code_and_cannot_be_raised():
    with pytest.raises(TypeError, match="Conflict is a kind of errors; raise one of them"):
        raise errors.Conflict
