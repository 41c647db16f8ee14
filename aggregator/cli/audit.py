"""flask audit: is the data as it must be?"""

import sys

import click
from flask.cli import with_appcontext

from aggregator.services import audit


@click.command("audit")
@with_appcontext
def group() -> None:
    """Look for what must never be in the data; exit with 1 where there is something."""
    with click.progressbar(audit.RULES, label="Auditing", file=sys.stderr) as rules:
        found = [violation for rule in rules for violation in audit.violations(rule)]
    for violation in found:
        click.echo(str(violation))
    if found:
        sys.exit(1)
    click.echo(f"All {len(audit.RULES)} rules hold.")
