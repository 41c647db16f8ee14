"""Which problems each operation can answer with: an enum of codes for each status."""

from collections.abc import Iterable
from typing import Any

from aggregator import errors
from aggregator.api.parsing import PROBLEMS, TOKEN_PROBLEMS
from aggregator.api.problems import PROBLEM_JSON
from aggregator.problem_types import ProblemType, problem_types

PROBLEM = {"$ref": "#/components/schemas/Problem"}
SHARED = {frozenset(error.code for error in TOKEN_PROBLEMS): "TokenProblem"}  # of many operations
_RETRY_AFTER = {"description": "Seconds to wait.", "schema": {"type": "integer", "examples": [2]}}
_AUTHENTICATE = {"description": "RFC 6750's.", "schema": {"type": "string"}}
HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": _AUTHENTICATE | {"required": True}},
    429: {"Retry-After": _RETRY_AFTER | {"required": True}},
    503: {"Retry-After": _RETRY_AFTER | {"required": True}},
}
# Those that say when to ask again, where others of their status do not.
RETRIED = {errors.InProgress.code, errors.NotReady.code}


def add_problems(document: dict[str, Any], operations: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
    """Say of each operation with which problems it can answer, by status."""
    for method, path, operation in operations:
        codes = set(operation.pop(PROBLEMS, ()))
        if path.startswith("/api/"):
            codes.add(errors.DatabaseUnavailable.code)
            codes |= {errors.ChangedMeanwhile.code} if method != "get" else set()
        answers = {status: each for status, each in operation["responses"].items() if "$ref" not in each}
        for status in sorted({problem_types()[code].status for code in codes}):
            of_status = [each for each in problem_types().values() if each.code in codes and each.status == status]
            answers[str(status)] = _response(document, operation["operationId"], of_status)
        operation["responses"] = dict(sorted(answers.items())) | {"default": _default(document)}
    document["components"]["responses"] = {
        name: each for name, each in document["components"]["responses"].items() if name == "DEFAULT_ERROR"
    }


def _response(document: dict[str, Any], operation: str, types: list[ProblemType]) -> dict[str, Any]:
    status = types[0].status
    name = _name(operation, types)
    document["components"]["schemas"].setdefault(name, _schema(types))
    headers = HEADERS.get(status, {})
    if RETRIED.intersection(each.code for each in types):
        headers = {"Retry-After": _RETRY_AFTER}
    content = {PROBLEM_JSON: {"schema": {"$ref": f"#/components/schemas/{name}"}, "example": _example(types[0])}}
    described: dict[str, Any] = {"description": _description(types), "content": content}
    return described | ({"headers": headers} if headers else {})


def _name(operation: str, types: list[ProblemType]) -> str:
    """The name of a schema. One for several codes is named after its operation, so that another code keeps it."""
    if len(types) == 1:
        return f"{_camel(types[0].code)}Problem"
    shared = SHARED.get(frozenset(each.code for each in types))
    return shared or f"{_camel(operation)}{types[0].status}Problem"


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _description(types: list[ProblemType]) -> str:
    if len(types) == 1:
        return types[0].message
    return "\n".join(f"- [`{each.code}`]({each.uri}): {each.message}" for each in types)


def _schema(types: list[ProblemType]) -> dict[str, Any]:
    code = {"type": "string", "enum": [each.code for each in types], "description": "Which problem it is."}
    return {
        "description": " ".join(each.message for each in types) if len(types) == 1 else "One of several problems.",
        "allOf": [PROBLEM, {"type": "object", "properties": {"code": code}, "required": ["code"]}],
    }


def _example(kind: ProblemType) -> dict[str, Any]:
    return {
        "type": kind.uri,
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        "detail": kind.message,
        "request_id": "b2736ba5cc0d4200af5c1a8d13b6feef",
    }


def _default(document: dict[str, Any]) -> dict[str, str]:
    response = document["components"]["responses"]["DEFAULT_ERROR"]
    response["description"] = "Any other problem, such as `internal_error`. New codes may be added."
    return {"$ref": "#/components/responses/DEFAULT_ERROR"}
