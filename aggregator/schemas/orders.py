"""The JSON of orders."""

from marshmallow import Schema, fields, validate

from aggregator.models import OrderStatus
from aggregator.models.orders import CODE_LENGTH, MAX_LINES, MAX_TOTAL
from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.carts import LineInputSchema
from aggregator.schemas.fields import Id, Integer, Moment, Text, Timestamp
from aggregator.schemas.paging import ListQuerySchema, SortText

BY = "The name of the user; `system` where it was nobody. Customers see `admin` in place of others' names."
TYPED = 4 * CODE_LENGTH  # characters of a code with blanks between them


class PurchaseSchema(Schema):
    """How to order."""

    expected_total = Integer(
        minimum=0,
        maximum=MAX_TOTAL,
        metadata={"description": "The total that you have seen: where it is another by now, nothing is done."},
    )


class CheckoutSchema(PurchaseSchema):
    """How to order what is in the cart."""

    body_is_optional = True


class OrderInputSchema(PurchaseSchema):
    """A new order."""

    items = fields.List(fields.Nested(LineInputSchema), required=True, validate=validate.Length(min=1, max=MAX_LINES))


class OrderPatchSchema(PurchaseSchema):
    """What is to change."""

    items = fields.List(
        fields.Nested(LineInputSchema),
        validate=validate.Length(min=1, max=MAX_LINES),
        metadata={"description": "All lines, by whose order it is, while it is placed."},
    )
    status = fields.Enum(OrderStatus, by_value=fields.String, metadata={"description": "By admins."})


class OrderItemSchema(AnswerSchema):
    """A line of an order, with the name and the price that the product had."""

    product_id = fields.UUID()
    product_name = fields.String()
    quantity = fields.Integer()
    unit_price = fields.Integer()
    total = fields.Integer()


class OrderEventSchema(AnswerSchema):
    """A status of an order, since when, and by whom."""

    status = fields.Enum(OrderStatus, by_value=fields.String)
    at = Timestamp()
    by = fields.String(metadata={"description": BY})


class OrderSchema(AnswerSchema):
    """What somebody has ordered."""

    id = fields.UUID()
    code = fields.String(metadata={"description": "A short name, to be read out."})
    status = fields.Enum(OrderStatus, by_value=fields.String)
    items = fields.List(fields.Nested(OrderItemSchema))
    total = fields.Integer(metadata={"description": "In minor units."})
    currency = fields.String()
    created_at = Timestamp()
    history = fields.List(fields.Nested(OrderEventSchema))


class OrdersQuerySchema(ListQuerySchema):
    """Which orders."""

    sort = SortText("created_at", "total")
    user_id = Id(metadata={"description": "Of a user; whoever is no admin sees their own at most."})
    status = fields.Enum(OrderStatus, by_value=fields.String)
    code = Text(min_length=1, max_length=TYPED, metadata={"description": "In any case, with blanks or without."})
    created_after = Moment()
