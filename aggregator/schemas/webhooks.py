"""The JSON of webhooks and of what is sent to them."""

from marshmallow import Schema, fields, validate

from aggregator.models import DeliveryStatus, Event
from aggregator.models.outbox import SUBSCRIBABLE, URL_LENGTH
from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import Boolean, Text, Timestamp
from aggregator.schemas.paging import ListQuerySchema, SortText

EVENTS = [event.value for event in SUBSCRIBABLE]
URL = {
    "description": "Where to send: `https://` and a host in the public internet; no user, password or fragment.",
    "format": "uri",
    "examples": ["https://shop.example.com/hook"],
}


class WebhookSchema(AnswerSchema):
    """Where events are sent."""

    id = fields.UUID()
    url = fields.String()
    events = fields.List(fields.String(validate=validate.OneOf(EVENTS)))
    enabled = fields.Boolean()
    disabled_reason = fields.String(
        allow_none=True,
        metadata={"description": "`gone`: it answered 410; `failing`: it did nothing but fail for five days."},
    )
    failing_since = Timestamp(allow_none=True, metadata={"description": "Null while what was sent last has arrived."})
    paused_until = Timestamp(
        allow_none=True, metadata={"description": "Nothing is sent before: the receiver's last `Retry-After`."}
    )
    old_secret_until = Timestamp(
        allow_none=True, metadata={"description": "Until then messages are signed with the secret before this, too."}
    )
    created_at = Timestamp()
    updated_at = Timestamp()


class NewWebhookSchema(WebhookSchema):
    """A webhook, with the secret that nobody gets to see again."""

    secret = fields.String(
        metadata={"description": "`whsec_` and the base64 of the key that messages are signed with. Shown only now."}
    )


class WebhookFieldsSchema(Schema):
    """A new webhook."""

    url = Text(min_length=1, max_length=URL_LENGTH, required=True, metadata=URL)
    events = fields.List(
        fields.String(validate=validate.OneOf(EVENTS)), required=True, validate=validate.Length(1, len(EVENTS))
    )


class WebhookPatchSchema(Schema):
    """What is to change about a webhook."""

    url = Text(min_length=1, max_length=URL_LENGTH, metadata=URL)
    events = fields.List(fields.String(validate=validate.OneOf(EVENTS)), validate=validate.Length(1, len(EVENTS)))
    enabled = Boolean(metadata={"description": "What waits to be sent to a webhook that is disabled fails."})


class WebhooksQuerySchema(ListQuerySchema):
    """Which webhooks."""

    sort = SortText("created_at")


class DeliveriesQuerySchema(ListQuerySchema):
    """Which deliveries."""

    sort = SortText("created_at")
    status = fields.Enum(DeliveryStatus, by_value=fields.String)


class DeliverySchema(AnswerSchema):
    """A message to a webhook, and what has become of it."""

    id = fields.UUID(metadata={"description": "The `webhook-id` of the message, however often it is sent."})
    webhook_id = fields.UUID()
    event = fields.Enum(Event, by_value=fields.String)
    status = fields.Enum(DeliveryStatus, by_value=fields.String)
    attempts = fields.Integer()
    status_code = fields.Integer(allow_none=True, metadata={"description": "Of the last answer, if there was one."})
    error = fields.String(allow_none=True, metadata={"description": "Why the last attempt has failed."})
    created_at = Timestamp()
    next_attempt_at = Timestamp(allow_none=True, metadata={"description": "Null where there is none."})
    done_at = Timestamp(allow_none=True)


class DeliveryWithDataSchema(DeliverySchema):
    """A message to a webhook, with what it says."""

    data = fields.Dict()
