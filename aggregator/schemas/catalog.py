"""The JSON of products."""

from typing import Any

from marshmallow import Schema, fields

from aggregator.models import MAX_PRICE, MAX_STOCK, Registration
from aggregator.models.catalog import BRAND_LENGTH, CATEGORY_LENGTH, DESCRIPTION_LENGTH, NAME_LENGTH
from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import (
    Id,
    Integer,
    Moment,
    Number,
    QueryBoolean,
    QueryInteger,
    QueryNumber,
    Text,
    Timestamp,
)
from aggregator.schemas.images import ShownImageSchema
from aggregator.schemas.offers import OfferSchema
from aggregator.schemas.paging import ListQuerySchema, SortText


class ProductInputSchema(Schema):
    """What a client says of a product."""

    name = Text(min_length=1, max_length=NAME_LENGTH, required=True, metadata={"examples": ["Oak chair"]})
    description = Text(max_length=DESCRIPTION_LENGTH, required=True, metadata={"examples": ["It does not wobble."]})
    brand = Text(max_length=BRAND_LENGTH, allow_none=True, load_default=None, metadata={"examples": ["Castera"]})
    category_id = Id(
        allow_none=True, load_default=None, metadata={"description": "The category it is in, if it is in one."}
    )
    price = Integer(
        minimum=0,
        maximum=MAX_PRICE,
        allow_none=True,
        load_default=None,
        metadata={"description": "Our own price in minor units; null where we do not sell it."},
    )
    # Sales change it meanwhile: where it is not said, it stays as it is.
    stock = Integer(minimum=0, maximum=MAX_STOCK, metadata={"description": "Pieces; as they are, where not said."})
    rating = Number(minimum=0, maximum=5, allow_none=True, load_default=None)


class ProductCreateSchema(ProductInputSchema):
    """A new product; it may bring an id of its own."""

    id = Id(metadata={"description": "A UUID that you have chosen; otherwise we choose one."})
    stock = Integer(minimum=0, maximum=MAX_STOCK, load_default=0)


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


class CategoryOfProductSchema(AnswerSchema):
    """The category that a product is in."""

    id = fields.UUID()
    name = fields.String()
    slug = fields.String()


class ProductSchema(AnswerSchema):
    """A product of the catalogue."""

    id = fields.UUID()
    name = fields.String()
    description = fields.String()
    brand = fields.String(allow_none=True)
    category = fields.Nested(CategoryOfProductSchema, allow_none=True)
    price = fields.Integer(allow_none=True)
    stock = fields.Integer()
    rating = fields.Float(allow_none=True)
    registration = fields.Nested(RegistrationSchema)
    lowest_price = fields.Integer(allow_none=True, metadata={"description": "Of the offers in stock, in minor units."})
    offer_count = fields.Integer(metadata={"description": "How many offers are open."})
    offers_synced_at = Timestamp(allow_none=True)
    offers_up_to_date = fields.Boolean(
        metadata={
            "description": "Whether the offers are all that the offers service listed when it was last asked. Where it "
            "is false, `lowest_price` may be an old one."
        }
    )
    offers_problem = fields.String(allow_none=True, metadata={"description": "Why the offers are not up to date."})
    images = fields.List(fields.Nested(ShownImageSchema), metadata={"description": "Those that are ready."})
    created_at = Timestamp()
    updated_at = Timestamp()


class ProductWithOffersSchema(ProductSchema):
    """A product and its current offers, the cheapest first."""

    offers = fields.List(fields.Nested(OfferSchema))


class ProductQuerySchema(ListQuerySchema):
    """Which products."""

    sort = SortText("name", "created_at", "updated_at", "lowest_price", "price", "rating", "stock", "offer_count")
    q = Text(
        min_length=1,
        max_length=100,
        metadata={
            "description": "Words of their names, brands and descriptions, in any order and without regard to case and "
            "accents; the last one may be only begun. Without a `sort`, what has them all in its name comes first."
        },
    )
    category = Text(
        min_length=1, max_length=CATEGORY_LENGTH, metadata={"description": "Its slug or its id; its parts count, too."}
    )
    brand = Text(min_length=1, max_length=BRAND_LENGTH, metadata={"description": "In whatever case."})
    min_price = QueryInteger(minimum=0, maximum=MAX_PRICE, metadata={"description": "Of our own price."})
    max_price = QueryInteger(minimum=0, maximum=MAX_PRICE)
    min_stock = QueryInteger(minimum=0, maximum=MAX_STOCK)
    max_stock = QueryInteger(minimum=0, maximum=MAX_STOCK)
    min_rating = QueryNumber(minimum=0, maximum=5)
    max_rating = QueryNumber(minimum=0, maximum=5)
    min_offer_price = QueryInteger(minimum=0, maximum=MAX_PRICE, metadata={"description": "Of `lowest_price`."})
    max_offer_price = QueryInteger(minimum=0, maximum=MAX_PRICE)
    in_stock = QueryBoolean(metadata={"description": "Whether it can be bought, from us or through an offer."})
    has_offers = QueryBoolean()
    registration = fields.Enum(Registration, by_value=fields.String)
    created_after = Moment()
