"""flask secrets: what is encrypted in the database."""

import sys

import click
from flask.cli import AppGroup

from aggregator.cli.databases import writes
from aggregator.database import transaction
from aggregator.extensions import offers_box, webhook_box
from aggregator.jobs.housekeeping import encrypt_secrets
from aggregator.jobs.run import Run
from aggregator.services import stored_secrets

group = AppGroup("secrets", help="Look after the secrets that are encrypted in the database.")


@group.command("rotate")
@writes
def rotate() -> None:
    """Encrypt all secrets with the current SECRET_KEY; exit with 1 if some cannot be read."""
    click.echo(f"Secrets encrypted with the current key: {encrypt_secrets(Run())}")
    with transaction():
        lost = stored_secrets.count_outdated(webhook_box(), offers_box())
    if lost:
        click.echo(
            f"Secrets that cannot be read: {lost}. Neither SECRET_KEY nor SECRET_KEY_FALLBACKS has their key:"
            " see docs/operations/secrets.md.",
            err=True,
        )
        sys.exit(1)
