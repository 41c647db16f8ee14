"""Runs the migrations of `flask db` on the app's database, one migrator at a time."""

import sys
from contextlib import contextmanager

import sqlalchemy as sa
from alembic import context
from flask import current_app

from aggregator import connecting
from aggregator.database import db
from aggregator.errors import UsageError
from aggregator.models.types import GUID, UTCDateTime
from aggregator.troubles import without_password

MIGRATION_LOCK = 7_206_113_954  # any number, the same for all migrators


def render_item(type_, item, autogen_context):
    """Spell our own column types by name in a generated migration."""
    if type_ == "type" and isinstance(item, GUID | UTCDateTime):
        autogen_context.imports.add("from aggregator.models.types import GUID, UTCDateTime")
        return f"{type(item).__name__}()"
    return False


# In transactions, because behind a pooler there is no session to keep settings or a lock.
PATIENT = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'"


def run_migrations():
    print(f"Database: {without_password(db.engine.url)}", file=sys.stderr)
    with db.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            sa.event.listen(connection, "begin", lambda begun: begun.exec_driver_sql(PATIENT))
            with alone():
                migrate(connection)
        else:
            migrate(connection)


@contextmanager
def alone():
    """Wait until no other migrator is at work, and keep others waiting: each migration is a transaction of its own."""
    engine = sa.create_engine(db.engine.url, poolclass=sa.NullPool, connect_args=connecting.arguments())
    connecting.prepare(engine)
    with engine.connect() as guard:
        guard.exec_driver_sql("SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '10min'")
        guard.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
        guard.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        yield


def migrate(connection):
    context.configure(
        connection=connection,
        target_metadata=db.metadata,
        render_item=render_item,
        transaction_per_migration=True,
        **current_app.extensions["migrate"].configure_args,
    )
    unknown = unknown_revisions()
    connection.rollback()  # nothing is written yet, and the migrations begin transactions of their own
    if not unknown:
        with context.begin_transaction():
            context.run_migrations()
    elif is_upgrade():
        # The release of an older version must not fail: migrations only add, so this version runs on this schema.
        print(f"The schema is newer than this version ({unknown}): nothing to upgrade, this version runs on it.")
    else:
        raise UsageError(
            f"The schema is newer than this version, which does not know revision {unknown}: run this command with"
            " the version that brought it. See docs/operations/going-back.md."
        )


def unknown_revisions():
    """The revisions that the database is at and this version does not know."""
    known = {script.revision for script in context.script.walk_revisions()}
    return ", ".join(sorted(set(context.get_context().get_current_heads()) - known))


def is_upgrade():
    """Whether the command is `flask db upgrade`; Alembic says it by the function that chooses the migrations."""
    return context.get_context().opts["fn"].__name__ == "upgrade"


run_migrations()
