"""Imports a file of products: in batches, a transaction each, or all of it or nothing."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from sqlalchemy.exc import DataError, IntegrityError

from aggregator.clock import utcnow
from aggregator.database import in_transaction, transaction
from aggregator.services import constraints, imports
from aggregator.services.imports import Done, Outcome
from aggregator.services.product_rows import Rejected, Row

BATCH = 500


class _Undone(Exception):
    """Takes back what a transaction has done; rejected are the rows because of which it does."""

    def __init__(self, rejected: Sequence[Rejected] = ()) -> None:
        self.rejected = [*rejected]
        super().__init__()


def run(rows: Iterable[Row | Rejected], dry_run: bool = False) -> Iterator[Outcome]:
    """Import rows, and yield what became of each, in their order; a bad one costs only itself.

    What has been yielded is committed. With dry_run nothing is; then each batch sees only itself.
    """
    for batch in _batches(rows):
        outcomes = iter(_put([row for row in batch if isinstance(row, Row)], _try if dry_run else _store))
        yield from (row if isinstance(row, Rejected) else next(outcomes) for row in batch)


def run_whole(rows: Iterable[Row | Rejected]) -> list[Outcome]:
    """Import all rows in one transaction, or none of them: then only those that are rejected are returned.

    Conflict or Invalid where another request has just taken a name, or deleted what a row refers to.
    """
    batches = list(_batches(rows))  # to read a file takes its time, and nobody shall wait for that in a transaction
    try:
        return in_transaction(lambda: _whole(batches))
    except _Undone as undone:
        return [*sorted(undone.rejected, key=_line)]
    except IntegrityError as error:
        raise constraints.problem_of(error) or error from None


def _whole(batches: Sequence[Sequence[Row | Rejected]]) -> list[Outcome]:
    done, now = Done(), utcnow()
    rejected: list[Rejected] = []
    for batch in batches:
        rejected += [row for row in batch if isinstance(row, Rejected)]
        done += imports.put([row for row in batch if isinstance(row, Row)], now)
    rejected += [outcome for outcome in done.outcomes if isinstance(outcome, Rejected)]
    if rejected:
        raise _Undone(rejected)
    imports.record(done, now)
    return done.outcomes


def _line(row: Rejected) -> int:
    return row.line


def _batches(rows: Iterable[Row | Rejected]) -> Iterator[list[Row | Rejected]]:
    source = iter(rows)
    while batch := list(islice(source, BATCH)):
        yield batch


def _put(rows: Sequence[Row], put: Callable[[Sequence[Row]], Sequence[Outcome]]) -> Sequence[Outcome]:
    """What became of rows; where the database refuses them together, each is put alone."""
    try:
        return put(rows)
    except (IntegrityError, DataError):  # another request took a name first, or a row is what no check has foreseen
        if len(rows) == 1:
            return [Rejected(rows[0].line, ("It cannot be stored: somebody else has just changed the same.",))]
    return [outcome for row in rows for outcome in _put([row], put)]


def _store(rows: Sequence[Row]) -> Sequence[Outcome]:
    return in_transaction(lambda: _stored(rows))


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
