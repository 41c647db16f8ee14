"""/api/v1/cart: what you mean to order."""

from typing import Any
from uuid import UUID

from flask import Response
from flask.views import MethodView

from aggregator import errors
from aggregator.api.parsing import Blueprint
from aggregator.api.responses import TAG_HEADERS, UNCHANGED, json_response, tagged
from aggregator.auth import principal
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import settings
from aggregator.schemas.carts import CartSchema, LineInputSchema, QuantitySchema
from aggregator.services import cart_reads, carts

blueprint = Blueprint("cart", __name__, url_prefix="/api/v1/cart", description="What you mean to order.")


@blueprint.route("")
class Cart(MethodView):
    @blueprint.response(200, CartSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    def get(self) -> Response:
        """Show your cart, with prices and stocks as they are now"""
        return tagged(_text())

    @blueprint.response(204)
    def delete(self) -> None:
        """Empty your cart"""
        user_id = principal().user_id
        in_transaction(lambda: carts.empty(user_id, utcnow()))


@blueprint.route("/items")
class CartItems(MethodView):
    @blueprint.arguments(LineInputSchema)
    @blueprint.response(201, CartSchema)
    @blueprint.problems(errors.InsufficientStock, errors.LimitReached, errors.ReferenceGone)
    def post(self, line: dict[str, Any]) -> Response:
        """Add a product to your cart, or more of it

        Nothing is reserved by it; the price is the one when you order.
        """
        user_id = principal().user_id
        in_transaction(lambda: carts.add(user_id, **line, now=utcnow()))
        return json_response(_text(), 201)


@blueprint.route("/items/<uuid:product_id>")
class CartItem(MethodView):
    @blueprint.arguments(QuantitySchema)
    @blueprint.response(200, CartSchema)
    @blueprint.problems(errors.NotFound, errors.InsufficientStock)
    def put(self, fields: dict[str, int], product_id: UUID) -> Response:
        """Set the quantity of a product in your cart"""
        return _set(product_id, fields["quantity"])

    @blueprint.arguments(QuantitySchema)
    @blueprint.response(200, CartSchema)
    @blueprint.problems(errors.NotFound, errors.InsufficientStock)
    def patch(self, fields: dict[str, int], product_id: UUID) -> Response:
        """Set the quantity of a product in your cart, as PUT does"""
        return _set(product_id, fields["quantity"])

    @blueprint.response(204)
    @blueprint.problems(errors.NotFound)
    def delete(self, product_id: UUID) -> None:
        """Remove a product from your cart"""
        user_id = principal().user_id
        in_transaction(lambda: carts.remove(user_id, product_id, utcnow()))


def _set(product_id: UUID, quantity: int) -> Response:
    user_id = principal().user_id
    in_transaction(lambda: carts.set_quantity(user_id, product_id, quantity, utcnow()))
    return json_response(_text())


def _text() -> str:
    return cart_reads.cart(principal().user_id, settings().currency)
