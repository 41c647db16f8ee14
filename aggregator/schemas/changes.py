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

    cursor = fields.Integer(metadata={"description": "Goes up from change to change, with gaps. Send it as it is."})
    type = fields.String(metadata={"enum": [*(kind.value for kind in ChangeKind), "category.updated"]})
    at = Timestamp()
    product_id = fields.UUID(allow_none=True, metadata={"description": "Null where it is a category that changed."})
    category_id = fields.UUID(
        allow_none=True,
        metadata={"description": "Of `category.updated` only: its products show another name or slug of it."},
    )
    price_before = fields.Integer(
        allow_none=True, metadata={"description": "The lowest price in stock before it; of `offers.changed` only."}
    )
    lowest_price = fields.Integer(allow_none=True, metadata={"description": "And after it."})
    offer_count = fields.Integer(allow_none=True, metadata={"description": "How many offers are open after it."})
    sold_out = fields.Boolean(metadata={"description": "Whether it took away the last item that was to be had."})
