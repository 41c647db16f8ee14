"""flask products: fill the catalogue from the shell, and take it along."""

import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TextIO

import click
from flask.cli import AppGroup

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.services import catalog, export, samples

BATCH = 500

group = AppGroup("products", help="Fill the catalogue, and take it along.")


@group.command("add-samples")
@click.argument("count", type=click.IntRange(1, 1_000_000))
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same products.")
def add_samples(count: int, seed: int) -> None:
    """Add COUNT made-up products; the worker registers them. Those that are there already are left alone."""
    products = samples.products(count, seed)
    added = 0
    with click.progressbar(length=count, label="Adding", file=sys.stderr) as bar:
        while batch := list(islice(products, BATCH)):
            added += in_transaction(lambda batch=batch: catalog.add_missing(batch, utcnow()))  # type: ignore[misc]
            bar.update(len(batch))
    click.echo(f"Added {added} products, {count - added} were there already.")


@group.command("export")
@click.argument("file", type=click.File("w", encoding="utf-8", atomic=True), default="-")
@click.option("--format", "form", type=click.Choice(["csv", "jsonl"]), default="jsonl", show_default=True)
@click.option("--with-history", is_flag=True, help="With every lowest price that each product has had.")
def export_command(file: TextIO, form: str, with_history: bool) -> None:
    """Write all products to FILE, or to the terminal, as lines of JSON or as CSV."""
    products = _with_progress(export.products(utcnow(), with_history))
    file.writelines(export.csv_lines(products, with_history) if form == "csv" else export.json_lines(products))


def _with_progress(products: Iterable[Any]) -> Iterator[Any]:
    with click.progressbar(products, length=export.count(), label="Exporting", file=sys.stderr) as bar:
        yield from bar
