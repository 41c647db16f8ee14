"""The JSON of products."""

from typing import Any

from marshmallow import Schema, fields

from aggregator.models import MAX_PRICE, MAX_STOCK, Registration
from aggregator.models.catalog import BRAND_LENGTH, DESCRIPTION_LENGTH, NAME_LENGTH
from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import Integer, Number, Text, Timestamp
from aggregator.schemas.offers import OfferSchema
from aggregator.schemas.paging import ListQuerySchema, SortText


class ProductInputSchema(Schema):
    """What a client says of a product."""

    name = Text(min_length=1, max_length=NAME_LENGTH, required=True, metadata={"examples": ["Oak chair"]})
    description = Text(max_length=DESCRIPTION_LENGTH, required=True, metadata={"examples": ["It does not wobble."]})
    brand = Text(max_length=BRAND_LENGTH, allow_none=True, load_default=None, metadata={"examples": ["Castera"]})
    price = Integer(
        minimum=0,
        maximum=MAX_PRICE,
        allow_none=True,
        load_default=None,
        metadata={"description": "The house's own price in minor units; null where it does not sell it."},
    )
    stock = Integer(minimum=0, maximum=MAX_STOCK, load_default=0)
    rating = Number(minimum=0, maximum=5, allow_none=True, load_default=None)


class ProductCreateSchema(ProductInputSchema):
    """A new product; it may bring an id of its own."""

    id = fields.UUID(metadata={"description": "A UUID that you have chosen; otherwise we choose one."})


class ProductPatchSchema(ProductInputSchema):
    """What is to change; everything else stays as it is."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("partial", True)
        super().__init__(**kwargs)


class RegistrationSchema(AnswerSchema):
    """How a product stands with the offers service."""

    status = fields.Enum(Registration, by_value=fields.String)
    reason = fields.String(allow_none=True, metadata={"description": "Why it is not registered."})
    registered_at = Timestamp(allow_none=True)


class ProductSchema(AnswerSchema):
    """A product of the catalogue."""

    id = fields.UUID()
    name = fields.String()
    description = fields.String()
    brand = fields.String(allow_none=True)
    price = fields.Integer(allow_none=True)
    stock = fields.Integer()
    rating = fields.Float(allow_none=True)
    registration = fields.Nested(RegistrationSchema)
    lowest_price = fields.Integer(allow_none=True, metadata={"description": "Of the offers in stock, in minor units."})
    offer_count = fields.Integer(metadata={"description": "How many offers are open."})
    offers_synced_at = Timestamp(allow_none=True)
    created_at = Timestamp()
    updated_at = Timestamp()


class ProductWithOffersSchema(ProductSchema):
    """A product and its current offers, the cheapest first."""

    offers = fields.List(fields.Nested(OfferSchema))


class ProductQuerySchema(ListQuerySchema):
    """Which products."""

    sort = SortText("name", "created_at", "updated_at", "lowest_price", "offer_count")
    q = Text(min_length=1, max_length=100, metadata={"description": "What their names contain."})
