"""The JSON of prices over time."""

from marshmallow import Schema, fields, validate

from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import Moment, Timestamp

PERIOD = "ISO 8601, from 1970 on, with an offset from UTC or a Z."


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

    A change has `at` and `price`, null while nothing is to be had. An hour or a day has `min`, `avg` (weighted by
    time), `max`, and `last`, the price at its end.
    """

    at = Timestamp(required=True)
    price = fields.Integer(allow_none=True)
    min = fields.Integer(allow_none=True)
    avg = fields.Float(allow_none=True)
    max = fields.Integer(allow_none=True)
    last = fields.Integer(allow_none=True)


class HistorySchema(AnswerSchema):
    """The prices in a period; each holds until the next."""

    interval = fields.String()
    points = fields.List(fields.Nested(PointSchema))


class EndSchema(AnswerSchema):
    """A moment, and the price that was asked then."""

    at = Timestamp()
    price = fields.Integer()


class TrendSchema(AnswerSchema):
    """How the price went in a period, in minor units; null where nothing was to be had."""

    since = Timestamp()
    until = Timestamp()
    first = fields.Nested(EndSchema, allow_none=True, metadata={"description": "The first price of the period."})
    last = fields.Nested(EndSchema, allow_none=True, metadata={"description": "The last one."})
    change = fields.Integer(allow_none=True)
    change_percent = fields.Float(allow_none=True, metadata={"description": "Null, too, from a price of 0."})
    direction = fields.String(allow_none=True, metadata={"enum": ["up", "down", "flat", None]})
    min = fields.Integer(allow_none=True)
    max = fields.Integer(allow_none=True)
    average = fields.Float(allow_none=True, metadata={"description": "Weighted by how long each price was asked."})
    enough_data = fields.Boolean(metadata={"description": "Whether there was a price at all."})
