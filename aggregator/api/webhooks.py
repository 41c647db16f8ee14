"""/api/v1/webhooks: where users want to be told of events, and what was sent there."""

from functools import partial
from typing import Any
from uuid import UUID

from flask import Response, url_for
from flask.views import MethodView

from aggregator import errors
from aggregator.api.parsing import Blueprint
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
from aggregator.extensions import webhook_box, webhook_rules
from aggregator.schemas.webhooks import (
    DeliveriesQuerySchema,
    DeliverySchema,
    DeliveryWithDataSchema,
    NewWebhookSchema,
    WebhookFieldsSchema,
    WebhookPatchSchema,
    WebhookSchema,
    WebhooksQuerySchema,
)
from aggregator.services import webhook_reads, webhooks

blueprint = Blueprint("webhooks", __name__, url_prefix="/api/v1", description="To be told of what happens.")
THE_DELIVERY = {"parameters": {"webhook_id": "$response.body#/webhook_id", "delivery_id": "$response.body#/id"}}


@blueprint.route("/webhooks")
class Webhooks(MethodView):
    @blueprint.arguments(WebhooksQuerySchema, location="query")
    @blueprint.response(200, WebhookSchema(many=True), headers=PAGE_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    def get(self, query: dict[str, Any]) -> Response:
        """List your webhooks"""
        return page_response(partial(webhook_reads.page, principal().user_id), query)

    @blueprint.arguments(WebhookFieldsSchema)
    @blueprint.response(201, NewWebhookSchema, headers={"Location": CREATED_HEADERS["Location"]})
    @blueprint.links(201, {"send_test_webhook": {"parameters": {"webhook_id": "$response.body#/id"}}})
    @blueprint.problems(errors.LimitReached, errors.WebhookRefused)
    def post(self, fields: dict[str, Any]) -> Response:
        """Create a webhook: have events sent to a URL

        Messages come as Standard Webhooks (www.standardwebhooks.com): a POST of `{type, timestamp, data}`, signed
        with the secret that this answer shows, and only this one. Answer with any 2xx within ten seconds.
        What fails is sent again, after 5 s, 5 min, 30 min, 2 h, 5 h and 10 h, with the same `webhook-id`.
        """
        user_id = principal().user_id
        webhook_id, secret = in_transaction(
            lambda: webhooks.add(user_id, fields, webhook_rules(), webhook_box(), utcnow())
        )
        location = url_for("webhooks.Webhook", webhook_id=webhook_id)
        webhook = webhook_reads.find_with_secret(user_id, webhook_id, secret)
        return json_response(webhook, 201, {"Location": location})


@blueprint.route("/webhooks/<uuid:webhook_id>")
class Webhook(MethodView):
    @blueprint.response(200, WebhookSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(errors.NotFound)
    def get(self, webhook_id: UUID) -> Response:
        """Show a webhook of yours"""
        return tagged(webhook_reads.find(principal().user_id, webhook_id))

    @blueprint.arguments(WebhookPatchSchema)
    @blueprint.response(200, WebhookSchema)
    @blueprint.problems(errors.NotFound, errors.WebhookRefused)
    def patch(self, fields: dict[str, Any], webhook_id: UUID) -> Response:
        """Change a webhook: its URL, its events, or whether it is enabled"""
        user_id = principal().user_id
        in_transaction(lambda: webhooks.change(user_id, webhook_id, fields, webhook_rules(), utcnow()))
        return json_response(webhook_reads.find(user_id, webhook_id))

    @blueprint.response(204)
    @blueprint.problems(errors.NotFound)
    def delete(self, webhook_id: UUID) -> None:
        """Delete a webhook, and the log of what was sent there"""
        user_id = principal().user_id
        in_transaction(lambda: webhooks.remove(user_id, webhook_id, utcnow()))


@blueprint.route("/webhooks/<uuid:webhook_id>/rotate-secret")
class WebhookRotateSecret(MethodView):
    @blueprint.response(200, NewWebhookSchema)
    @blueprint.problems(errors.NotFound)
    def post(self, webhook_id: UUID) -> Response:
        """Replace the secret

        For 24 hours messages are signed with both, the new one and the one that it replaces.
        """
        user_id = principal().user_id
        secret = in_transaction(lambda: webhooks.rotate_secret(user_id, webhook_id, webhook_box(), utcnow()))
        return json_response(webhook_reads.find_with_secret(user_id, webhook_id, secret))


@blueprint.route("/webhooks/<uuid:webhook_id>/test")
class WebhookTest(MethodView):
    @blueprint.response(202, DeliveryWithDataSchema)
    @blueprint.links(202, {"redeliver_webhook": THE_DELIVERY})
    @blueprint.problems(errors.NotFound, errors.WebhookDisabled, errors.LastTestPending)
    def post(self, webhook_id: UUID) -> Response:
        """Send a message of type `webhook.test`"""
        user_id = principal().user_id
        delivery_id = in_transaction(lambda: webhooks.send_test(user_id, webhook_id, utcnow()))
        return json_response(webhook_reads.delivery(user_id, webhook_id, delivery_id), 202)


@blueprint.route("/webhooks/<uuid:webhook_id>/deliveries")
class WebhookDeliveries(MethodView):
    @blueprint.arguments(DeliveriesQuerySchema, location="query")
    @blueprint.response(200, DeliverySchema(many=True), headers=PAGE_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(errors.NotFound)
    def get(self, query: dict[str, Any], webhook_id: UUID) -> Response:
        """List what was sent to a webhook in the last 30 days, the newest first"""
        return page_response(partial(webhook_reads.deliveries, principal().user_id, webhook_id), query)


@blueprint.route("/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>")
class WebhookDelivery(MethodView):
    @blueprint.response(200, DeliveryWithDataSchema, headers=TAG_HEADERS)
    @blueprint.links(200, {"redeliver_webhook": THE_DELIVERY})
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(errors.NotFound)
    def get(self, webhook_id: UUID, delivery_id: UUID) -> Response:
        """Show a message, and how its delivery went"""
        return tagged(webhook_reads.delivery(principal().user_id, webhook_id, delivery_id))


@blueprint.route("/webhooks/<uuid:webhook_id>/deliveries/<uuid:delivery_id>/redeliver")
class WebhookRedeliver(MethodView):
    @blueprint.response(202, DeliveryWithDataSchema)
    @blueprint.problems(errors.NotFound, errors.WebhookDisabled)
    def post(self, webhook_id: UUID, delivery_id: UUID) -> Response:
        """Send a message again, with the same `webhook-id`"""
        user_id = principal().user_id
        in_transaction(lambda: webhooks.redeliver(user_id, webhook_id, delivery_id))
        return json_response(webhook_reads.delivery(user_id, webhook_id, delivery_id), 202)
