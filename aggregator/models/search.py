"""The words by which products are found."""

from enum import IntEnum
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from aggregator.models.base import Base, no_longer_than
from aggregator.models.types import in_code_points

WORD_LENGTH = 40


class Place(IntEnum):
    """Where a word stands, the best place first."""

    NAME = 0
    BRAND = 1
    DESCRIPTION = 2


class SearchWord(Base):
    """A word of a product, without accents and in small letters, and the best place where it stands.

    There is no foreign key: products are hardly ever deleted, and to check one takes half of an import.
    """

    __tablename__ = "search_words"
    __table_args__ = (
        sa.Index(None, "word", "place", postgresql_include=["product_id"]),  # on SQLite, it is always included
        no_longer_than("word", WORD_LENGTH),
        {"sqlite_with_rowid": False},
    )

    product_id: Mapped[UUID] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(in_code_points(WORD_LENGTH), primary_key=True)  # begun words are a range
    place: Mapped[int] = mapped_column(sa.SmallInteger)
