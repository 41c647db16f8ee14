"""flask products: fill the catalogue from the shell, and take it along."""

import gzip
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast
from uuid import UUID

import click
from flask.cli import AppGroup

from aggregator.cli.databases import writes
from aggregator.cli.past import STEP, live_through
from aggregator.cli.values import ID, WholeNumber
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.errors import NotFound, ProblemError, UsageError
from aggregator.extensions import gallery
from aggregator.flows import imports
from aggregator.flows.samples import illustrate
from aggregator.plain_text import plain
from aggregator.services import catalog, categories, export, product_files, samples, stock
from aggregator.services.imports import Became
from aggregator.services.product_files import Form
from aggregator.services.product_rows import Rejected

BATCH = 250
ILLUSTRATED = BATCH  # the samples that get a picture: a worker makes five or so a second

group = AppGroup("products", help="Fill the catalogue, and take it along.")


@group.command("add-samples")
@click.argument("count", type=WholeNumber(1, 1_000_000))
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same products.")
@click.option("--past-days", default=0, type=WholeNumber(0, 90), help="Made-up prices of so many days before today.")
@click.option("--tick", default=60.0, help="Seconds between two prices of the sandbox that goes on with that past.")
@writes
def add_samples(count: int, seed: int, past_days: int, tick: float) -> None:
    """Add COUNT made-up products; the worker registers them. Those that are there already are left alone.

    The first 250 get a picture each, whose sizes the worker makes.
    """
    added = _add_samples(count, seed)
    if past_days:
        _add_past([product["id"] for product in samples.products(count, seed)], past_days, tick)
    illustrated = min(count, ILLUSTRATED)
    pictures = illustrate(gallery(), illustrated, seed)
    try:
        with click.progressbar(pictures, length=illustrated, label="Painting", file=sys.stderr) as bar:
            painted = sum(bar)
    except ProblemError as error:
        raise click.ClickException(error.detail) from None
    click.echo(f"Added {added} products and {painted} pictures, {count - added} products were there already.")


def _add_samples(count: int, seed: int) -> int:
    """Add those that there are not, and count them.

    The first ones come last: they have pictures, and a list begins with the newest.
    """
    added = 0
    with click.progressbar(length=count, label="Adding", file=sys.stderr) as bar:
        for start in reversed(range(0, count, BATCH)):
            size = min(BATCH, count - start)
            added += in_transaction(partial(_add_batch, size, seed, start))
            bar.update(size)
    return added


def _add_batch(size: int, seed: int, start: int) -> int:
    """Add some of the samples, with their categories: none of those can be deleted until they have products."""
    now = utcnow()
    known = categories.add_missing(samples.CATEGORIES, now)
    return catalog.add_missing(list(samples.products(size, seed, start, known)), now)


def _add_past(ids: list[UUID], days: int, tick: float) -> None:
    now = utcnow()
    steps = live_through(ids, days, int(now.timestamp() // tick), now)
    with click.progressbar(steps, length=timedelta(days=days) // STEP, label="Living through", file=sys.stderr) as bar:
        for _ in bar:
            pass


@group.command("stock")
@click.argument("product_id", type=ID)
def stock_command(product_id: UUID) -> None:
    """Print every change of the stock of PRODUCT_ID: when, why, how many, and what that came to."""
    pieces = 0
    try:
        for change in stock.ledger(product_id):
            pieces += change.quantity
            click.echo(f"{change.at}  {change.kind:<8}{change.quantity:+8}{pieces:8}  {change.code or ''}".rstrip())
    except NotFound as error:
        raise click.ClickException(error.detail) from None


FORM = click.Choice([form.value for form in Form])


@group.command("export")
@click.argument("file", type=click.File("wb", atomic=True), default="-")
@click.option("--format", "form", type=FORM, help="Unless the name of FILE says it.")
@click.option("--with-history", is_flag=True, help="With every lowest price that each product has had.")
def export_command(file: BinaryIO, form: str | None, with_history: bool) -> None:
    """Write all products to FILE: .jsonl, .csv or .tsv, each also with .gz; or to the terminal, as lines of JSON."""
    name = str(getattr(file, "name", "-"))
    named = name not in ("-", "<stdout>")
    written = _form(form, name) if named or form else Form.JSON_LINES
    products = _with_progress(export.products(utcnow(), with_history))
    with ExitStack() as stack:
        into = file
        if named and name.lower().endswith(".gz"):
            into = cast(BinaryIO, stack.enter_context(gzip.GzipFile("", "wb", fileobj=file, mtime=0)))
        if written is Form.JSON_LINES:
            lines = export.json_lines(products)
        else:
            lines = export.csv_lines(products, with_history, "\t" if written is Form.TSV else ",")
        into.writelines(line.encode() for line in lines)


def _form(form: str | None, name: str) -> Form:
    try:
        return Form(form) if form else product_files.form_of(Path(name).name)
    except UsageError as error:
        raise click.UsageError(error.detail) from None


def _with_progress(products: Iterable[Any]) -> Iterator[Any]:
    with click.progressbar(products, length=export.count(), label="Exporting", file=sys.stderr) as bar:
        yield from bar


@group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True))
@click.option("--format", "form", type=FORM, help="Unless the name of FILE says it.")
@click.option("--encoding", default="utf-8", show_default=True, help="Such as windows-1250 or utf-16.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--all-or-nothing", is_flag=True, help="Import nothing at all if there is anything wrong.")
@writes
def import_command(file: str, form: str | None, encoding: str, dry_run: bool, all_or_nothing: bool) -> None:
    """Add the products in FILE, or change those there are, by id or by name; the worker registers the new ones.

    FILE is .csv, .tsv, .jsonl or .ndjson, each also with .gz; or - for standard input, with --format. Each row that
    will not do is named with the reason; then the exit code is 1.
    """
    if file == "-" and form is None:
        raise click.UsageError("Say with --format what comes from standard input.")
    read = _form(form, file)
    codec = product_files.codec_of(encoding)
    if codec is None:
        raise click.UsageError(f"The encoding {encoding!r} is not known, or is none of a text file.")
    done: Counter[str] = Counter()
    try:
        with _opened(file) as opened:
            rows = product_files.rows(opened, read, codec)
            for outcome in imports.run_whole(rows) if all_or_nothing else imports.run(rows, dry_run):
                done["rejected" if isinstance(outcome, Rejected) else outcome[1]] += 1
                if isinstance(outcome, Rejected):
                    click.echo(f"line {outcome.line}: {plain(' '.join(outcome.reasons))}", err=True)
    except ProblemError as error:
        if done:
            click.echo(_counted(done, dry_run))
        raise click.ClickException(error.detail) from None
    click.echo(_counted(done, dry_run))
    sys.exit(1 if done["rejected"] else 0)


def _counted(done: Mapping[str, int], dry_run: bool) -> str:
    counted = ", ".join(f"{done[name]} {name}" for name in (*Became, "rejected"))
    return f"Would be: {counted}." if dry_run else f"{counted}."


@contextmanager
def _opened(file: str) -> Iterator[io.BufferedReader]:
    """A file, with a bar that shows how much of it has been read; or standard input."""
    if file == "-":
        yield io.BufferedReader(_Watched(sys.stdin.buffer))
        return
    path = Path(file)
    with path.open("rb") as opened:
        if path.suffix.lower() == ".gz" and not opened.peek(2).startswith(product_files.GZIP):
            raise UsageError(f"The name {path.name!r} says that it is compressed, and it is not.")
        with click.progressbar(length=path.stat().st_size, label="Importing", file=sys.stderr) as bar:
            yield io.BufferedReader(_Watched(opened, bar.update))


class _Watched(io.RawIOBase):
    """A file of which somebody else is to know how much has been read."""

    def __init__(self, file: BinaryIO, has_read: Callable[[int], object] = lambda size: None) -> None:
        self._file, self._has_read = file, has_read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        content = self._file.read(len(buffer))
        buffer[: len(content)] = content
        self._has_read(len(content))
        return len(content)
