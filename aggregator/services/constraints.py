"""Constraints of the database that two requests at once can break, and the error that each of them is.

Services check what they can before they write. What another transaction does between the check and the write, only the
database sees: a row that is referred to is deleted, or a name is taken. This is the one table of what is answered then.
"""

from collections.abc import Mapping
from functools import cache

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError

from aggregator.database import db
from aggregator.errors import (
    AccountTaken,
    ChangedMeanwhile,
    IdTaken,
    NameTaken,
    ProblemError,
    ReferenceGone,
    SlugTaken,
)
from aggregator.models import Base

FOREIGN_KEY_VIOLATION, UNIQUE_VIOLATION = "23503", "23505"
# SQLite's names for the same. It has one writer, so that only uniqueness is left to it.
SQLITE_FOREIGN_KEY = "SQLITE_CONSTRAINT_FOREIGNKEY"
SQLITE_UNIQUE = {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}

TAKEN: dict[str, type[ProblemError]] = {
    "uq_products_living_name": NameTaken,
    "pk_products": IdTaken,
    "uq_categories_slug": SlugTaken,
    "uq_users_username_key": AccountTaken,
    "uq_users_email_key": AccountTaken,
}
# References that stand in the body of a request: the field that has them, and what they lead to.
FIELDS = {
    "fk_products_category_id_categories": ("category_id", "category"),
    "fk_categories_parent_id_categories": ("parent_id", "category"),
    "fk_alerts_product_id_products": ("product_id", "product"),
    "fk_alerts_category_id_categories": ("category_id", "category"),
    "fk_cart_items_product_id_products": ("product_id", "product"),
    "fk_order_items_product_id_products": ("items", "product"),
}

log = structlog.get_logger(__name__)


def flush(words: Mapping[str, str] | None = None) -> None:
    """Send what has changed to the database. What is taken is a Conflict, in these words by the constraint's name."""
    try:
        db.session.flush()
    except IntegrityError as error:
        if problem := problem_of(error, words):
            raise problem from error
        raise


def problem_of(error: IntegrityError, words: Mapping[str, str] | None = None) -> ProblemError | None:
    """What is wrong with a request whose write broke a constraint; None where the fault is ours."""
    code = getattr(error.orig, "pgcode", None) or getattr(error.orig, "sqlite_errorname", None)
    name = broken(error)
    if code in {UNIQUE_VIOLATION, *SQLITE_UNIQUE}:
        problem = TAKEN.get(name, ChangedMeanwhile)((words or {}).get(name))
    elif code in {FOREIGN_KEY_VIOLATION, SQLITE_FOREIGN_KEY}:
        problem = _gone(name)
    else:
        return None
    log.info("constraint broken", constraint=name)
    return problem


def broken(error: IntegrityError) -> str:
    """The name of the constraint that a statement broke; empty where SQLite does not say which."""
    # PostgreSQL has the name apart from all that the row held. SQLite names the columns.
    if diagnostics := getattr(error.orig, "diag", None):
        return diagnostics.constraint_name or ""
    columns = str(error.orig).partition("UNIQUE constraint failed: ")[2]
    return _unique_names().get(frozenset(columns.split(", ")), "")


def _gone(name: str) -> ProblemError:
    """The error for a reference to a row that is not there, or for the end of a row that is referred to."""
    if name in FIELDS:
        field, thing = FIELDS[name]
        return ReferenceGone(errors={"json": {field: [f"There is no such {thing}."]}})
    return ChangedMeanwhile()


@cache
def _unique_names() -> dict[frozenset[str], str]:
    """The names of what has to be unique, by its columns as SQLite writes them."""
    found = {}
    for table in Base.metadata.sorted_tables:
        unique = [item for item in table.constraints if isinstance(item, sa.PrimaryKeyConstraint | sa.UniqueConstraint)]
        for item in (*unique, *(index for index in table.indexes if index.unique)):
            found[frozenset(f"{table.name}.{column.name}" for column in item.columns)] = str(item.name)
    return found
