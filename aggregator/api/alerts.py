"""/api/v1/alerts: what you want to be told of prices."""

from typing import Any
from uuid import UUID

from flask import Response, request
from flask.views import MethodView

from aggregator import errors
from aggregator.api.parsing import Blueprint
from aggregator.api.responses import (
    PAGE_HEADERS,
    TAG_HEADERS,
    UNCHANGED,
    documented,
    json_response,
    page_response,
    tagged,
)
from aggregator.auth import principal
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.schemas.alerts import AlertInputSchema, AlertPatchSchema, AlertSchema, AlertsQuerySchema
from aggregator.services import alert_reads, alerts

blueprint = Blueprint("alerts", __name__, url_prefix="/api/v1/alerts", description="What you want to be told.")

ON_ONE = {
    name: {"parameters": {"alert_id": "$response.body#/id"}} for name in ("get_alert", "update_alert", "delete_alert")
}


@blueprint.route("")
class Alerts(MethodView):
    @blueprint.arguments(AlertsQuerySchema, location="query")
    @blueprint.response(200, AlertSchema(many=True), headers=PAGE_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    def get(self, query: dict[str, Any]) -> Response:
        """List your alerts"""
        user_id = principal().user_id
        return page_response(lambda filters, **position: alert_reads.page(user_id, filters, **position), query)

    @blueprint.arguments(AlertInputSchema)
    @blueprint.response(201, AlertSchema, headers=documented(True, Location="Where it is."))
    @blueprint.links(201, {name: {"parameters": {"alert_id": "$response.body#/id"}} for name in ON_ONE})
    @blueprint.problems(errors.AlertExists, errors.LimitReached, errors.ReferenceGone)
    def post(self, fields: dict[str, Any]) -> Response:
        """Create an alert on the price of a product

        It sees what happens from now on. One that waits for the same as another one of yours is refused.
        """
        user_id = principal().user_id
        alert_id = in_transaction(lambda: alerts.add(user_id, fields, utcnow()))
        location = {"Location": f"{request.path.rstrip('/')}/{alert_id}"}
        return json_response(alert_reads.find(user_id, alert_id), 201, location)


@blueprint.route("/<uuid:alert_id>")
class Alert(MethodView):
    @blueprint.response(200, AlertSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(errors.NotFound)
    def get(self, alert_id: UUID) -> Response:
        """Show an alert of yours"""
        return tagged(alert_reads.find(principal().user_id, alert_id))

    @blueprint.arguments(AlertPatchSchema)
    @blueprint.response(200, AlertSchema)
    @blueprint.problems(errors.NotFound, errors.AlertExists)
    def patch(self, fields: dict[str, Any], alert_id: UUID) -> Response:
        """Change an alert of yours

        It starts again where `target`, `percent`, `direction`, `days` or `active` change. How it is sent,
        and how long it is silent, can be changed without that.
        """
        user_id = principal().user_id
        in_transaction(lambda: alerts.change(user_id, alert_id, fields, utcnow()))
        return json_response(alert_reads.find(user_id, alert_id))

    @blueprint.response(204)
    @blueprint.problems(errors.NotFound)
    def delete(self, alert_id: UUID) -> None:
        """Delete an alert of yours"""
        in_transaction(lambda: alerts.remove(principal().user_id, alert_id))
