"""The operations of the API as its own document tells them, calls of them, and what holds for every answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

METHODS = ("get", "post", "put", "patch", "delete")
PROBLEM = "application/problem+json"
PASSWORD = "eleven purple otters"  # everybody's, and in no answer


@dataclass(frozen=True)
class Operation:
    """An operation: how it is called, and what it takes."""

    id: str
    method: str
    path: str  # with {names} in it
    query: Mapping[str, dict[str, Any]]  # the schema of each parameter
    headers: tuple[str, ...]
    body: Mapping[str, dict[str, Any]] | None  # the schema of each field; None where it takes no body
    needs_token: bool
    answers: frozenset[str]  # the documented statuses
    files: frozenset[str] = frozenset()  # the names of the files that it takes, in a form
    text: bool = False  # whether it takes a body of CSV


@dataclass(frozen=True)
class Call:
    """A call that would be good, if only the caller may make it: real ids, a body that will do."""

    operation: Operation
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    text: str | None = None

    def send(self, client: FlaskClient, token: str | None = None, **options: Any) -> TestResponse:
        """The answer; options take the place of what the call would send."""
        content: dict[str, Any] = {"query_string": self.query}
        if options.keys().isdisjoint(("data", "json", "input_stream")):
            if self.body is not None:
                content["json"] = self.body
            if self.text is not None:
                content |= {"data": self.text, "content_type": "text/csv"}
            if self.files:
                content["data"] = {name: (BytesIO(file), "a file") for name, file in self.files.items()}
        return send(client, self.operation.method, self.path, token, **content | options)


def send(client: FlaskClient, method: str, path: str, token: str | None = None, **options: Any) -> TestResponse:
    """The answer to any request, of which must hold what holds for all of them."""
    headers = dict(options.pop("headers", None) or {})
    if token is not None:
        headers.setdefault("Authorization", f"Bearer {token}")
    response = client.open(path, method=method, headers=headers, **options)
    assert_careful(response)
    return response


def assert_careful(response: TestResponse) -> None:
    """Every answer tells browsers to be careful, and errors have one form; none tells a secret or sets a cookie."""
    headers = response.headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"].startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Request-ID"]
    assert {"Set-Cookie", "Server", "X-Powered-By"}.isdisjoint(headers)
    assert [secret for secret in (PASSWORD, "$argon2") if secret in response.text] == []
    if response.status_code < 400 and response.request.path.startswith("/api/"):
        assert "password" not in response.text
    if response.status_code >= 400 and response.request.method != "HEAD":
        assert response.content_type == PROBLEM
        assert response.json["status"] == response.status_code
    if response.status_code == 401:
        assert headers["WWW-Authenticate"].startswith("Bearer ")
        assert headers["Cache-Control"] == "no-store"


@lru_cache(maxsize=8)
def operations(app: Flask) -> list[Operation]:
    """All operations, in the order of the document."""
    document = app.test_client().get("/openapi.json").json
    return [
        _operation(document, path, method, methods)
        for path, methods in document["paths"].items()
        for method in METHODS
        if method in methods
    ]


def with_body(app: Flask) -> list[Operation]:
    """The operations that take a body of JSON."""
    return [operation for operation in operations(app) if operation.body is not None]


def _operation(document: dict[str, Any], path: str, method: str, methods: dict[str, Any]) -> Operation:
    described = methods[method]
    parameters = [*methods.get("parameters", []), *described.get("parameters", [])]
    content = described.get("requestBody", {}).get("content", {})
    body, form = (
        _resolved(document, content[kind]["schema"])["properties"] if kind in content else None
        for kind in ("application/json", "multipart/form-data")
    )
    return Operation(
        id=described["operationId"],
        method=method.upper(),
        path=path,
        query={p["name"]: _resolved(document, p["schema"]) for p in parameters if p["in"] == "query"},
        headers=tuple(p["name"] for p in parameters if p["in"] == "header"),
        body=body and {name: _resolved(document, schema) for name, schema in body.items()},
        needs_token=described["security"] != [],
        answers=frozenset(described["responses"]),
        files=frozenset(form or ()),
        text="application/octet-stream" in content,
    )


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def kind(schema: Mapping[str, Any]) -> str:
    """What a schema takes: id, enum, text, number (whole or not) or boolean."""
    if schema.get("format") == "uuid":
        return "id"
    if "enum" in schema:
        return "enum"
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {"string": "text", "integer": "number"}.get(types[0], types[0])
