"""How to ask for a part of a list."""

from marshmallow import Schema, ValidationError, validates_schema

from aggregator.schemas.fields import QueryInteger, Text

MAX_PAGE = 100_000


class ListQuerySchema(Schema):
    """Which part of a list, and in which order."""

    sort = Text(
        max_length=200,
        metadata={"description": "Names to sort by, such as `name,-created_at`; a minus turns one around."},
    )
    page = QueryInteger(minimum=1, maximum=MAX_PAGE, metadata={"description": "The number of the page."})
    page_size = QueryInteger(minimum=1, maximum=100, load_default=20)
    cursor = Text(
        max_length=2_000,
        metadata={"description": "From the `Link` of rel=next: goes on from there, however far into the list."},
    )

    @validates_schema
    def validate_position(self, data: dict[str, object], **_: object) -> None:
        if "page" in data and "cursor" in data:
            raise ValidationError("Either a page or a cursor.", "cursor")
