"""How to ask for a part of a list."""

from marshmallow import Schema, ValidationError, fields, validates_schema

from aggregator.schemas.fields import QueryInteger, Text

MAX_PAGE = 100_000


class SortText(fields.String):
    """Names to sort by. Whether they will do is for the list itself to say; here they are documented."""

    def __init__(self, *names: str) -> None:
        one = f"-?({'|'.join(names)})"
        description = f"Some of {', '.join(f'`{name}`' for name in names)}; a minus turns one around."
        super().__init__(metadata={"description": description, "pattern": f"^({one}(,{one})*)?$"})


class ListQuerySchema(Schema):
    """Which part of a list; in which order, each list says itself."""

    page = QueryInteger(minimum=1, maximum=MAX_PAGE, metadata={"description": "The number of the page."})
    page_size = QueryInteger(minimum=1, maximum=100, load_default=20)
    cursor = Text(
        max_length=3_000,
        metadata={"description": "From the `Link` of rel=next: goes on from there, however far into the list."},
    )

    @validates_schema
    def validate_position(self, data: dict[str, object], **_: object) -> None:
        if "page" in data and "cursor" in data:
            raise ValidationError("Either a page or a cursor.", "cursor")
