"""The JSON of offers."""

from marshmallow import fields

from aggregator.models import MAX_PRICE
from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import Id, QueryBoolean, QueryInteger, Timestamp
from aggregator.schemas.paging import ListQuerySchema, SortText


class OfferSchema(AnswerSchema):
    """A shop's offer of a product, as the offers service listed it last."""

    id = fields.String(metadata={"description": "The offers service's own."})
    product_id = fields.UUID()
    price = fields.Integer(metadata={"description": "In minor units, e.g. cents."})
    items_in_stock = fields.Integer()
    first_seen_at = Timestamp()
    last_seen_at = Timestamp()
    sold_out_at = Timestamp(allow_none=True)


class _InStockSchema(ListQuerySchema):
    sort = SortText("price", "items_in_stock", "first_seen_at")
    in_stock = QueryBoolean(metadata={"description": "Only those in stock, or only those sold out."})


class ProductOffersQuerySchema(_InStockSchema):
    """Which offers of a product."""

    include_closed = QueryBoolean(
        load_default=False,
        metadata={"description": "Also those that the offers service lists no more."},
    )


class OffersQuerySchema(_InStockSchema):
    """Which offers, of all products."""

    product_id = Id()
    min_price = QueryInteger(minimum=0, maximum=MAX_PRICE)
    max_price = QueryInteger(minimum=0, maximum=MAX_PRICE)
