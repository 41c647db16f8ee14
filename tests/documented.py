"""A client that reads the document: no test gets a problem that is not documented where it was met."""

from functools import cache
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from aggregator import errors
from aggregator.operations import operation_id
from aggregator.problem_types import problem_types

PROBLEM_JSON = "application/problem+json"
# Of no operation in particular.
ANYWHERE = {errors.ProblemError.code, errors.MethodNotAllowed.code, errors.Unacceptable.code}

_document: dict[str, Any] = {}


class DocumentedClient(FlaskClient):
    """Fails a test whose app answers with a problem that has no type, or that the document does not know."""

    documented = True  # a test that breaks the app itself says False

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        if self.documented and response.content_type == PROBLEM_JSON and response.data:
            _check(self.application, response)
        return response


def document(app: Flask) -> dict[str, Any]:
    """The API's document, which is the same whatever the app."""
    if not _document:
        _document.update(app.extensions["flask-smorest"]["apis"][""]["ext_obj"].spec.to_dict())
    return _document


def _check(app: Flask, response: TestResponse) -> None:
    body, asked = response.json, response.request
    assert body["code"] in problem_types(), f"{body['code']} is no type of problems"
    kind = problem_types()[body["code"]]
    assert (body["type"], body["title"]) == (kind.uri, kind.title)
    try:
        endpoint, _ = app.url_map.bind("").match(asked.path, method=asked.method)
    except HTTPException:
        return  # of no operation
    document(app)
    known = _codes().get(operation_id(asked.method, endpoint))
    if known is not None:
        found = (response.status_code, body["code"])
        where = f"{asked.method} {asked.path}"
        assert found in known or found[1] in ANYWHERE, f"{where} answers {found}, and the document does not say so"


@cache
def _codes() -> dict[str, set[tuple[int, str]]]:
    """The statuses and codes with which each operation may answer."""
    return {
        operation["operationId"]: {
            (int(status), code)
            for status, answer in operation["responses"].items()
            for code in _codes_of(answer.get("content", {}))
        }
        for methods in _document["paths"].values()
        for operation in methods.values()
        if isinstance(operation, dict)
    }


def _codes_of(content: dict[str, Any]) -> list[str]:
    if PROBLEM_JSON not in content:
        return []
    name = content[PROBLEM_JSON]["schema"]["$ref"].rpartition("/")[2]
    codes: list[str] = _document["components"]["schemas"][name]["allOf"][1]["properties"]["code"]["enum"]
    return codes
