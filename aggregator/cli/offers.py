"""flask offers: keep offers up to date by hand."""

import json
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import click
from flask.cli import AppGroup

from aggregator.cli.databases import writes
from aggregator.cli.values import ID, Moment
from aggregator.clock import utcnow
from aggregator.errors import ProblemError
from aggregator.extensions import settings
from aggregator.jobs.offers import FAILURES, left_over, sync
from aggregator.jobs.run import Run
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.services import catalog_reads, feeds, formats, offer_reads, price_insights, price_reads
from aggregator.services.price_series import Series

# As the API writes moments, and as people do.
MOMENT = Moment(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", TIMESTAMP_FORMAT])

PRICES = {"change", "min", "max", "average", "price", "own_price"}

group = AppGroup("offers", help="Keep the offers up to date.")


@group.command("trend")
@click.argument("product_id", type=ID)
@click.option("--offer", "offer_id", help="Of this offer, instead of the product's lowest price.")
@click.option("--since", type=MOMENT, help="In UTC; 30 days ago unless given.")
@click.option("--until", type=MOMENT, help="In UTC; now unless given.")
def trend(product_id: UUID, offer_id: str | None, since: datetime | None, until: datetime | None) -> None:
    """Show how the price of a product went."""
    try:
        catalog_reads.tag(product_id)
        series = Series.of_offer(offer_reads.key(offer_id, product_id)) if offer_id else Series.of_product(product_id)
        period = price_reads.period(utcnow(), *(moment and moment.replace(tzinfo=UTC) for moment in (since, until)))
    except ProblemError as error:
        raise click.ClickException(error.detail) from None
    _print(json.loads(price_reads.trend(series, period)))


@group.command("insights")
@click.argument("product_id", type=ID)
def insights(product_id: UUID) -> None:
    """Show how the price of a product stands to those it has had."""
    try:
        found = json.loads(price_insights.insights(product_id, utcnow()))
    except ProblemError as error:
        raise click.ClickException(error.detail) from None
    changes = {f"change in {back}": change for back, change in found.pop("changes").items()}
    _print({**found, **changes})


def _print(found: dict[str, Any]) -> None:
    """A line for each thing that was found."""
    for name, value in found.items():
        click.echo(f"{name.replace('_', ' ')}: {_in_words(name, value)}")


def _in_words(name: str, value: Any) -> str:
    """A price with its moment, a difference with its percentage, a price, or what is plain."""
    if isinstance(value, dict) and "at" in value:
        return f"{_price(value['price'])} at {value['at']}"
    if isinstance(value, dict):
        difference, share = value.values()
        return f"{_difference(difference)}" if share is None else f"{_difference(difference)} ({share:+.2f} %)"
    if value is None or name not in PRICES:
        return json.dumps(value).strip('"')
    return _difference(value) if name == "change" else _price(value)


def _price(minor: float) -> str:
    # An average may lie between two minor units; to show one no coin could pay would help nobody.
    return formats.money(round(minor), settings().currency)


def _difference(minor: int) -> str:
    return f"{'+' if minor >= 0 else ''}{_price(minor)}"


@group.command("sync")
@click.option("--product", "product_id", type=ID, help="Only this one, due or not.")
@writes
def sync_command(product_id: UUID | None) -> None:
    """Sync and register all that is due now; exit with 1 if something failed."""
    length = 1 if product_id else feeds.count_due()
    with click.progressbar(length=length, label="Syncing", file=sys.stderr) as bar:
        done = sync(Run(), product_id, bar.update)
    if not product_id and (problem := left_over()):
        done = {"problem": problem, **done}
    for name, value in done.items():
        click.echo(f"{name.replace('_', ' ')}: {value}")
    if not done:
        click.echo("Nothing was due." if product_id is None else "There is no such product, or it is being synced.")
    if FAILURES & done.keys() or (product_id and not done):
        sys.exit(1)
