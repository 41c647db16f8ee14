"""/api/v1/orders, and the checkout of the cart."""

from typing import Any
from uuid import UUID

from flask import Response
from flask.views import MethodView

from aggregator import errors
from aggregator.api.parsing import Blueprint
from aggregator.api.requests import request_key
from aggregator.api.responses import (
    CREATED_HEADERS,
    PAGE_HEADERS,
    TAG_HEADERS,
    UNCHANGED,
    json_response,
    page_response,
    tagged,
)
from aggregator.auth import principal
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import settings
from aggregator.models import Role
from aggregator.schemas.headers import IdempotencySchema
from aggregator.schemas.orders import (
    CheckoutSchema,
    OrderInputSchema,
    OrderPatchSchema,
    OrderSchema,
    OrdersQuerySchema,
)
from aggregator.services import order_reads, orders
from aggregator.services.order_limits import OrderLimits
from aggregator.services.orders import Purchase, Revision

URL = "/api/v1/orders"
blueprint = Blueprint("orders", __name__, url_prefix="/api/v1", description="What has been ordered.")

NOT_PLACED = (
    *(errors.InsufficientStock, errors.TotalChanged, errors.ReferenceGone),
    *(errors.LimitReached, errors.TooManyOrders),
)
NOT_CHANGED = (
    *(errors.NotFound, errors.OwnerRequired, errors.Forbidden, errors.OrderNotEditable),
    *(errors.StatusNotPossible, errors.StockLimit, errors.LimitReached),
)
ON_ONE = {
    name: {"parameters": {"order_id": "$response.body#/id"}} for name in ("get_order", "update_order", "cancel_order")
}


@blueprint.route("/cart/checkout")
class CartCheckout(MethodView):
    @blueprint.arguments(CheckoutSchema, required=False)
    @blueprint.arguments(IdempotencySchema, location="headers")
    @blueprint.response(201, OrderSchema, headers=CREATED_HEADERS)
    @blueprint.problems(errors.CartEmpty, *NOT_PLACED)
    @blueprint.links(201, ON_ONE)
    def post(self, fields: dict[str, Any], headers: dict[str, str]) -> Response:
        """Order what is in your cart

        At the prices of this moment, all of it or nothing. With an Idempotency-Key it is safe to repeat.
        """
        return _placed(fields, headers)


@blueprint.route("/orders")
class Orders(MethodView):
    @blueprint.arguments(OrdersQuerySchema, location="query")
    @blueprint.response(200, OrderSchema(many=True), headers=PAGE_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    def get(self, query: dict[str, Any]) -> Response:
        """List your orders; as an admin, everybody's"""
        owner_id = _only_of()
        return page_response(lambda filters, **position: order_reads.page(owner_id, filters, **position), query)

    @blueprint.arguments(OrderInputSchema)
    @blueprint.arguments(IdempotencySchema, location="headers")
    @blueprint.response(201, OrderSchema, headers=CREATED_HEADERS)
    @blueprint.problems(*NOT_PLACED)
    @blueprint.links(201, ON_ONE)
    def post(self, fields: dict[str, Any], headers: dict[str, str]) -> Response:
        """Order products without a cart

        At the prices of this moment, all of it or nothing. With an Idempotency-Key it is safe to repeat.
        """
        return _placed(fields, headers)


@blueprint.route("/orders/<uuid:order_id>")
class Order(MethodView):
    @blueprint.response(200, OrderSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(errors.NotFound)
    def get(self, order_id: UUID) -> Response:
        """Show an order of yours; as an admin, anybody's"""
        return tagged(order_reads.find(_only_of(), order_id))

    @blueprint.arguments(OrderPatchSchema)
    @blueprint.response(200, OrderSchema)
    @blueprint.problems(*NOT_CHANGED, *NOT_PLACED)
    def patch(self, fields: dict[str, Any], order_id: UUID) -> Response:
        """Change what is in an order of yours while it is placed; as an admin, move an order on

        A line that stays as it is, or shrinks, keeps its price; one that grows or is new has today's. From placed an
        order becomes paid, shipped, delivered; until it is shipped it can be cancelled.
        """
        by, items = principal(), fields.get("items")
        lines = None if items is None else orders.merged(items)
        wanted = Revision(lines, fields.get("expected_total"), fields.get("status"), settings().order_pieces)
        in_transaction(lambda: orders.change(by, order_id, wanted, utcnow()))
        return json_response(order_reads.find(_only_of(), order_id))


@blueprint.route("/orders/<uuid:order_id>/cancel")
class OrderCancel(MethodView):
    @blueprint.response(200, OrderSchema)
    @blueprint.problems(errors.NotFound, errors.StatusNotPossible, errors.StockLimit)
    def post(self, order_id: UUID) -> Response:
        """Cancel an order, and give back its stock"""
        by = principal()
        in_transaction(lambda: orders.cancel(by, order_id, utcnow()))
        return json_response(order_reads.find(_only_of(), order_id))


def _only_of() -> UUID | None:
    """Whose orders may be seen; None for everybody's."""
    return None if principal().role is Role.ADMIN else principal().user_id


def _allowed() -> OrderLimits:
    own = settings()
    return OrderLimits(own.orders_per_hour, own.orders_per_day, own.order_pieces, own.orders_unpaid)


def _placed(fields: dict[str, Any], headers: dict[str, str]) -> Response:
    items = fields.get("items")
    purchase = Purchase(
        principal().user_id,
        settings().currency,
        None if items is None else orders.merged(items),
        fields.get("expected_total"),
        request_key(headers.get("key"), fields),
        _allowed(),
    )
    placed = in_transaction(lambda: orders.place(purchase, utcnow()))
    replayed = {"Idempotency-Replayed": "true"} if placed.replayed else {}
    return json_response(placed.text, 201, {"Location": f"{URL}/{placed.order_id}"} | replayed)
