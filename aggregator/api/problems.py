"""Every error in one shape, RFC 9457 application/problem+json; one table says which class has which status."""

from collections.abc import Callable
from http import HTTPStatus
from math import ceil
from threading import RLock
from typing import Any

import marshmallow as ma
import structlog
from apispec import APISpec
from flask import Flask, Response, jsonify, request
from flask_smorest import Api, Blueprint
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.exceptions import HTTPException

from aggregator import errors

PROBLEM_JSON = "application/problem+json"
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}  # RFC 9110's, whatever Python's age
STATUS: dict[type[errors.ProblemError], int] = {
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.InProgress: 409,
    errors.EditedMeanwhile: 412,
    errors.TooLarge: 413,
    errors.Unsupported: 415,
    errors.Invalid: 422,
    errors.TooMany: 429,
    errors.Unavailable: 503,
}

log = structlog.get_logger(__name__)


class ProblemSchema(ma.Schema):
    """What went wrong; errors names the fields of the request, where it is about those."""

    type = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    status = ma.fields.Integer(required=True)
    detail = ma.fields.String()
    request_id = ma.fields.String(required=True)
    errors = ma.fields.Dict()


class ProblemApi(Api):  # type: ignore[misc] # flask-smorest has no types
    """flask-smorest, but its errors are problems and keep their headers (Allow, Retry-After).

    Its document is written when it is asked for: that takes longer than all else an app does to start.
    """

    ERROR_SCHEMA = ProblemSchema

    def __init__(self, app: Flask) -> None:
        self._unwritten: list[Callable[[], None]] = []  # parts of the document
        self._writing = RLock()
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
            return self._spec

    @spec.setter
    def spec(self, spec: APISpec) -> None:
        self._spec = spec

    def _document(self, blueprint: Blueprint) -> None:
        blueprint.register_views_in_doc(self, self._app, self.spec, name=blueprint.name, parameters=None)
        self.spec.tag({"name": blueprint.name, "description": blueprint.description})

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
        code = error.code or 500
        detail = data.get("message") or (error.description if code < 500 else None)
        if data.get("messages"):
            detail = "Some of it is not as it should be; errors says what."
        return problem(code, detail, data.get("messages"), headers)


def problem(
    status: int, detail: str | None = None, fields: Any = None, headers: dict[str, str] | None = None
) -> Response:
    """A response that says what went wrong."""
    body = {"type": "about:blank", "title": TITLES.get(status) or HTTPStatus(status).phrase, "status": status}
    body |= {"detail": detail} if detail else {}
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
    for broken in (OperationalError, InterfaceError, PoolTimeoutError):
        app.register_error_handler(broken, _on_database_trouble)


def _on_problem(error: errors.ProblemError) -> Response:
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    return problem(status, error.detail, error.extra.get("errors"), _headers(error))


def _headers(error: errors.ProblemError) -> dict[str, str]:
    if isinstance(error, errors.Unauthorized):
        reason = f', error="{error.extra["error"]}"' if error.extra["error"] else ""
        return {"WWW-Authenticate": f'Bearer realm="product-aggregator"{reason}'}
    if isinstance(error, errors.TooMany):
        return {"Retry-After": str(max(1, ceil(error.extra["retry_after"])))}
    if isinstance(error, errors.NotReady):
        return {"Retry-After": "1", "Cache-Control": "no-store"}  # a cache may keep a 404 otherwise
    return {"Retry-After": "1"} if isinstance(error, errors.InProgress | errors.Unavailable) else {}


def _on_database_trouble(error: Exception) -> Response:
    log.error("database trouble", path=request.path, error=type(error).__name__, exc_info=error)
    return problem(503, errors.Unavailable().detail, headers={"Retry-After": "2"})
