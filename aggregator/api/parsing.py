"""Reads requests with limits: what the stock parser answers with a 500, or lets through, is a 4xx here."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flask import Request
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import RAISE
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, UnsupportedMediaType

from aggregator.auth import MAY_CALL, Who, operation_id

PROBLEM_JSON = "application/problem+json"
PROBLEM_SCHEMA = "#/components/schemas/Problem"
SECURITY_SCHEME = "bearerAuth"


class StrictParser(FlaskParser):
    """Refuses unknown query parameters, and JSON that is made to hurt."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE}

    def load_json(self, req: Request, schema: Any) -> Any:
        """The JSON of the body; a 400 where it makes no sense, a 415 where it is something else."""
        if not req.is_json:
            raise UnsupportedMediaType("Send JSON, with Content-Type: application/json.")
        try:
            return json.loads(req.get_data(cache=True).decode("utf-8"), parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise BadRequest("The body is not JSON that can be read.") from None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


View = TypeVar("View", bound=Callable[..., Any])


class Blueprint(SmorestBlueprint):  # type: ignore[misc]
    """flask-smorest's, with the strict parser and an operationId for each operation, such as getProduct."""

    ARGUMENTS_PARSER = StrictParser()

    def problems(self, descriptions: Mapping[int, str]) -> Callable[[View], View]:
        """Document the statuses with which a view may answer instead, and why."""

        def decorator(view: View) -> View:
            for status, description in descriptions.items():
                view = self.alt_response(status, description=description)(view)
            return view

        return decorator

    def _store_endpoint_docs(self, endpoint: str, *args: Any, **kwargs: Any) -> None:
        super()._store_endpoint_docs(endpoint, *args, **kwargs)
        for method, operation in self._docs[endpoint].items():
            if method != "parameters":
                manual = operation.setdefault("manual_doc", {})
                manual["operationId"] = operation_id(method, endpoint)
                manual |= _access(manual["operationId"])


def _access(operation: str) -> dict[str, Any]:
    """What the document says of whom an operation is for."""
    who = MAY_CALL.get(operation, Who.EVERYBODY)
    if who is Who.EVERYBODY:
        return {"security": []}
    problems = {401: "No token, or none that is good", 403: "Not for your role"}
    documented = {
        str(status): {"description": text, "content": {PROBLEM_JSON: {"schema": {"$ref": PROBLEM_SCHEMA}}}}
        for status, text in problems.items()
        if status == 401 or who is Who.ADMIN
    }
    return {"security": [{SECURITY_SCHEME: []}], "responses": documented}
