"""Column types that behave the same on SQLite and PostgreSQL."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Dialect

TIMESTAMP_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class GUID(sa.types.TypeDecorator[UUID]):
    """A UUID; on SQLite its canonical text, so that SQL can put it into JSON as it is."""

    impl = sa.Uuid
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.CHAR(36) if dialect.name == "sqlite" else sa.Uuid())

    def process_bind_param(self, value: UUID | str | None, dialect: Dialect) -> UUID | str | None:
        if value is None:
            return None
        value = UUID(value) if isinstance(value, str) else value
        return str(value) if dialect.name == "sqlite" else value

    def process_result_value(self, value: UUID | str | None, dialect: Dialect) -> UUID | None:
        return UUID(value) if isinstance(value, str) else value


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """An aware moment in UTC; on SQLite ISO 8601 text of fixed width, which sorts as time does."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(sa.CHAR(27))
        return dialect.type_descriptor(sa.DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | str | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        value = value.astimezone(UTC)
        return value.strftime(TIMESTAMP_FORMAT) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | str | None, dialect: Dialect) -> datetime | None:
        if isinstance(value, str):
            return datetime.strptime(value, TIMESTAMP_FORMAT).replace(tzinfo=UTC)
        return value if value is None else value.astimezone(UTC)


class WholeNumber(sa.types.TypeDecorator[int]):
    """A whole number of up to 38 digits; on SQLite, whose own end at 64 bits, its text."""

    impl = sa.Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(sa.String(39) if dialect.name == "sqlite" else sa.Numeric(38, 0))

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | str | None:
        return str(value) if dialect.name == "sqlite" and value is not None else value

    def process_result_value(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


def in_code_points(length: int) -> sa.String:
    """A text in the order of its code points: by itself, that of PostgreSQL is the database's, whichever that is."""
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


# SQLite numbers its rows only where the key is spelled INTEGER.
BigKey = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def choice(enum: type[StrEnum], closed: bool = True) -> sa.Enum:
    """A column that holds one value of enum, as text: native enums are hard to migrate.

    A closed one has a CHECK; one that is not may get more values later without a migration.
    """
    return sa.Enum(
        enum,
        name=enum.__name__.lower(),
        native_enum=False,
        length=16,
        create_constraint=closed,
        validate_strings=True,
        values_callable=lambda members: [member.value for member in members],
    )
