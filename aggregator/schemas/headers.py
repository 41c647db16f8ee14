"""Request headers that mean something to us."""

from marshmallow import Schema

from aggregator.models.idempotency import KEY_LENGTH
from aggregator.schemas.fields import Text


class IdempotencySchema(Schema):
    """Makes a POST safe to repeat."""

    key = Text(
        min_length=1,
        max_length=KEY_LENGTH,
        data_key="Idempotency-Key",
        metadata={"description": "Any text of your own: the same key and body again give the same answer."},
    )


class IfMatchSchema(Schema):
    """Keeps two editors from overwriting each other's work."""

    etag = Text(
        max_length=200,
        data_key="If-Match",
        metadata={"description": "The ETag you have: change it only if nobody has edited it since."},
    )
