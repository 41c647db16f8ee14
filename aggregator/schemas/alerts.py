"""The JSON of alerts."""

from marshmallow import Schema, fields

from aggregator.models import MAX_PRICE, AlertKind, Direction
from aggregator.models.alerts import MAX_BASIS_POINTS, MAX_COOLDOWN, MAX_DAYS
from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import Boolean, Id, Integer, Number, QueryBoolean, Timestamp
from aggregator.schemas.paging import ListQuerySchema, SortText


class AlertFieldsSchema(Schema):
    """What an alert waits for, as far as it can be changed. Prices are the lowest in stock."""

    target = Integer(
        minimum=0, maximum=MAX_PRICE, metadata={"description": "For `below`: fires at this price, and below it."}
    )
    percent = Number(
        minimum=0.01,
        maximum=MAX_BASIS_POINTS / 100,
        decimals=2,
        metadata={"description": "For `change`: how far from the price when the alert was made, or fired last."},
    )
    direction = fields.Enum(
        Direction, by_value=fields.String, metadata={"description": "For `change`: which way; `both` unless given."}
    )
    days = Integer(
        minimum=1,
        maximum=MAX_DAYS,
        allow_none=True,
        metadata={"description": "For `new_low` and `new_high`: how many days back; ever, unless given."},
    )
    cooldown_seconds = Integer(
        minimum=0, maximum=MAX_COOLDOWN, metadata={"description": "How long it is silent after it has fired."}
    )
    by_mail = Boolean()
    by_webhook = Boolean(metadata={"description": "To your webhooks that subscribe to `price.alert`."})


class AlertInputSchema(AlertFieldsSchema):
    """A new alert."""

    product_id = Id(metadata={"description": "The product to watch; either this or a category."})
    category_id = Id(metadata={"description": "All products in it, and in its parts, each by itself."})
    kind = fields.Enum(
        AlertKind,
        by_value=fields.String,
        required=True,
        metadata={
            "description": "`below` fires at the first price at or below the target, again when it falls further, "
            "and once more after it has been above; `change` and `any_change` compare with the price last sent; "
            "`cheapest_offer` looks which offer is the cheapest, not what it costs."
        },
    )
    cooldown_seconds = Integer(minimum=0, maximum=MAX_COOLDOWN, load_default=0)
    by_mail = Boolean(load_default=True)
    by_webhook = Boolean(load_default=False)


class AlertPatchSchema(AlertFieldsSchema):
    """What is to change.

    With another `target`, `percent`, `direction`, `days` or `active` the alert starts again, with the price as it is;
    all else lets it go on where it is.
    """

    active = Boolean(metadata={"description": "Whether it can fire."})


class AlertSchema(AnswerSchema):
    """An alert."""

    id = fields.UUID()
    product_id = fields.UUID(allow_none=True)
    category_id = fields.UUID(allow_none=True)
    kind = fields.Enum(AlertKind, by_value=fields.String)
    target = fields.Integer(allow_none=True)
    percent = fields.Float(allow_none=True)
    direction = fields.Enum(Direction, by_value=fields.String, allow_none=True)
    days = fields.Integer(allow_none=True)
    cooldown_seconds = fields.Integer()
    by_mail = fields.Boolean()
    by_webhook = fields.Boolean()
    active = fields.Boolean()
    fired_at = Timestamp(allow_none=True, metadata={"description": "When the price moved that made it fire last."})
    created_at = Timestamp()
    updated_at = Timestamp()


class AlertsQuerySchema(ListQuerySchema):
    """Which alerts."""

    sort = SortText("created_at")
    product_id = Id()
    category_id = Id()
    kind = fields.Enum(AlertKind, by_value=fields.String)
    active = QueryBoolean()
