"""flask products: fill the catalogue from the shell."""

import sys
from itertools import islice

import click
from flask.cli import AppGroup

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.services import catalog, samples

BATCH = 500

group = AppGroup("products", help="Fill the catalogue.")


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
