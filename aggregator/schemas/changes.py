"""The JSON of changes."""

from marshmallow import Schema, fields

from aggregator.models import ChangeKind
from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import QueryInteger, Timestamp


class ChangesQuerySchema(Schema):
    """Which changes."""

    cursor = QueryInteger(
        minimum=0,
        maximum=2**63 - 1,
        load_default=0,
        metadata={"description": "The `cursor` of the last change you have seen; without it, from the beginning."},
    )
    limit = QueryInteger(minimum=1, maximum=1_000, load_default=100)


class ChangeSchema(AnswerSchema):
    """A change of a product, or of its offers."""

    cursor = fields.Integer(metadata={"description": "Goes up from change to change, with gaps."})
    type = fields.Enum(ChangeKind, by_value=fields.String)
    at = Timestamp()
    product_id = fields.UUID()
    price_before = fields.Integer(
        allow_none=True, metadata={"description": "The lowest price in stock before it; of `offers.changed` only."}
    )
    lowest_price = fields.Integer(allow_none=True, metadata={"description": "And after it."})
    offer_count = fields.Integer(allow_none=True, metadata={"description": "How many offers are open after it."})
    sold_out = fields.Boolean(metadata={"description": "Whether it took away the last item that was to be had."})
