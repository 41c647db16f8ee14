"""/api/v1/products/import and /export: the catalogue as a file."""

import gzip
import io
import shutil
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

from flask import Response, request, stream_with_context
from flask.views import MethodView
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, UnsupportedMediaType

from aggregator.api.parsing import Blueprint, content_coding
from aggregator.clock import utcnow
from aggregator.errors import ImportRejected, Malformed, TooLarge, UnreadableImport, Unsupported, UsageError
from aggregator.flows import imports
from aggregator.schemas.transfer import ExportQuerySchema, ImportQuerySchema, ImportReportSchema
from aggregator.services import export, product_files
from aggregator.services.imports import Became
from aggregator.services.product_files import Form
from aggregator.services.product_rows import Rejected

blueprint = Blueprint("transfer", __name__, url_prefix="/api/v1/products", description="The catalogue as a file.")

MAX_IMPORT_BYTES = 64 * 1024 * 1024
MAX_ERRORS = 1_000
CSV, JSON_LINES, ANY_FILE = "text/csv", "application/x-ndjson", "application/octet-stream"
FORMS = {
    CSV: Form.CSV,
    "text/tab-separated-values": Form.TSV,
    **dict.fromkeys((JSON_LINES, "application/jsonl", "application/json-lines"), Form.JSON_LINES),
}
FORMATS = {"csv": Form.CSV, "tsv": Form.TSV, "jsonl": Form.JSON_LINES}  # of a file whose type says nothing
PROBLEMS = (Malformed, TooLarge, Unsupported, UnreadableImport, ImportRejected)
FILE = {"schema": {"type": "string"}}
BYTES = {"schema": {"type": "string", "format": "binary"}}


@blueprint.route("/import")
class Import(MethodView):
    @blueprint.arguments(ImportQuerySchema, location="query")
    @blueprint.response(200, ImportReportSchema)
    @blueprint.problems(*PROBLEMS)
    @blueprint.doc(requestBody={"required": True, "content": {ANY_FILE: BYTES}})  # generated clients can send it
    def post(self, query: dict[str, Any]) -> dict[str, Any]:
        """Add products, or change those there are, by id or by name

        Send CSV, with `id` or `name` and some of `description`, `brand`, `category` (its slug), `price`, `stock` and
        `rating` in the first line, or an object with these in each line. A row that is invalid is reported with
        the reason and stops no other. What is new is registered in the background. The charset is UTF-8 unless the
        Content-Type says another; the body may be compressed with gzip, as Content-Encoding. The Content-Type may be
        `text/csv`, `text/tab-separated-values` or `application/x-ndjson`, too; then `format` is not looked at.
        """
        form = FORMATS[query["format"]] if request.mimetype == ANY_FILE else FORMS.get(request.mimetype)
        if form is None:
            raise UnsupportedMediaType(f"Send {CSV} or {JSON_LINES}.")
        codec = _codec(form)
        with _body() as file:
            try:
                rows = product_files.rows(file, form, codec)
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


def _codec(form: Form) -> str:
    """The codec of the charset that the body is said to have. A 415 for one that is not known."""
    charset = request.mimetype_params.get("charset", "utf-8")
    codec = product_files.codec_of(charset)
    if codec is None:
        raise UnsupportedMediaType(f"The charset {charset[:40]!r} is not one that is read here; utf-8 always is.")
    return codec


@contextmanager
def _body() -> Iterator[io.BufferedReader]:
    """The body, once all of it is here: nobody shall wait for a client inside of a transaction."""
    request.max_content_length = MAX_IMPORT_BYTES
    compressed = content_coding(request, allowed=("gzip",)) == "gzip"
    with TemporaryFile() as file, TemporaryFile() as unpacked:
        shutil.copyfileobj(request.stream, file)
        file.seek(0)
        if compressed:
            _unpack(file, unpacked)
        yield cast(io.BufferedReader, unpacked if compressed else file)


def _unpack(file: BinaryIO, into: BinaryIO) -> None:
    """Undo the compression of a body: a 413 where it is of more than it may be, a 400 where it is damaged."""
    size = 0
    try:
        with gzip.GzipFile(fileobj=file) as packed:
            while block := packed.read(64 * 1024):
                size += len(block)
                if size > MAX_IMPORT_BYTES:
                    raise RequestEntityTooLarge
                into.write(block)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise BadRequest("The body is not gzip that can be read to its end.") from None
    into.seek(0)


def _report(outcomes: Any) -> dict[str, Any]:
    done: Counter[str] = Counter()
    errors: list[dict[str, Any]] = []
    for outcome in outcomes:
        done["rejected" if isinstance(outcome, Rejected) else outcome[1]] += 1
        if isinstance(outcome, Rejected) and len(errors) < MAX_ERRORS:
            errors.append({"line": outcome.line, "reasons": outcome.reasons})
    return {**{name: done[name] for name in (*Became, "rejected")}, "errors": errors}
