"""Asks the database what it would say to a write, and how many connections it has left, without writing anything."""

import sqlite3

from flask import current_app
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from aggregator.crowd import CONNECTIONS
from aggregator.database import BUSY_TIMEOUT_MS
from aggregator.troubles import Kind, Trouble, trouble_of, who_and_where

CROWDED = 0.9  # of all connections
MAY_WRITE = """
SELECT current_setting('transaction_read_only') = 'on',
    (SELECT bool_and(has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE'))
    FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace)
"""


def writing_trouble() -> Trouble | None:
    """Why nothing can be written now, where that is so. Raises what the database raises where it cannot be asked."""
    engine: Engine = current_app.extensions["reader"]
    if engine.dialect.name == "sqlite":
        return _writing_to_sqlite(engine)
    with engine.connect() as connection:
        read_only, may_write = connection.exec_driver_sql(MAY_WRITE).one()
    if read_only or may_write is False:
        return Trouble(Kind.READ_ONLY if read_only else Kind.NO_RIGHTS, who_and_where(engine.url))
    return None


def _writing_to_sqlite(engine: Engine) -> Trouble | None:
    """Begin to write and leave it at that; where somebody else is writing, all is well."""
    connection = engine.raw_connection()
    cursor = connection.cursor()
    try:
        cursor.execute("PRAGMA busy_timeout = 0")
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("ROLLBACK")
    except sqlite3.Error as error:
        trouble = trouble_of(error, engine.url)
        return None if trouble and trouble.kind is Kind.LOCKED else trouble
    finally:
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.close()
    return None


def crowding() -> Trouble | None:
    """Whether nearly all connections that PostgreSQL gives out are taken."""
    engine: Engine = current_app.extensions["reader"]
    if engine.dialect.name == "sqlite":
        return None
    try:
        with engine.connect() as connection:
            taken, most = connection.exec_driver_sql(CONNECTIONS).one()
    except SQLAlchemyError:
        return None  # somebody may have taken the right to look
    if taken >= CROWDED * most:
        return Trouble(Kind.TOO_MANY, who_and_where(engine.url), f"{taken} of {most}")
    return None
