"""How many of the connections that PostgreSQL gives out are taken, by whomever."""

import time
from typing import Any

# Of the server, of our role and of our database: whichever limit is the nearest. -1 stands for none.
CONNECTIONS = """
SELECT taken, most FROM (VALUES
    ((SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true), '0')::int),
    ((SELECT count(*) FROM pg_stat_activity WHERE usename = current_user),
        (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user)),
    ((SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
        (SELECT datconnlimit FROM pg_database WHERE datname = current_database()))
) AS limits (taken, most) WHERE most > 0 ORDER BY taken::float / most DESC LIMIT 1
"""
MANY = 0.75  # of all there are
LOOK_SECONDS = 1.0
MODEST_SECONDS = 10.0


class Crowd:
    """Whether this process should get by with one connection where it may have more, because there are few left.

    When a new version starts beside the old one, twice as many processes want connections for a while.
    """

    def __init__(self) -> None:
        self._looked_at = self._modest_until = 0.0

    @property
    def is_there(self) -> bool:
        """Whether few connections were left lately."""
        return time.monotonic() < self._modest_until

    def look(self, connection: Any) -> None:
        """Look again on a connection of the driver that nobody uses, at most once a second."""
        now = time.monotonic()
        if connection is None or now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        with connection.cursor() as cursor:
            cursor.execute(CONNECTIONS)
            found = cursor.fetchone()
        if not connection.autocommit:
            connection.rollback()
        if found and found[0] > MANY * found[1]:
            self._modest_until = now + MODEST_SECONDS
