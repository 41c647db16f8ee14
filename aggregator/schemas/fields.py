"""Fields that several schemas need."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields, validate

from aggregator import literals
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.text import composed

# PostgreSQL cannot store NUL, and nothing can encode half of a surrogate pair.
_UNSTORABLE = {"\0", *map(chr, range(0xD800, 0xE000))}


class Text(fields.String):
    """A text that every database can store, composed (NFC); min_length and max_length count characters."""

    def __init__(self, *, min_length: int = 0, max_length: int, **kwargs: Any) -> None:
        length = validate.Length(min_length or None, max_length)
        super().__init__(validate=[length, _storable], **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> str:
        return self.spelled(super()._deserialize(value, attr, data, **kwargs))

    def spelled(self, text: str) -> str:
        """The text as it is kept and compared."""
        return composed(text)


class Integer(fields.Integer):
    """A whole number within bounds, however JSON writes it; no text and no fraction passes for one."""

    def __init__(self, *, minimum: int, maximum: int, **kwargs: Any) -> None:
        super().__init__(strict=True, validate=validate.Range(minimum, maximum), **kwargs)

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool | str):
            raise self.make_error("invalid", input=value)
        whole = isinstance(value, float) and value.is_integer()
        return super()._validated(int(value) if whole else value)


class Number(fields.Float):
    """A number within bounds, of no more than so many decimals; no text passes for one."""

    def __init__(self, *, minimum: float, maximum: float, decimals: int | None = None, **kwargs: Any) -> None:
        self.decimals = decimals
        super().__init__(allow_nan=False, validate=validate.Range(minimum, maximum), **kwargs)

    def _validated(self, value: Any) -> Any:
        if isinstance(value, bool | str):
            raise self.make_error("invalid", input=value)
        number = super()._validated(value)
        if self.decimals is not None and number is not None and number != round(number, self.decimals):
            raise ValidationError(f"No more than {self.decimals} decimals.")
        return number


class Boolean(fields.Boolean):
    """True or false; no text and no number passes for one."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise self.make_error("invalid", input=value)
        return value


class QueryInteger(fields.Integer):
    """A whole number in a query string, within bounds."""

    def __init__(self, *, minimum: int, maximum: int, **kwargs: Any) -> None:
        super().__init__(validate=validate.Range(minimum, maximum), **kwargs)

    def _validated(self, value: Any) -> Any:
        try:
            return literals.whole(value)
        except (ValueError, TypeError):
            raise self.make_error("invalid", input=value) from None


class QueryNumber(fields.Float):
    """A number in a query string, within bounds."""

    def __init__(self, *, minimum: float, maximum: float, **kwargs: Any) -> None:
        super().__init__(allow_nan=False, validate=validate.Range(minimum, maximum), **kwargs)

    def _validated(self, value: Any) -> Any:
        try:
            return literals.decimal(value)
        except (ValueError, TypeError):
            raise self.make_error("invalid", input=value) from None


class QueryBoolean(fields.Boolean):
    """True or false in a query string."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bool:
        try:
            return literals.flag(value)
        except (ValueError, AttributeError):
            raise self.make_error("invalid", input=value) from None


class Id(fields.UUID):
    """A UUID that a request names, as RFC 9562 writes it."""

    def _validated(self, value: Any) -> UUID:
        try:
            return literals.identifier(value)
        except (ValueError, TypeError):
            raise self.make_error("invalid_uuid") from None


class Timestamp(fields.AwareDateTime):
    """A moment, ISO 8601 in UTC with microseconds and a Z."""

    def _serialize(self, value: datetime | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else value.astimezone(UTC).strftime(TIMESTAMP_FORMAT)


class Moment(Timestamp):
    """A moment that a request names, in UTC."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> datetime:
        try:
            literals.moment(value)
        except (ValueError, TypeError):
            raise self.make_error("invalid", input=value, obj_type="datetime") from None
        moment: datetime = super()._deserialize(value, attr, data, **kwargs)
        try:
            moment = moment.astimezone(UTC)
        except OverflowError:  # hours beyond the years that there are, in another time zone
            if moment.year > 1970:
                raise self.make_error("invalid", input=value, obj_type="datetime") from None
        if moment.year < 1970:
            raise ValidationError("Must not be before 1970.")
        return moment


def _storable(text: str) -> None:
    if not _UNSTORABLE.isdisjoint(text):
        raise ValidationError("Contains a character that cannot be stored.")
