"""Prices over time: history and trend, of a product's lowest price and of each offer, and insights."""

from typing import Any
from uuid import UUID

from flask import Response
from flask.views import MethodView

from aggregator.api.parsing import Blueprint
from aggregator.api.responses import TAG_HEADERS, UNCHANGED, tagged
from aggregator.clock import utcnow
from aggregator.errors import NotFound, TooManyPoints
from aggregator.schemas.prices import (
    HistoryQuerySchema,
    HistorySchema,
    InsightsSchema,
    PeriodQuerySchema,
    TrendSchema,
)
from aggregator.services import catalog_reads, offer_reads, price_insights, price_reads
from aggregator.services.price_reads import Interval, period
from aggregator.services.price_series import Series

blueprint = Blueprint("prices", __name__, url_prefix="/api/v1/products", description="Prices over time.")


def _of_product(product_id: UUID) -> Series:
    catalog_reads.tag(product_id)  # NotFound if there is none
    return Series.of_product(product_id)


def _of_offer(product_id: UUID, offer_id: str) -> Series:
    return Series.of_offer(offer_reads.key(offer_id, product_id))


def _history(series: Series, query: dict[str, Any]) -> Response:
    interval = Interval(query.pop("interval"))
    return tagged(price_reads.history(series, period(utcnow(), **query), interval))


def _trend(series: Series, query: dict[str, Any]) -> Response:
    return tagged(price_reads.trend(series, period(utcnow(), **query)))


@blueprint.route("/<uuid:product_id>/price-history")
class ProductPriceHistory(MethodView):
    @blueprint.arguments(HistoryQuerySchema, location="query")
    @blueprint.response(200, HistorySchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(NotFound, TooManyPoints)
    def get(self, query: dict[str, Any], product_id: UUID) -> Response:
        """Show the history of a product's lowest price"""
        return _history(_of_product(product_id), query)


@blueprint.route("/<uuid:product_id>/price-trend")
class ProductPriceTrend(MethodView):
    @blueprint.arguments(PeriodQuerySchema, location="query")
    @blueprint.response(200, TrendSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(NotFound)
    def get(self, query: dict[str, Any], product_id: UUID) -> Response:
        """Show the trend of a product's lowest price"""
        return _trend(_of_product(product_id), query)


@blueprint.route("/<uuid:product_id>/price-insights")
class ProductPriceInsights(MethodView):
    @blueprint.response(200, InsightsSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(NotFound)
    def get(self, product_id: UUID) -> Response:
        """Compare a product's price with its earlier ones"""
        return tagged(price_insights.insights(product_id, utcnow()))


@blueprint.route("/<uuid:product_id>/offers/<offer_id>/price-history")
class OfferPriceHistory(MethodView):
    @blueprint.arguments(HistoryQuerySchema, location="query")
    @blueprint.response(200, HistorySchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(NotFound, TooManyPoints)
    def get(self, query: dict[str, Any], product_id: UUID, offer_id: str) -> Response:
        """Show the history of an offer's price"""
        return _history(_of_offer(product_id, offer_id), query)


@blueprint.route("/<uuid:product_id>/offers/<offer_id>/price-trend")
class OfferPriceTrend(MethodView):
    @blueprint.arguments(PeriodQuerySchema, location="query")
    @blueprint.response(200, TrendSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(NotFound)
    def get(self, query: dict[str, Any], product_id: UUID, offer_id: str) -> Response:
        """Show the trend of an offer's price"""
        return _trend(_of_offer(product_id, offer_id), query)
