"""The products of the catalogue, and its parts."""

from datetime import datetime
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, validates

from aggregator.folding import SORT_KEY_LENGTH, folded, sort_key
from aggregator.models.base import MAX_PRICE, MAX_STOCK, Base, no_longer_than, within
from aggregator.models.types import in_code_points

NAME_LENGTH = 255
DESCRIPTION_LENGTH = 20_000
BRAND_LENGTH = 120
BRAND_KEY_LENGTH = 3 * BRAND_LENGTH
CATEGORY_LENGTH = 120


class Category(Base):
    """A part of the catalogue, which may have parts itself."""

    __tablename__ = "categories"
    __table_args__ = (
        sa.CheckConstraint("length(name) >= 1", name="name_given"),
        no_longer_than("name", CATEGORY_LENGTH),
        no_longer_than("slug", CATEGORY_LENGTH),
        sa.CheckConstraint("parent_id <> id", name="parent"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str] = mapped_column(sa.String(CATEGORY_LENGTH))
    sort_key: Mapped[str] = mapped_column(in_code_points(SORT_KEY_LENGTH), server_default="")  # of its name
    slug: Mapped[str] = mapped_column(in_code_points(CATEGORY_LENGTH), unique=True)  # its name in URLs
    parent_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("categories.id"), index=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    @validates("name")
    def _sort_by_name(self, _: str, name: str) -> str:
        self.sort_key = sort_key(name)
        return name


def brand_key(brand: str | None) -> str | None:
    """A brand as it is compared with others."""
    return brand and folded(brand)[:BRAND_KEY_LENGTH]


class Product(Base):
    """Something to buy. Its offers come from the offers service; the house may sell it as well."""

    __tablename__ = "products"
    __table_args__ = (
        sa.CheckConstraint("length(name) >= 1", name="name_given"),
        no_longer_than("name", NAME_LENGTH),
        no_longer_than("description", DESCRIPTION_LENGTH),
        no_longer_than("brand", BRAND_LENGTH),
        within("price", MAX_PRICE),
        within("stock", MAX_STOCK),
        sa.CheckConstraint("rating BETWEEN 0 AND 5", name="rating"),
        sa.Index(
            "uq_products_living_name",
            "name",
            unique=True,
            postgresql_where=sa.text("deleted_at IS NULL"),
            sqlite_where=sa.text("deleted_at IS NULL"),
        ),
        *(
            sa.Index(None, column, "id")
            for column in ("created_at", "updated_at", "price", "rating", "stock", "sort_key")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(NAME_LENGTH))
    sort_key: Mapped[str] = mapped_column(in_code_points(SORT_KEY_LENGTH), server_default="")  # of its name
    description: Mapped[str] = mapped_column(sa.Text)
    brand: Mapped[str | None] = mapped_column(sa.String(BRAND_LENGTH))
    brand_key: Mapped[str | None] = mapped_column(in_code_points(BRAND_KEY_LENGTH))  # the brand, folded
    category_id: Mapped[UUID | None] = mapped_column(sa.ForeignKey("categories.id"), index=True)
    price: Mapped[int | None] = mapped_column(sa.BigInteger)  # the house's own; null: not sold here
    stock: Mapped[int] = mapped_column(default=0)
    rating: Mapped[float | None] = mapped_column(sa.Float)
    version: Mapped[int] = mapped_column(default=1)  # counts the edits and sales; the sync leaves it alone
    # Counts what happens to its images, of which an editor with If-Match need know nothing.
    image_changes: Mapped[int] = mapped_column(default=0, server_default=sa.text("0"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]

    @validates("name")
    def _sort_by_name(self, _: str, name: str) -> str:
        self.sort_key = sort_key(name)
        return name

    @validates("brand")
    def _fold_brand(self, _: str, brand: str | None) -> str | None:
        self.brand_key = brand_key(brand)
        return brand
