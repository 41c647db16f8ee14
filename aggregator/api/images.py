"""/api/v1/products/{id}/images and /api/v1/images: pictures of products."""

from typing import Any
from uuid import UUID

from flask import Response, request
from flask.views import MethodView

from aggregator import errors
from aggregator.api.parsing import Blueprint
from aggregator.api.responses import TAG_HEADERS, UNCHANGED, documented, json_response, tagged
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import gallery
from aggregator.models import Variant
from aggregator.schemas.images import ImagePatchSchema, ImageSchema, ImageUploadSchema
from aggregator.services import image_reads, images

blueprint = Blueprint("images", __name__, url_prefix="/api/v1", description="Pictures of products.")

WEBP = "image/webp"
BYTES = {"type": "string", "format": "binary"}
# Generators of clients read the bytes of what they know; of pictures they know nothing.
FOR_GENERATORS = {200: {"content": {"application/octet-stream": {"schema": BYTES}}}}
FOREVER = 365 * 24 * 3600
# It is a picture and nothing else, whoever opens it, and however.
SANDBOX = "default-src 'none'; frame-ancestors 'none'; sandbox"
NOT_SHOWN = (errors.NotFound, errors.NotReady, errors.ImageFailed, errors.ImagesUnavailable)
NOT_TAKEN = (
    *(errors.NotFound, errors.LimitReached, errors.ImageTooLarge),
    *(errors.UnsupportedImage, errors.UnreadableImage, errors.ImagesUnavailable),
)
ON_ONE = ("get_image", "update_image", "delete_image")


@blueprint.route("/products/<uuid:product_id>/images")
class ProductImages(MethodView):
    @blueprint.response(200, ImageSchema(many=True), headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(errors.NotFound)
    def get(self, product_id: UUID) -> Response:
        """List the images of a product, those that are not ready included"""
        return tagged(image_reads.of_product(product_id))

    @blueprint.arguments(ImageUploadSchema, location="files")
    @blueprint.response(201, ImageSchema, headers=documented(True, Location="Where it is."))
    @blueprint.problems(*NOT_TAKEN)
    @blueprint.links(201, {name: {"parameters": {"image_id": "$response.body#/id"}} for name in ON_ONE})
    def post(self, files: dict[str, bytes], product_id: UUID) -> Response:
        """Add an image to a product

        It is pending until a worker has made the sizes that are shown, in a second or so; then the product shows it.
        What came with the picture, such as where it was taken, is not kept.
        """
        image_id = gallery().upload(product_id, files["image"], utcnow())
        return json_response(image_reads.find(image_id), 201, {"Location": f"{image_reads.PATH}{image_id}"})


@blueprint.route("/images/<uuid:image_id>")
class Image(MethodView):
    @blueprint.response(200, ImageSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(errors.NotFound)
    def get(self, image_id: UUID) -> Response:
        """Show an image's status and addresses"""
        return tagged(image_reads.find(image_id))

    @blueprint.arguments(ImagePatchSchema)
    @blueprint.response(200, ImageSchema)
    @blueprint.problems(errors.NotFound)
    def patch(self, fields: dict[str, Any], image_id: UUID) -> Response:
        """Move an image among those of its product"""
        in_transaction(lambda: images.move(image_id, fields["position"], utcnow()))
        return json_response(image_reads.find(image_id))

    @blueprint.response(204)
    @blueprint.problems(errors.NotFound)
    def delete(self, image_id: UUID) -> None:
        """Delete an image"""
        gallery().remove(image_id, utcnow())


@blueprint.route("/images/<uuid:image_id>-thumb")
class ImageThumb(MethodView):
    @blueprint.response(200, BYTES, content_type=WEBP, headers=TAG_HEADERS)
    @blueprint.doc(responses=FOR_GENERATORS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(*NOT_SHOWN)
    def get(self, image_id: UUID) -> Response:
        """Get an image fitting 100x100, as WebP"""
        return _picture(image_id, Variant.THUMB)


@blueprint.route("/images/<uuid:image_id>-full")
class ImageFull(MethodView):
    @blueprint.response(200, BYTES, content_type=WEBP, headers=TAG_HEADERS)
    @blueprint.doc(responses=FOR_GENERATORS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(*NOT_SHOWN)
    def get(self, image_id: UUID) -> Response:
        """Get an image fitting 500x500, as WebP"""
        return _picture(image_id, Variant.FULL)


def _picture(image_id: UUID, variant: Variant) -> Response:
    """A picture, which never changes: there is one or there is none."""
    name = f"{image_id}-{variant}"
    if request.if_none_match.contains_weak(name):
        image_reads.must_be_ready(image_id)
        response = Response(status=304)
    else:
        response = Response(gallery().content(image_id, variant), mimetype=WEBP)
        response.headers["Content-Disposition"] = f'inline; filename="{name}.webp"'
    response.set_etag(name)
    response.headers["Cache-Control"] = f"public, max-age={FOREVER}, immutable"
    response.headers["Content-Security-Policy"] = SANDBOX
    return response
