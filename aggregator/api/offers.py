"""/api/v1/offers and /api/v1/products/{id}/offers: what the shops offer, read-only."""

from functools import partial
from typing import Any
from uuid import UUID

from flask import Response
from flask.views import MethodView

from aggregator.api.parsing import Blueprint
from aggregator.api.responses import PAGE_HEADERS, TAG_HEADERS, UNCHANGED, page_response, tagged
from aggregator.errors import NotFound
from aggregator.schemas.offers import OfferSchema, OffersQuerySchema, ProductOffersQuerySchema
from aggregator.services import offer_reads

blueprint = Blueprint("offers", __name__, url_prefix="/api/v1", description="The shops' offers, read-only.")


@blueprint.route("/products/<uuid:product_id>/offers")
class ProductOffers(MethodView):
    @blueprint.arguments(ProductOffersQuerySchema, location="query")
    @blueprint.response(200, OfferSchema(many=True), headers=PAGE_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(NotFound)
    def get(self, query: dict[str, Any], product_id: UUID) -> Response:
        """List the offers of a product"""
        return page_response(partial(offer_reads.page_of_product, product_id), query)


@blueprint.route("/products/<uuid:product_id>/offers/<offer_id>")
class ProductOffer(MethodView):
    @blueprint.response(200, OfferSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(NotFound)
    def get(self, product_id: UUID, offer_id: str) -> Response:
        """Show an offer of a product, open or closed"""
        return tagged(offer_reads.find(offer_id, product_id))


@blueprint.route("/offers")
class Offers(MethodView):
    @blueprint.arguments(OffersQuerySchema, location="query")
    @blueprint.response(200, OfferSchema(many=True), headers=PAGE_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    def get(self, query: dict[str, Any]) -> Response:
        """List the open offers of all products"""
        return page_response(offer_reads.page_of_all, query)


@blueprint.route("/offers/<offer_id>")
class Offer(MethodView):
    @blueprint.response(200, OfferSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(NotFound)
    def get(self, offer_id: str) -> Response:
        """Show an offer, open or closed"""
        return tagged(offer_reads.find(offer_id))
