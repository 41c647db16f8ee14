"""flask offers: keep offers up to date by hand."""

import sys
from uuid import UUID

import click
from flask.cli import AppGroup

from aggregator.jobs.offers import sync
from aggregator.jobs.run import Run
from aggregator.services import feeds

FAILURES = {"failed", "not_registered", "refused", "problem"}

group = AppGroup("offers", help="Keep the offers up to date.")


@group.command("sync")
@click.option("--product", "product_id", type=click.UUID, help="Only this one, due or not.")
def sync_command(product_id: UUID | None) -> None:
    """Sync and register all that is due now; exit with 1 if something failed."""
    length = 1 if product_id else feeds.count_due()
    with click.progressbar(length=length, label="Syncing", file=sys.stderr) as bar:
        done = sync(Run(), product_id, bar.update)
    for name, value in done.items():
        click.echo(f"{name.replace('_', ' ')}: {value}")
    if not done:
        click.echo("Nothing was due." if product_id is None else "There is no such product, or it is being synced.")
    if FAILURES & done.keys() or (product_id and not done):
        sys.exit(1)
