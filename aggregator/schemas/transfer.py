"""The JSON of imports and exports."""

from marshmallow import Schema, fields, validate

from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import QueryBoolean


class ImportQuerySchema(Schema):
    """How to import."""

    format = fields.String(
        load_default="csv",
        validate=validate.OneOf(["csv", "tsv", "jsonl"]),
        metadata={"description": "The format of a body that is sent as `application/octet-stream`."},
    )
    dry_run = QueryBoolean(load_default=False, metadata={"description": "Only tell what would be done."})
    all_or_nothing = QueryBoolean(
        load_default=False, metadata={"description": "Import nothing at all if there is anything wrong."}
    )


class RejectedSchema(AnswerSchema):
    """A row that would not do."""

    line = fields.Integer()
    reasons = fields.List(fields.String())


class ImportReportSchema(AnswerSchema):
    """What became of the rows."""

    added = fields.Integer()
    updated = fields.Integer()
    unchanged = fields.Integer()
    rejected = fields.Integer()
    errors = fields.List(fields.Nested(RejectedSchema), metadata={"description": "The first thousand rejected ones."})


class ExportQuerySchema(Schema):
    """How to export."""

    format = fields.String(load_default="jsonl", validate=validate.OneOf(["csv", "jsonl"]))
    with_history = QueryBoolean(
        load_default=False, metadata={"description": "With every lowest price that each product has had."}
    )
