"""The JSON of health."""

from marshmallow import Schema, fields

from aggregator.schemas.fields import QueryBoolean


class HealthSchema(Schema):
    """A process that is alive."""

    status = fields.String(required=True)


class ReadinessSchema(HealthSchema):
    """Whether a process can serve; degraded means that it can, but the offers service does not answer."""

    reason = fields.String()


class StatusQuerySchema(Schema):
    """How /status is to answer."""

    strict = QueryBoolean(load_default=False, metadata={"description": "503 where anything is a problem."})


class StatusSchema(HealthSchema):
    """How everything is doing."""

    problems = fields.List(
        fields.String(), required=True, metadata={"description": "What is not as it should be, in words."}
    )
    products = fields.Integer()
    registrations_pending = fields.Integer()
    registrations_refused = fields.Integer()
    oldest_pending_age = fields.Float(allow_none=True, metadata={"description": "In seconds."})
    oldest_sync_age = fields.Float(allow_none=True, metadata={"description": "In seconds."})
    syncs_failing = fields.Integer(metadata={"description": "Products whose offers cannot be synced."})
    rejected_rows = fields.Integer(metadata={"description": "Of the latest lists of offers."})
    products_with_rejected_rows = fields.Integer(metadata={"description": "Products that have such rows."})
    rejected_example = fields.Dict(
        keys=fields.String(),
        values=fields.String(allow_none=True),
        allow_none=True,
        metadata={"description": "Of such a row: its `product_id`, `offer_id` and the `reason`."},
    )
    workers = fields.Integer(metadata={"description": "That are alive."})
    worker_heartbeat_age = fields.Float(allow_none=True, metadata={"description": "In seconds."})
    ahead = fields.Float(
        allow_none=True,
        metadata={"description": "How many seconds what is stored lies ahead of the database's clock, if it does."},
    )
    token = fields.String(metadata={"description": "Of the offers service: valid, expired, missing or given."})
    paused_calls = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={"description": "Calls to the offers service that are not made now, and why."},
    )
