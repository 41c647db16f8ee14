"""The JSON of carts."""

from marshmallow import Schema, fields

from aggregator.models.orders import MAX_QUANTITY
from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import Id, Integer


class QuantitySchema(Schema):
    """How many of a product."""

    quantity = Integer(minimum=1, maximum=MAX_QUANTITY, required=True)


class LineInputSchema(QuantitySchema):
    """A product, and how many of it."""

    product_id = Id(required=True)


class CartItemSchema(AnswerSchema):
    """A product in a cart, at the price that it has now."""

    product_id = fields.UUID()
    name = fields.String()
    quantity = fields.Integer()
    unit_price = fields.Integer(allow_none=True, metadata={"description": "Null where it is not sold any more."})
    total = fields.Integer(metadata={"description": "0 where it is not sold any more."})
    available = fields.Integer(metadata={"description": "How many there are now; nothing is reserved by a cart."})


class CartSchema(AnswerSchema):
    """What somebody means to order."""

    items = fields.List(fields.Nested(CartItemSchema))
    count = fields.Integer(metadata={"description": "How many pieces, of all products together."})
    total = fields.Integer(metadata={"description": "What it comes to now, in minor units."})
    currency = fields.String()
