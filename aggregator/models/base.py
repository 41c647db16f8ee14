"""The base of all models: plain SQLAlchemy, so that nothing in this package knows of Flask."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase

from aggregator.models.types import GUID, UTCDateTime

# The largest price and stock the product deals in; both fit PostgreSQL's column types with room to add up.
MAX_PRICE = 10**12
MAX_STOCK = 10**9


class Base(DeclarativeBase):
    metadata = sa.MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UTCDateTime(), UUID: GUID()}


def table_of(model: type[Base]) -> sa.Table:
    """The table of a model, for statements that go around the ORM."""
    table = model.__table__
    assert isinstance(table, sa.Table)
    return table


def within(column: str, upper: int) -> sa.CheckConstraint:
    """A CHECK that column is a number from 0 to upper; SQLite would store text in it otherwise."""
    return sa.CheckConstraint(f"{column} BETWEEN 0 AND {upper}", name=column)


def no_longer_than(column: str, characters: int) -> sa.CheckConstraint:
    """A CHECK on the length of a text, which SQLite does not keep by itself."""
    return sa.CheckConstraint(f"length({column}) <= {characters}", name=f"{column}_length")
