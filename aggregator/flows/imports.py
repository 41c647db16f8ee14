"""Imports a file of products: in batches, a transaction each, or all of it or nothing."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from sqlalchemy.exc import DataError, IntegrityError

from aggregator.clock import utcnow
from aggregator.database import in_transaction, transaction
from aggregator.services import imports
from aggregator.services.imports import Done, Outcome
from aggregator.services.product_rows import Rejected, Row

BATCH = 500


class _Undone(Exception):
    """Takes back what a trial has done."""


def run(rows: Iterable[Row | Rejected], dry_run: bool = False) -> Iterator[Outcome]:
    """Import rows, and yield what became of each, in their order; a bad one costs only itself.

    What has been yielded is committed. With dry_run nothing is; then each batch sees only itself.
    """
    for batch in _batches(rows):
        good = [row for row in batch if isinstance(row, Row)]
        outcomes = iter(_try(good) if dry_run else _put(good))
        yield from (row if isinstance(row, Rejected) else next(outcomes) for row in batch)


def run_whole(rows: Iterable[Row | Rejected]) -> list[Outcome]:
    """Import all rows in one transaction, or none of them: then only those that are rejected are returned."""
    done, now = Done(), utcnow()
    rejected: list[Rejected] = []
    batches = list(_batches(rows))  # to read a file takes its time, and nobody shall wait for that in a transaction
    try:
        with transaction():
            for batch in batches:
                rejected += [row for row in batch if isinstance(row, Rejected)]
                done += imports.put([row for row in batch if isinstance(row, Row)], now)
            rejected += [outcome for outcome in done.outcomes if isinstance(outcome, Rejected)]
            if rejected:
                raise _Undone
            imports.record(done, now)
    except _Undone:
        return [*sorted(rejected, key=_line)]
    return done.outcomes


def _line(row: Rejected) -> int:
    return row.line


def _batches(rows: Iterable[Row | Rejected]) -> Iterator[list[Row | Rejected]]:
    source = iter(rows)
    while batch := list(islice(source, BATCH)):
        yield batch


def _put(rows: Sequence[Row]) -> Sequence[Outcome]:
    try:
        return in_transaction(lambda: _stored(rows))
    except (IntegrityError, DataError):  # somebody was quicker with a name, or a row is what no check has foreseen
        if len(rows) == 1:
            return [Rejected(rows[0].line, ("It cannot be stored: somebody else has just changed the same.",))]
    return [outcome for row in rows for outcome in _put([row])]


def _stored(rows: Sequence[Row]) -> Sequence[Outcome]:
    now = utcnow()
    done = imports.put(rows, now)
    imports.record(done, now)
    return done.outcomes


def _try(rows: Sequence[Row]) -> Sequence[Outcome]:
    done = Done()
    try:
        with transaction():
            done = imports.put(rows, utcnow())
            raise _Undone
    except _Undone:
        return done.outcomes
