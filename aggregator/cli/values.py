"""What the options and arguments of commands may say: numbers, ids and moments in the spelling that is documented."""

from datetime import datetime
from typing import Any
from uuid import UUID

import click

from aggregator import literals


class WholeNumber(click.IntRange):
    """A whole number within bounds, in ASCII digits."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or a usage error."""
        if isinstance(value, str):
            try:
                value = literals.whole(value)
            except ValueError:
                self.fail(f"{value!r} is not a whole number.", param, ctx)
        return super().convert(value, param, ctx)


class DecimalNumber(click.FloatRange):
    """A number within bounds, in ASCII digits, perhaps with a fraction after a point."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or a usage error."""
        if isinstance(value, str):
            try:
                value = literals.decimal(value)
            except ValueError:
                self.fail(f"{value!r} is not a number.", param, ctx)
        return super().convert(value, param, ctx)


class Id(click.types.UUIDParameterType):
    """A UUID, as the API shows ids."""

    name = "uuid"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> UUID:
        """The id, or a usage error."""
        try:
            return value if isinstance(value, UUID) else literals.identifier(value)
        except ValueError:
            self.fail(f"{value!r} is not an id, such as e262b9d9-687b-44d1-9202-6b0e85f84b4e.", param, ctx)


class Moment(click.DateTime):
    """A moment in one of some formats, in ASCII."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment, or a usage error."""
        if isinstance(value, str) and not (value.isascii() and value == value.strip()):
            self.fail(f"{value!r} is not a moment.", param, ctx)
        moment: datetime = super().convert(value, param, ctx)
        return moment


ID = Id()
