"""Files of products as they come: which form, which encoding, compressed or not; and what is no such file."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from enum import StrEnum
from pathlib import PurePath
from typing import BinaryIO, cast

from aggregator.errors import UsageError
from aggregator.services.csv_records import cells_of
from aggregator.services.product_fields import FIELDS, MARK
from aggregator.services.product_rows import MAX_LINE, Rejected, Row, csv_rows, json_rows


class Form(StrEnum):
    """How products are written into a file."""

    CSV = "csv"
    TSV = "tsv"
    JSON_LINES = "jsonl"


SUFFIXES = {".csv": Form.CSV, ".tsv": Form.TSV, ".jsonl": Form.JSON_LINES, ".ndjson": Form.JSON_LINES}
GZIP = b"\x1f\x8b"
# What begins like this is no text, whatever its name says.
OTHERS = {
    b"PK\x03\x04": "a ZIP archive, as .xlsx and .ods files are: save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook: save it as CSV",
    b"%PDF": "a PDF",
    b"SQLite format 3": "an SQLite database",
    b"BZh": "compressed with bzip2: use gzip",
    b"\xfd7zXZ": "compressed with xz: use gzip",
    b"\x28\xb5\x2f\xfd": "compressed with zstd: use gzip",
}
# By what people and programs call them. What claims to be ISO 8859-1 is windows-1252, as for browsers.
ENCODINGS = {
    **dict.fromkeys(("utf-8", "utf8"), "utf-8-sig"),
    **dict.fromkeys(("us-ascii", "ascii"), "ascii"),
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1", "windows-1252", "cp1252"), "cp1252"),
    **dict.fromkeys(("iso-8859-2", "latin2", "latin-2"), "iso-8859-2"),
    **{name: name for name in ("utf-16", "utf-16le", "utf-16be")},
    **{f"iso-8859-{part}": f"iso-8859-{part}" for part in (*range(3, 12), *range(13, 17))},
    **{f"windows-{page}": f"cp{page}" for page in (1250, 1251, *range(1253, 1259))},
    **{f"cp{page}": f"cp{page}" for page in (437, 850, 852, 1250, 1251, *range(1253, 1259))},
    **{name: name for name in ("koi8-r", "koi8-u")},
}
ON_BAD_BYTES = "mark-the-row"


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Put a mark where bytes are not of the encoding: the row that has it is refused, and no other."""
    assert isinstance(error, UnicodeDecodeError)
    return MARK, error.end


codecs.register_error(ON_BAD_BYTES, _mark)


def codec_of(encoding: str) -> str | None:
    """The codec of an encoding by the name that a header or a person gives it; None for one that is not known."""
    return ENCODINGS.get(encoding.lower().replace("_", "-"))


def form_of(name: str) -> Form:
    """The form that the name of a file speaks of. UsageError where it speaks of none that can be read."""
    path = PurePath(name.lower())
    path = path.with_suffix("") if path.suffix == ".gz" else path
    form = SUFFIXES.get(path.suffix)
    if form is None:
        advice = " Write each object of it on a line of its own, as .jsonl." if path.suffix == ".json" else ""
        known = ", ".join(SUFFIXES)
        raise UsageError(
            f"The name {name!r} does not say what is in it: {known}, each also with .gz; or use --format.{advice}"
        )
    return form


def rows(file: io.BufferedReader, form: Form, codec: str) -> Iterator[Row | Rejected]:
    """The rows of a file, compressed or not. UsageError where it is something else than its form says."""
    errors = "surrogateescape" if codec == ENCODINGS["utf-8"] else ON_BAD_BYTES
    text = io.TextIOWrapper(_unpacked(file), encoding=codec, errors=errors, newline="")
    lines = _lines(text)
    try:
        first = next(lines, "").removeprefix("\ufeff")
        _check(first, form)
        read = json_rows if form is Form.JSON_LINES else csv_rows
        yield from read(line for lines in ([first], lines) for line in lines)
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise UsageError("The file is compressed, and damaged: it cannot be read to its end.") from None
    finally:
        text.detach()  # whoever has opened the file closes it


def _unpacked(file: io.BufferedReader) -> BinaryIO:
    begin = file.peek(16)[:16]
    for magic, kind in OTHERS.items():
        if begin.startswith(magic):
            raise UsageError(f"The file is {kind}.")
    if not begin.startswith(GZIP):
        return file
    return cast(BinaryIO, gzip.GzipFile(fileobj=file))


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines of a file; of one without end no more than is needed to refuse it."""
    while line := text.readline(MAX_LINE + 1):
        piece = line
        while not piece.endswith(("\n", "\r")) and len(piece) > MAX_LINE:
            piece = text.readline(MAX_LINE + 1)
        yield line


def _check(first: str, form: Form) -> None:
    """UsageError where the first line is plainly of another form."""
    begin = first.lstrip()
    if begin.startswith("["):
        raise UsageError("The file is a JSON array: write each object of it on a line of its own.")
    if form is not Form.JSON_LINES and begin.startswith("{"):
        raise UsageError("The file holds JSON, not CSV.")
    if form is Form.JSON_LINES and not begin.startswith("{") and set(_names(first)) & FIELDS.keys():
        raise UsageError("The file holds CSV, not lines of JSON.")


def _names(line: str) -> list[str]:
    try:
        return [name.strip() for delimiter in ",;\t" for name in cells_of(line[:10_000], delimiter)]
    except ValueError:
        return []
