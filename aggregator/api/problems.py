"""Every error in one shape, RFC 9457 application/problem+json; problem_types.py says what each of them becomes."""

import json
from collections.abc import Callable
from copy import deepcopy
from math import ceil
from threading import RLock
from typing import Any

import marshmallow as ma
import structlog
from apispec import APISpec
from flask import Flask, Response, jsonify, request
from flask_smorest import Api, Blueprint
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException

from aggregator import errors
from aggregator.database import outages
from aggregator.problem_types import type_of
from aggregator.services import constraints

PROBLEM_JSON = "application/problem+json"
# What others raise, by its status: our parser, Werkzeug and flask-smorest.
RAISED_BY_STATUS: dict[int, type[errors.ProblemError]] = {
    400: errors.Malformed,
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.TooLarge,
    415: errors.Unsupported,
    422: errors.ValidationFailed,
    429: errors.TooMany,
    503: errors.Unavailable,
}

log = structlog.get_logger(__name__)


class ProblemSchema(ma.Schema):
    """What went wrong; errors names the fields of the request, where it is about those."""

    type = ma.fields.String(
        required=True, metadata={"format": "uri-reference", "description": "Where the page about it is, on this host."}
    )
    title = ma.fields.String(required=True, metadata={"description": "The type in short."})
    status = ma.fields.Integer(required=True, metadata={"description": "The status of the answer."})
    code = ma.fields.String(
        required=True,
        metadata={"description": "Which problem it is, for programs. It never changes; more may be added."},
    )
    detail = ma.fields.String(required=True, metadata={"description": "What went wrong, for people."})
    request_id = ma.fields.String(required=True)
    errors = ma.fields.Dict()


class ProblemApi(Api):  # type: ignore[misc] # flask-smorest has no types
    """flask-smorest, but its errors are problems and keep their headers (Allow, Retry-After).

    Its document is written when it is asked for: that takes longer than all else an app does to start.
    """

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, app: Flask, complete: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
        self._unwritten: list[Callable[[], None]] = []  # parts of the document
        self._writing = RLock()
        self._complete = complete
        self._document_text: str | None = None
        super().__init__(app)

    def register_blueprint(self, blueprint: Blueprint) -> None:
        """Add the operations of a blueprint to the app."""
        self._app.extensions["flask-smorest"]["blp_name_to_api"][blueprint.name] = self
        self._app.register_blueprint(blueprint)
        self._unwritten.append(lambda: self._document(blueprint))

    @property
    def spec(self) -> APISpec:
        """The document, with all operations that there are by now."""
        with self._writing:
            while self._unwritten:
                self._unwritten.pop(0)()
            assert self._spec is not None
            return self._spec

    @spec.setter
    def spec(self, spec: APISpec | None) -> None:
        if spec is not None:
            written = spec.to_dict
            # What `flask openapi` writes is complete, too.
            spec.to_dict = lambda: self._complete(deepcopy(written()))  # type: ignore[method-assign]
        self._spec = spec

    @property
    def document_text(self) -> str:
        """The document as it is served: written once, and kept."""
        with self._writing:
            if self._document_text is None:
                self._document_text = json.dumps(self.spec.to_dict(), separators=(",", ":"))
            return self._document_text

    def _openapi_json(self) -> Response:
        response = Response(self.document_text, mimetype="application/json")
        response.cache_control.no_cache = True
        response.add_etag()
        return response.make_conditional(request)  # type: ignore[return-value] # it is itself

    def _document(self, blueprint: Blueprint) -> None:
        blueprint.register_views_in_doc(self, self._app, self.spec, name=blueprint.name, parameters=None)

    def _register_responses(self) -> None:
        self._unwritten.append(self._document_responses)

    def _document_responses(self) -> None:
        # Else the document says that errors are application/json.
        saved = Api.DEFAULT_RESPONSE_CONTENT_TYPE
        self.DEFAULT_RESPONSE_CONTENT_TYPE = PROBLEM_JSON
        try:
            super()._register_responses()
        finally:
            self.DEFAULT_RESPONSE_CONTENT_TYPE = saved

    def handle_http_exception(self, error: HTTPException) -> Response:
        """The problem that an HTTP exception is."""
        if error.response is not None:
            return error.response  # type: ignore[return-value]
        data = getattr(error, "data", None) or {}
        headers = {
            name: value for name, value in error.get_headers() if name.lower() not in ("content-type", "content-length")
        }
        status = error.code or 500
        kind = RAISED_BY_STATUS.get(status, errors.Unacceptable if status < 500 else errors.ProblemError)
        if status >= 500 or data.get("messages"):
            detail = kind.message()
        else:
            detail = data.get("message") or error.description or kind.message()
        return problem(kind, detail, data.get("messages"), headers, status)


def problem(
    error: type[errors.ProblemError],
    detail: str,
    fields: Any = None,
    headers: dict[str, str] | None = None,
    status: int | None = None,
) -> Response:
    """A response that says what went wrong."""
    kind = type_of(error)
    status = status or kind.status
    body = {"type": kind.uri, "title": kind.title, "status": status, "code": kind.code, "detail": detail}
    body |= {"errors": fields} if fields else {}
    body["request_id"] = structlog.contextvars.get_contextvars().get("request_id", "")
    response = jsonify(body)
    response.status_code = status
    response.headers.extend(headers or {})
    response.content_type = PROBLEM_JSON
    return response


def init_app(app: Flask) -> None:
    """Turn what services and the database raise into problems."""
    app.register_error_handler(errors.ProblemError, _on_problem)
    app.register_error_handler(IntegrityError, _on_broken_constraint)
    for broken in (DBAPIError, PoolTimeoutError):
        app.register_error_handler(broken, _on_database_trouble)


def _on_problem(error: errors.ProblemError) -> Response:
    return problem(type(error), error.detail, error.extra.get("errors"), _headers(error))


def _on_broken_constraint(error: IntegrityError) -> Response:
    wrong = constraints.problem_of(error)
    if wrong is None:
        raise error
    return _on_problem(wrong)


def _headers(error: errors.ProblemError) -> dict[str, str]:
    if isinstance(error, errors.Unauthorized):
        reason = f', error="{error.bearer_error}"' if error.bearer_error else ""
        return {"WWW-Authenticate": f'Bearer realm="product-aggregator"{reason}'}
    if isinstance(error, errors.TooMany):
        return {"Retry-After": str(max(1, ceil(error.extra["retry_after"])))}
    if isinstance(error, errors.NotReady):
        return {"Retry-After": "1", "Cache-Control": "no-store"}  # a cache may keep a 404 otherwise
    return {"Retry-After": "1"} if isinstance(error, errors.InProgress | errors.Unavailable) else {}


def _on_database_trouble(error: Exception) -> Response:
    kind = errors.DatabaseUnavailable
    if outages().note(error) is None:
        raise error  # it is about our own statement
    return problem(kind, kind.message(), headers={"Retry-After": "2"})
