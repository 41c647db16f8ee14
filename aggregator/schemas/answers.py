"""What the JSON of all answers has in common."""

from typing import Any

from marshmallow import Schema, fields


class AnswerSchema(Schema):
    """An answer that always has all of its members, and is documented so."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        field_obj.required = True
