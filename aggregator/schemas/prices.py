"""The JSON of prices over time."""

from marshmallow import Schema, fields, validate

from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import Moment, Timestamp

PERIOD = "ISO 8601, from 1970 on, with an offset from UTC or a Z."

COVERED = "As asked for; earlier or later where only the whole hour or day is kept that it lies in."


class PeriodQuerySchema(Schema):
    """Which period; the last 30 days unless it says otherwise."""

    since = Moment(metadata={"description": f"From when on; 30 days before `until`. {PERIOD}"})
    until = Moment(metadata={"description": f"Up to when; now, and never later. {PERIOD}"})


class HistoryQuerySchema(PeriodQuerySchema):
    """Which period, and how fine."""

    interval = fields.String(
        load_default="raw",
        validate=validate.OneOf(["raw", "hour", "day"]),
        metadata={"description": "Each change of the price, or what each hour or day of UTC came to; 10000 at most."},
    )


class PointSchema(Schema):
    """A change of the price, or an hour or a day of it.

    A change has `at` and `price`, null while nothing is in stock. An hour or a day has `min`, `avg` (weighted by
    time), `max`, and `last`, the price at its end.
    """

    at = Timestamp(required=True)
    price = fields.Integer(allow_none=True)
    min = fields.Integer(allow_none=True)
    avg = fields.Float(allow_none=True)
    max = fields.Integer(allow_none=True)
    last = fields.Integer(allow_none=True)


class HistorySchema(AnswerSchema):
    """The prices in a period; each holds until the next.

    Of long ago only hours are kept, and then only days. A period that begins or ends inside of one has all of it, and
    where there is no more than a day an hourly history tells that; raw changes tell its prices as far as they are
    known.
    """

    interval = fields.String()
    since = Timestamp(metadata={"description": COVERED})
    until = Timestamp(metadata={"description": COVERED})
    points = fields.List(fields.Nested(PointSchema))


class EndSchema(AnswerSchema):
    """A moment, and the price that was asked then."""

    at = Timestamp()
    price = fields.Integer()


class TrendSchema(AnswerSchema):
    """The trend of a price in a period, in minor units; null where nothing was in stock."""

    since = Timestamp(metadata={"description": COVERED})
    until = Timestamp(metadata={"description": COVERED})
    first = fields.Nested(EndSchema, allow_none=True, metadata={"description": "The first price of the period."})
    last = fields.Nested(EndSchema, allow_none=True, metadata={"description": "The last one."})
    change = fields.Integer(allow_none=True)
    change_percent = fields.Float(allow_none=True, metadata={"description": "Null, too, from a price of 0."})
    direction = fields.String(allow_none=True, metadata={"enum": ["up", "down", "flat", None]})
    min = fields.Integer(allow_none=True)
    max = fields.Integer(allow_none=True)
    average = fields.Float(allow_none=True, metadata={"description": "Weighted by how long each price was asked."})
    enough_data = fields.Boolean(metadata={"description": "Whether there was a price at all."})


class PriceChangeSchema(AnswerSchema):
    """How the present price differs from an earlier one."""

    change = fields.Integer()
    change_percent = fields.Float(allow_none=True, metadata={"description": "Null from a price of 0."})


def _since(text: str, name: str) -> fields.Nested:
    description = f"From the price in force {text} ago; null where there was none, or is none."
    return fields.Nested(PriceChangeSchema, allow_none=True, data_key=name, metadata={"description": description})


class RecentChangesSchema(AnswerSchema):
    """How the present price differs from earlier ones."""

    a_day = _since("24 hours", "24h")
    a_week = _since("7 days", "7d")
    a_month = _since("30 days", "30d")


class ComparisonSchema(AnswerSchema):
    """How much our own price is above the market's lowest; negative below it."""

    difference = fields.Integer()
    percent = fields.Float(allow_none=True, metadata={"description": "Null against a price of 0."})


def _extreme(text: str) -> fields.Nested:
    description = f"{text}, and when it was first asked; where only an hour or a day is kept, when that begins."
    return fields.Nested(EndSchema, allow_none=True, metadata={"description": description})


class InsightsSchema(AnswerSchema):
    """What there is to know of a product's price today, in minor units."""

    price = fields.Integer(
        allow_none=True, metadata={"description": "The lowest price in stock; null when it is sold out."}
    )
    lowest_30_days = _extreme("The lowest price of the last 30 days")
    all_time_low = _extreme("The lowest price ever")
    all_time_high = _extreme("The highest price ever")
    changes = fields.Nested(RecentChangesSchema)
    position = fields.Float(
        allow_none=True,
        metadata={"description": "Where the price stands between the lowest ever (0) and the highest (100)."},
    )
    own_price = fields.Integer(allow_none=True, metadata={"description": "The house's own; null if it sells none."})
    own_against_market = fields.Nested(ComparisonSchema, allow_none=True)
