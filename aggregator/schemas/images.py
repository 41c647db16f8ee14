"""The JSON of images, and the form they come with."""

import re
from collections.abc import Mapping
from typing import Any

from flask_smorest.fields import Upload
from marshmallow import Schema, ValidationError, fields

from aggregator.models import ImageStatus
from aggregator.models.images import MAX_IMAGES
from aggregator.schemas.answers import AnswerSchema
from aggregator.schemas.fields import Integer, Timestamp

# Programs that do not know a type send one of the last two.
TYPES = {"image/jpeg", "image/jpg", "image/pjpeg", "image/png", "image/webp", "application/octet-stream", ""}


class Picture(Upload):  # type: ignore[misc]
    """A file that says it is a picture, or says nothing; its name is looked at and forgotten."""

    def _deserialize(self, value: Any, attr: str | None, data: Mapping[str, Any] | None, **kwargs: Any) -> bytes:
        if re.search(r"[\x00-\x1f\x7f/\\]", value.filename or "") or value.filename in (".", ".."):
            raise ValidationError("Its name must be one of a file, without a path.")
        if value.mimetype not in TYPES:
            raise ValidationError("Its type must be image/jpeg, image/png or image/webp.")
        content: bytes = value.read()
        return content


class ImageUploadSchema(Schema):
    """A picture of a product."""

    image = Picture(required=True, metadata={"description": "JPEG, PNG or WebP, 5 MiB, 25 million pixels."})


class ImagePatchSchema(Schema):
    """Where an image is to stand."""

    position = Integer(
        required=True, minimum=1, maximum=MAX_IMAGES, metadata={"description": "1 is the first; the others make room."}
    )


class ShownImageSchema(AnswerSchema):
    """An image that a product shows."""

    id = fields.UUID()
    url = fields.String(metadata={"description": "What is known of it."})
    thumb_url = fields.String(metadata={"description": "It as WebP, fitting 100x100."})
    full_url = fields.String(metadata={"description": "It as WebP, fitting 500x500."})


class ImageSchema(AnswerSchema):
    """An image of a product."""

    id = fields.UUID()
    product_id = fields.UUID()
    status = fields.Enum(ImageStatus, by_value=fields.String)
    reason = fields.String(allow_none=True, metadata={"description": "Why it cannot be shown, where it has failed."})
    url = fields.String(metadata={"description": "What is said here."})
    thumb_url = fields.String(metadata={"description": "It as WebP, fitting 100x100; a 404 until it is ready."})
    full_url = fields.String(metadata={"description": "It as WebP, fitting 500x500; a 404 until it is ready."})
    position = fields.Integer(metadata={"description": "Among those of its product; 1 is the first."})
    created_at = Timestamp()
