"""A pool of connections that takes a server with no connection left for one more reason to wait."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self

from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from aggregator.crowd import Crowd
from aggregator.troubles import is_refused_for_now

WAIT_SECONDS = 5.0  # for a connection, whether our own pool has none left or the server
RETRY_SECONDS = 0.1


def note_nothing(_: BaseException) -> object:
    """For pools that nobody watches."""


class PatientPool(QueuePool):
    """SQLAlchemy's own, but a connection that the server refuses because it has too many is waited for.

    Meanwhile somebody in this process may give one back, which does as well. Where the server has few left, one is
    enough: the others are closed when they are given back.
    """

    _sqla_logger_namespace = "sqlalchemy.pool.QueuePool"  # it logs as any other pool does
    note: Callable[[BaseException], object] = staticmethod(note_nothing)
    crowd: Crowd | None = None

    def _do_get(self) -> ConnectionPoolEntry:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                if not self._is_enough(1) or self._pool.qsize():
                    return super()._do_get()
                if time.monotonic() > deadline:
                    raise PoolTimeoutError(f"no connection was given back in {WAIT_SECONDS} s")
            except Exception as error:
                if not is_refused_for_now(error):
                    raise
                self.note(error)
                if time.monotonic() > deadline:
                    raise
            time.sleep(RETRY_SECONDS * random.uniform(0.1, 1))  # noqa: S311 - jitter

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if self.crowd is not None:
            with suppress(Exception):  # it is broken, or may not look; whoever gets it next will see
                self.crowd.look(record.dbapi_connection)
        if self._is_enough(2):
            try:
                record.close()
            finally:
                self._dec_overflow()
        else:
            super()._do_return_conn(record)

    def _is_enough(self, connections: int) -> bool:
        """Whether there are that many connections, and the server has few left."""
        return self.crowd is not None and self.crowd.is_there and self._pool.maxsize + self._overflow >= connections

    def recreate(self) -> Self:
        """Another one like this, without its connections."""
        again: Any = super().recreate()
        again.note, again.crowd = self.note, self.crowd
        return again  # type: ignore[no-any-return]
