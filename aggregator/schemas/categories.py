"""The JSON of categories."""

from typing import Any

from marshmallow import Schema, fields

from aggregator.models.catalog import CATEGORY_LENGTH
from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import Id, QueryBoolean, Text, Timestamp
from aggregator.schemas.paging import ListQuerySchema, SortText


class CategoryInputSchema(Schema):
    """What an admin says of a category."""

    name = Text(min_length=1, max_length=CATEGORY_LENGTH, required=True, metadata={"examples": ["Garden chairs"]})
    slug = Text(
        min_length=1,
        max_length=CATEGORY_LENGTH,
        metadata={
            "description": "Its name in URLs; made of its name unless given.",
            "examples": ["garden-chairs"],
            "pattern": "^[a-z0-9]+(-[a-z0-9]+)*$",
        },
    )
    parent_id = Id(allow_none=True, load_default=None, metadata={"description": "The category that it is a part of."})


class CategoryPatchSchema(CategoryInputSchema):
    """What is to change; everything else stays as it is."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("partial", True)
        super().__init__(**kwargs)


class CategorySchema(AnswerSchema):
    """A part of the catalogue."""

    id = fields.UUID()
    name = fields.String()
    slug = fields.String()
    parent_id = fields.UUID(allow_none=True)
    created_at = Timestamp()
    updated_at = Timestamp()


class CategoriesQuerySchema(ListQuerySchema):
    """Which categories."""

    sort = SortText("name", "slug", "created_at")
    slug = Text(min_length=1, max_length=CATEGORY_LENGTH)
    parent_id = Id(metadata={"description": "The parts of this one."})
    is_root = QueryBoolean(metadata={"description": "Whether it is no part of another one."})
