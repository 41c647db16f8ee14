"""Images as the outside reads them: each query is one statement."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from aggregator.errors import ImageFailed, NotFound, NotReady
from aggregator.models import Image, ImageBlob, ImageStatus, Product, Variant
from aggregator.reading import read
from aggregator.sql import Select, id_parameter, json_array, json_object, json_text, json_time

PATH = "/api/v1/images/"


def _urls() -> dict[str, sa.ColumnElement[Any]]:
    url = sa.literal_column(f"'{PATH}'", sa.Text) + sa.cast(Image.id, sa.Text)
    return {
        "url": url,
        **{f"{v}_url": url + sa.literal_column(f"'-{v}'", sa.Text) for v in (Variant.THUMB, Variant.FULL)},
    }


def images_json() -> sa.ColumnElement[Any]:
    """The images that a product shows, as a JSON array. One that never had any costs no look at them."""
    shown = (
        sa.select(json_object({"id": Image.id, **_urls()}))
        .where(Image.product_id == Product.id, Image.status == ImageStatus.READY)
        .order_by(Image.position, Image.id)
        .correlate(Product)
    )
    return json_text(sa.case((Product.image_changes == 0, sa.literal_column("'[]'")), else_=json_array(shown)))


def find(image_id: UUID) -> str:
    """An image as JSON. NotFound if there is none."""
    rows = read(_image, id=str(image_id))
    if not rows:
        raise NotFound("There is no such image.")
    return str(rows[0][0])


def of_product(product_id: UUID) -> str:
    """All images of a product as a JSON array, in their order. NotFound if there is no such product."""
    rows = read(_of_product, id=str(product_id))
    if not rows:
        raise NotFound("There is no such product.")
    return str(rows[0][0])


def must_be_ready(image_id: UUID) -> None:
    """NotFound unless there is such an image; NotReady where its sizes are not made yet."""
    rows = read(_state, id=str(image_id))
    if not rows:
        raise NotFound("There is no such image.")
    status, reason = tuple(rows[0])
    if status == ImageStatus.PENDING:
        raise NotReady
    if status == ImageStatus.FAILED:
        raise ImageFailed(f"It cannot be shown. {reason}")


def blob(image_id: UUID, variant: Variant) -> bytes | None:
    """The bytes of an image that is shown, where the database keeps them."""
    rows = read(_blob, id=str(image_id), variant=variant.value)
    return bytes(rows[0][0]) if rows else None


def _document() -> json_object:
    return json_object(
        {
            "id": Image.id,
            "product_id": Image.product_id,
            "status": Image.status,
            "reason": Image.error,
            **_urls(),
            "position": Image.position,
            "created_at": json_time(Image.created_at),
        }
    )


def _of_living(statement: Select) -> Select:
    return statement.join(Product, Product.id == Image.product_id).where(
        Image.id == id_parameter("id"), Product.deleted_at.is_(None)
    )


def _image() -> Select:
    return _of_living(sa.select(sa.cast(_document(), sa.Text)).select_from(Image))


def _state() -> Select:
    return _of_living(sa.select(Image.status, Image.error).select_from(Image))


def _blob() -> Select:
    size = ImageBlob.variant == sa.bindparam("variant", type_=sa.String)
    kept = sa.select(ImageBlob.content).select_from(ImageBlob).join(Image, Image.id == ImageBlob.image_id).where(size)
    return _of_living(kept).where(Image.status == ImageStatus.READY)


def _of_product() -> Select:
    images = sa.select(_document()).where(Image.product_id == Product.id).order_by(Image.position, Image.id)
    return sa.select(sa.cast(json_array(images.correlate(Product)), sa.Text)).where(
        Product.id == id_parameter("id"), Product.deleted_at.is_(None)
    )
