"""flask products: fill the catalogue from the shell, and take it along."""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

import click
from flask.cli import AppGroup

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.errors import NotFound, ProblemError
from aggregator.extensions import gallery
from aggregator.flows import imports
from aggregator.flows.samples import illustrate
from aggregator.plain_text import plain
from aggregator.services import catalog, categories, export, product_rows, samples, stock
from aggregator.services.imports import Became
from aggregator.services.product_rows import Rejected

BATCH = 250
ILLUSTRATED = BATCH  # the samples that get a picture: a worker makes five or so a second

group = AppGroup("products", help="Fill the catalogue, and take it along.")


@group.command("add-samples")
@click.argument("count", type=click.IntRange(1, 1_000_000))
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same products.")
def add_samples(count: int, seed: int) -> None:
    """Add COUNT made-up products; the worker registers them. Those that are there already are left alone.

    The first 250 get a picture each, whose sizes the worker makes.
    """
    added = _add_samples(count, seed)
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


@group.command("stock")
@click.argument("product_id", type=click.UUID)
def stock_command(product_id: UUID) -> None:
    """Print every change of the stock of PRODUCT_ID: when, why, how many, and what that came to."""
    pieces = 0
    try:
        for change in stock.ledger(product_id):
            pieces += change.quantity
            click.echo(f"{change.at}  {change.kind:<8}{change.quantity:+8}{pieces:8}  {change.code or ''}".rstrip())
    except NotFound as error:
        raise click.ClickException(error.detail) from None


@group.command("export")
@click.argument("file", type=click.File("w", encoding="utf-8", atomic=True), default="-")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="Unless the name of FILE says it.")
@click.option("--with-history", is_flag=True, help="With every lowest price that each product has had.")
def export_command(file: TextIO, form: str | None, with_history: bool) -> None:
    """Write all products to FILE, or to the terminal, as lines of JSON or as CSV."""
    products = _with_progress(export.products(utcnow(), with_history))
    is_csv = (form or Path(file.name).suffix.lstrip(".").lower()) == "csv"
    file.writelines(export.csv_lines(products, with_history) if is_csv else export.json_lines(products))


def _with_progress(products: Iterable[Any]) -> Iterator[Any]:
    with click.progressbar(products, length=export.count(), label="Exporting", file=sys.stderr) as bar:
        yield from bar


@group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), help="Unless the name of FILE says it.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option("--all-or-nothing", is_flag=True, help="Import nothing at all if there is anything wrong.")
def import_command(file: Path, form: str | None, dry_run: bool, all_or_nothing: bool) -> None:
    """Add the products in FILE, or change those there are, by id or by name; the worker registers the new ones.

    Each row that will not do is named with the reason; then the exit code is 1.
    """
    read = product_rows.csv_rows if (form or file.suffix.lstrip(".").lower()) == "csv" else product_rows.json_rows
    done: Counter[str] = Counter()
    try:
        with file.open(encoding="utf-8-sig", errors=product_rows.UNDECODABLE, newline="") as lines:
            rows = read(_with_size(lines, file.stat().st_size))
            for outcome in imports.run_whole(rows) if all_or_nothing else imports.run(rows, dry_run):
                done["rejected" if isinstance(outcome, Rejected) else outcome[1]] += 1
                if isinstance(outcome, Rejected):
                    click.echo(f"line {outcome.line}: {plain(' '.join(outcome.reasons))}", err=True)
    except ProblemError as error:
        raise click.ClickException(error.detail) from None
    counted = ", ".join(f"{done[name]} {name}" for name in (*Became, "rejected"))
    click.echo(f"Would be: {counted}." if dry_run else f"{counted}.")
    sys.exit(1 if done["rejected"] else 0)


def _with_size(lines: TextIO, size: int) -> Iterator[str]:
    """The lines of a file, with a bar that shows how much of it has been read."""
    with click.progressbar(length=size, label="Importing", file=sys.stderr) as bar:
        for line in lines:
            bar.update(len(line))
            yield line
