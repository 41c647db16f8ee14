"""Fields that several schemas need."""

from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

from aggregator.models.types import TIMESTAMP_FORMAT

# PostgreSQL cannot store NUL, and nothing can encode half of a surrogate pair.
_UNSTORABLE = {"\0", *map(chr, range(0xD800, 0xE000))}


class Text(fields.String):
    """A text that every database can store; min_length and max_length count characters."""

    def __init__(self, *, min_length: int = 0, max_length: int, **kwargs: Any) -> None:
        length = validate.Length(min_length or None, max_length)
        super().__init__(validate=[length, _storable], **kwargs)


class Integer(fields.Integer):
    """A whole number within bounds; no text and no fraction passes for one."""

    def __init__(self, *, minimum: int, maximum: int, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(minimum, maximum), **kwargs)

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool | str):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Number(fields.Float):
    """A number within bounds; no text passes for one."""

    def __init__(self, *, minimum: float, maximum: float, **kwargs: Any) -> None:
        super().__init__(allow_nan=False, validate=validate.Range(minimum, maximum), **kwargs)

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool | str):
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class QueryInteger(fields.Integer):
    """A whole number in a query string, within bounds."""

    def __init__(self, *, minimum: int, maximum: int, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(minimum, maximum), **kwargs)

    def _validated(self, value: Any) -> Any:
        if isinstance(value, str) and len(value) > 20:  # Python takes its time over thousands of digits
            raise self.make_error("invalid", input=value)
        return super()._validated(value)


class Timestamp(fields.AwareDateTime):
    """A moment, ISO 8601 in UTC with microseconds and a Z."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).strftime(TIMESTAMP_FORMAT)


def _storable(text: str) -> None:
    if not _UNSTORABLE.isdisjoint(text):
        raise ValidationError("Contains a character that cannot be stored.")
