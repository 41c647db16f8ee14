"""flask sandbox: an offers service of one's own."""

from typing import Any

import click
from flask.cli import AppGroup

from aggregator.cli.values import DecimalNumber, WholeNumber
from aggregator.sandbox import DEFAULT_REFRESH_TOKEN, Sandbox
from aggregator.sandbox.serving import DEFAULT_PORT, FAULT_HELP, LIVELY_HELP, describe_kinds, serve

group = AppGroup("sandbox", help="An offers service of your own, to develop and test against.")

# \b keeps click from running the lines of the list together.
EPILOG = f"Kinds of faults:\n\n\b\n{describe_kinds()}"


@group.command(with_appcontext=False, epilog=EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", type=WholeNumber(0, 65535), default=DEFAULT_PORT, show_default=True, help="0 for any.")
@click.option("--generation", type=click.Choice(["v1", "v2"]), default="v2", show_default=True)
@click.option("--seed", type=WholeNumber(), default=0, show_default=True, help="Another seed is another market.")
@click.option(
    "--tick", type=DecimalNumber(), default=60, show_default=True, metavar="SECONDS", help="Between two prices."
)
@click.option("--latency-ms", type=DecimalNumber(), default=0, show_default=True, help="Delay before each answer.")
@click.option(
    "--token-ttl", type=DecimalNumber(), default=300, show_default=True, metavar="SECONDS", help="A token lasts."
)
@click.option("--refresh-token", default=DEFAULT_REFRESH_TOKEN, show_default=True)
@click.option("--fault", "faults", multiple=True, metavar="KIND", help=FAULT_HELP)
@click.option("--lively", is_flag=True, help=LIVELY_HELP)
@click.option("--verbose", is_flag=True, help="Write a line for each request.")
@click.pass_context
def run(context: click.Context, /, **options: Any) -> None:
    """Run the sandbox until Ctrl-C."""
    try:
        sandbox = Sandbox(**options, record=False)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    context.exit(serve(sandbox, click.echo))
