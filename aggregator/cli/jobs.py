"""flask jobs: what the worker does, has done, and can be told to do."""

import sys

import click
from flask.cli import AppGroup

from aggregator.cli.databases import writes
from aggregator.cli.values import WholeNumber
from aggregator.database import transaction
from aggregator.jobs import offers
from aggregator.jobs.run import Run
from aggregator.jobs.runner import run_job
from aggregator.jobs.timetable import JOBS
from aggregator.services import jobs

group = AppGroup("jobs", help="Look at the worker's jobs, and run them by hand.")


@group.command("list")
def list_command() -> None:
    """List the jobs and how often they run."""
    for job in JOBS.values():
        click.echo(f"{job.name:<16} every {job.seconds:g} s, when due: {(job.run.__doc__ or '').splitlines()[0]}")


@group.command("run")
@click.argument("name", type=click.Choice(sorted(JOBS)))
@writes
def run_command(name: str) -> None:
    """Run the job NAME now, if there is something to do; exit with 1 if something failed."""
    job = JOBS[name]
    if not job.due():
        click.echo("There is nothing to do.")
        return
    summary = run_job(job, Run())
    if summary is None:
        click.echo("It failed; the log says why.", err=True)
        sys.exit(1)
    if job.run is offers.sync_due and (problem := offers.left_over()):
        summary = {"problem": problem, **summary}
    click.echo(", ".join(f"{key.replace('_', ' ')}: {value}" for key, value in summary.items()) or "Done.")
    if offers.FAILURES & summary.keys():
        sys.exit(1)


@group.command("status")
@click.option("--limit", type=WholeNumber(1, 10_000), default=10, show_default=True, help="How many runs to show.")
def status_command(limit: int) -> None:
    """Show the living workers and the latest runs."""
    with transaction():
        workers, runs = jobs.workers(), jobs.latest_runs(limit)
    for worker in workers:
        click.echo(f"worker {worker.name}, version {worker.version}, last heard of at {worker.beat_at:%F %T} UTC")
    if not workers:
        click.echo("No worker is running.")
    for run in runs:
        click.echo(f"{run.started_at:%F %T}  {run.job:<16} {run.status:<8} {run.summary or run.error or ''}")
