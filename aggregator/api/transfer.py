"""/api/v1/products/import and /export: the catalogue as a file."""

import io
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import Any, TextIO

from flask import Response, request, stream_with_context
from flask.views import MethodView
from werkzeug.exceptions import UnsupportedMediaType

from aggregator.api.parsing import Blueprint
from aggregator.clock import utcnow
from aggregator.errors import ImportRejected, UnreadableImport, UsageError
from aggregator.flows import imports
from aggregator.schemas.transfer import ExportQuerySchema, ImportQuerySchema, ImportReportSchema
from aggregator.services import export, product_rows
from aggregator.services.imports import Became
from aggregator.services.product_rows import Rejected

blueprint = Blueprint("transfer", __name__, url_prefix="/api/v1/products", description="The catalogue as a file.")

MAX_IMPORT_BYTES = 64 * 1024 * 1024
MAX_ERRORS = 1_000
CSV, JSON_LINES = "text/csv", "application/x-ndjson"
READERS = {
    CSV: product_rows.csv_rows,
    **dict.fromkeys((JSON_LINES, "application/jsonl", "application/json-lines"), product_rows.json_rows),
}
PROBLEMS = {
    400: "The body cannot be read",
    413: "The body is too large",
    415: "The body is called neither CSV nor JSON lines",
}
FILE = {"schema": {"type": "string"}}


@blueprint.route("/import")
class Import(MethodView):
    @blueprint.arguments(ImportQuerySchema, location="query")
    @blueprint.response(200, ImportReportSchema)
    @blueprint.problems(PROBLEMS)
    @blueprint.doc(requestBody={"required": True, "content": {CSV: FILE, JSON_LINES: FILE}})
    def post(self, query: dict[str, bool]) -> dict[str, Any]:
        """Add products, or change those there are, by id or by name

        Send CSV, with `id` or `name` and some of `description`, `brand`, `category` (its slug), `price`, `stock` and
        `rating` in the first line, or an object with these in each line. A row that will not do is named with the
        reason and stops no other. What is new is registered in the background.
        """
        reader = READERS.get(request.mimetype)
        if reader is None:
            raise UnsupportedMediaType(f"Send {CSV} or {JSON_LINES}.")
        with _body() as lines:
            try:
                rows = reader(lines)
                whole = query["all_or_nothing"]
                report = _report(imports.run_whole(rows) if whole else imports.run(rows, query["dry_run"]))
            except UsageError as error:
                raise UnreadableImport(error.detail) from None
        if whole and report["rejected"]:
            raise ImportRejected(errors={"rows": report["errors"]})
        return report


@blueprint.route("/export")
class Export(MethodView):
    @blueprint.arguments(ExportQuerySchema, location="query")
    @blueprint.response(200, content_type=JSON_LINES)
    @blueprint.doc(responses={200: {"content": {CSV: FILE, JSON_LINES: FILE}}})
    def get(self, query: dict[str, Any]) -> Response:
        """Write out all products, as CSV or as lines of JSON"""
        form, with_history = query["format"], query["with_history"]
        products = export.products(utcnow(), with_history)
        lines = export.csv_lines(products, with_history) if form == "csv" else export.json_lines(products)
        headers = {"Content-Disposition": f"attachment; filename=products.{form}"}
        return Response(stream_with_context(lines), headers=headers, mimetype=CSV if form == "csv" else JSON_LINES)


@contextmanager
def _body() -> Iterator[TextIO]:
    """The lines of the body, once all of it is here: nobody shall wait for a client inside of a transaction."""
    request.max_content_length = MAX_IMPORT_BYTES
    with TemporaryFile() as file:
        shutil.copyfileobj(request.stream, file)
        file.seek(0)
        yield io.TextIOWrapper(file, encoding="utf-8-sig", errors=product_rows.UNDECODABLE, newline="")


def _report(outcomes: Any) -> dict[str, Any]:
    done: Counter[str] = Counter()
    errors: list[dict[str, Any]] = []
    for outcome in outcomes:
        done["rejected" if isinstance(outcome, Rejected) else outcome[1]] += 1
        if isinstance(outcome, Rejected) and len(errors) < MAX_ERRORS:
            errors.append({"line": outcome.line, "reasons": outcome.reasons})
    return {**{name: done[name] for name in (*Became, "rejected")}, "errors": errors}
