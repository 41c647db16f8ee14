"""Reads requests with limits: what the stock parser answers with a 500, or lets through, is a 4xx here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from flask import Request
from flask_smorest import Blueprint as SmorestBlueprint
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, HTTPException, UnsupportedMediaType

from aggregator import errors
from aggregator.errors import ProblemError
from aggregator.literals import RepeatedKey, json_value
from aggregator.operations import MAY_CALL, Who, operation_id
from aggregator.schemas.headers import IdempotencySchema, IfMatchSchema
from aggregator.schemas.paging import ListQuerySchema

SECURITY_SCHEME = "bearerAuth"
PROBLEMS = "x-problems"  # in the document, until document/ makes responses of it
TOKEN_PROBLEMS = (errors.Unauthorized, errors.TokenExpired, errors.TokenInvalid, errors.TokenRevoked)
OF_A_BODY = (errors.Malformed, errors.TooLarge, errors.Unsupported)
OF_SCHEMAS: dict[type[Schema], tuple[type[ProblemError], ...]] = {
    ListQuerySchema: (errors.InvalidCursor,),
    IdempotencySchema: (errors.KeyReused, errors.InProgress),
    IfMatchSchema: (errors.EditedMeanwhile,),
}


class StrictParser(FlaskParser):
    """Refuses unknown query parameters, and JSON that is made to hurt."""

    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE}

    def load_querystring(self, req: Request, schema: Any) -> dict[str, str]:
        """The parameters of the query, of one that is there several times the first."""
        return req.args.to_dict()  # an own dict, for Werkzeug's makes an error of every look at what is not there

    def load_json(self, req: Request, schema: Any) -> Any:
        """The JSON of the body; a 400 where it makes no sense, a 415 where it is something else."""
        if getattr(schema, "body_is_optional", False) and _comes_without(req):
            return {}
        if not req.is_json:
            raise UnsupportedMediaType("Send JSON, with Content-Type: application/json.")
        if (charset := req.mimetype_params.get("charset", "utf-8")).lower() not in ("utf-8", "utf8", "us-ascii"):
            raise UnsupportedMediaType(f"JSON is UTF-8, not {charset[:40]!r}.")
        content_coding(req)
        try:
            return json_value(_body(req).decode("utf-8"))
        except RepeatedKey as error:
            raise BadRequest(str(error)) from None
        except (ValueError, RecursionError):
            raise BadRequest("The body is not JSON that can be read.") from None

    def load_files(self, req: Request, schema: Any) -> Any:
        """The files of a form that has each of them once, and nothing else; a 415 where it is no form with files."""
        if req.mimetype != "multipart/form-data" or not req.mimetype_params.get("boundary"):
            raise UnsupportedMediaType("Send a form with a file, as multipart/form-data with a boundary.")
        content_coding(req)
        try:
            files, texts = req.files.to_dict(flat=False), req.form
            req.stream.read(1)  # as for JSON
        except HTTPException:
            raise
        except Exception:  # the server's own, of chunks that make no sense, and the parser's, of parts
            raise BadRequest("The form cannot be read.") from None
        wrong = {name: ["Unknown field."] for name in (*files, *texts) if name not in schema.fields}
        wrong |= {name: ["Not a file."] for name in texts if name in schema.fields}
        wrong |= {name: ["Only one."] for name, several in files.items() if len(several) > 1}
        if wrong:
            raise ValidationError(wrong)
        return {name: several[0] for name, several in files.items()}


class _UnsupportedCoding(UnsupportedMediaType):
    """A 415 that says in which codings a body may come (RFC 9110, 15.5.16)."""

    def __init__(self, coding: str, allowed: Sequence[str]) -> None:
        super().__init__(f"A body with Content-Encoding: {coding[:40]} is not read here.")
        self._allowed = ", ".join(allowed) or "identity"

    def get_headers(self, *args: Any, **kwargs: Any) -> list[tuple[str, str]]:
        return [*super().get_headers(*args, **kwargs), ("Accept-Encoding", self._allowed)]


def content_coding(req: Request, allowed: Sequence[str] = ()) -> str:
    """The Content-Encoding of the body; a 415 for one that is not allowed."""
    coding = req.headers.get("Content-Encoding", "").strip().lower()
    if coding in ("", "identity"):
        return ""
    coding = coding.removeprefix("x-") if coding == "x-gzip" else coding
    if coding not in allowed:
        raise _UnsupportedCoding(coding, allowed)
    return coding


def _comes_without(req: Request) -> bool:
    """Whether a request has no body, and does not pretend to have one."""
    return not (req.content_type or req.content_length or "Transfer-Encoding" in req.headers)


def _body(req: Request) -> bytes:
    """The whole body; a 413 where it is too large, also where nobody has said before how large it would be."""
    try:
        body = req.get_data(cache=True)
        req.stream.read(1)  # of a body in chunks, the limit cuts off the rest in silence; this is the 413
    except HTTPException:
        raise
    except Exception as error:  # the server's own, of chunks that make no sense
        raise ValueError("cannot be read") from error
    return body


View = TypeVar("View", bound=Callable[..., Any])


class Blueprint(SmorestBlueprint):  # type: ignore[misc]
    """flask-smorest's, with the strict parser and an operationId for each operation, such as get_product."""

    ARGUMENTS_PARSER = StrictParser()

    def arguments(self, schema: Any, *, location: str = "json", **kwargs: Any) -> Callable[[View], View]:
        """flask-smorest's; it also documents the problems that come with such arguments."""
        schema = schema() if isinstance(schema, type) else schema  # once, and not for each request
        decorator: Callable[[View], View] = super().arguments(schema, location=location, **kwargs)
        raised = [errors.ValidationFailed, *(OF_A_BODY if location in ("json", "files") else ())]
        raised += [error for kind, several in OF_SCHEMAS.items() if isinstance(schema, kind) for error in several]
        return lambda view: decorator(self.problems(*raised)(view))

    def alt_response(self, status_code: Any, *args: Any, **kwargs: Any) -> Callable[[View], View]:
        """flask-smorest's; but what is only documented is not gone through with each call."""
        decorator = super().alt_response(status_code, *args, **kwargs)

        def document(view: View) -> View:
            view._apidoc = decorator(view)._apidoc  # type: ignore[attr-defined] # where it keeps what it documents
            return view

        return document

    def problems(self, *raised: type[ProblemError]) -> Callable[[View], View]:
        """Document the problems with which a view may answer instead; those of its arguments are known."""
        decorator = self.doc(**{PROBLEMS: {error.code: True for error in raised}})

        def document(view: View) -> View:
            view._apidoc = decorator(view)._apidoc  # type: ignore[attr-defined] # as in alt_response()
            return view

        return document

    def links(self, status: int, links: Mapping[str, Mapping[str, Any]]) -> Callable[[View], View]:
        """Document where an answer leads: operations by their ids, and what of the answer they take."""
        documented = {name: {"operationId": name, **link} for name, link in links.items()}
        decorator: Callable[[View], View] = self.doc(responses={status: {"links": documented}})
        return decorator

    def _store_endpoint_docs(self, endpoint: str, *args: Any, **kwargs: Any) -> None:
        super()._store_endpoint_docs(endpoint, *args, **kwargs)
        for method, operation in self._docs[endpoint].items():
            if method != "parameters":
                manual = operation.setdefault("manual_doc", {})
                manual["operationId"] = operation_id(method, endpoint)
                who = MAY_CALL[manual["operationId"]]  # what is not in there cannot be documented
                manual["security"] = [] if who is Who.EVERYBODY else [{SECURITY_SCHEME: []}]
                raised = [*(TOKEN_PROBLEMS if who is not Who.EVERYBODY else ())]
                raised += [errors.Forbidden] if who is Who.ADMIN else []
                manual[PROBLEMS] = manual.get(PROBLEMS, {}) | {error.code: True for error in raised}
