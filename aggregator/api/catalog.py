"""/api/v1/products: the catalogue."""

from typing import Any
from uuid import UUID

from flask import Response, request
from flask.views import MethodView

from aggregator import errors
from aggregator.api.parsing import Blueprint
from aggregator.api.requests import expected_versions, request_id, request_key
from aggregator.api.responses import (
    CREATED_HEADERS,
    PAGE_HEADERS,
    TAG_HEADERS,
    UNCHANGED,
    json_response,
    not_modified,
    page_response,
    tagged,
)
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import tokens
from aggregator.flows.creation import SECONDS, create_product
from aggregator.schemas.catalog import (
    ProductCreateSchema,
    ProductInputSchema,
    ProductPatchSchema,
    ProductQuerySchema,
    ProductSchema,
    ProductWithOffersSchema,
)
from aggregator.schemas.headers import IdempotencySchema, IfMatchSchema
from aggregator.services import catalog, catalog_list, catalog_reads

blueprint = Blueprint("products", __name__, url_prefix="/api/v1/products", description="The catalogue.")

EDIT_PROBLEMS = (errors.NotFound, errors.NameTaken, errors.ReferenceGone)
OPERATIONS_ON_ONE = ("get_product", "replace_product", "update_product", "delete_product", "list_product_offers")


@blueprint.route("")
class Products(MethodView):
    @blueprint.arguments(ProductQuerySchema, location="query")
    @blueprint.response(200, ProductSchema(many=True), headers=PAGE_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    def get(self, query: dict[str, Any]) -> Response:
        """List the products"""
        return page_response(catalog_list.page, query)

    @blueprint.arguments(ProductCreateSchema)
    @blueprint.arguments(IdempotencySchema, location="headers")
    @blueprint.response(201, ProductWithOffersSchema, headers=CREATED_HEADERS)
    @blueprint.problems(errors.NameTaken, errors.IdTaken, errors.ReferenceGone, errors.OffersServiceRefused)
    @blueprint.links(201, {name: {"parameters": {"product_id": "$response.body#/id"}} for name in OPERATIONS_ON_ONE})
    def post(self, fields: dict[str, Any], headers: dict[str, str]) -> Response:
        """Create a product, and register it at the offers service

        Where that does not work now, the product is there all the same: its registration is pending, with
        the reason, and is tried again until it succeeds.
        """
        key = request_key(headers.get("key"), fields)
        created = create_product(tokens(SECONDS), fields, request_id(), key)
        location = {"Location": f"{request.path.rstrip('/')}/{created.product_id}"}
        replayed = {"Idempotency-Replayed": "true"} if created.replayed else {}
        return json_response(created.text, 201, location | replayed)


@blueprint.route("/<uuid:product_id>")
class Product(MethodView):
    @blueprint.response(200, ProductWithOffersSchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(errors.NotFound)
    def get(self, product_id: UUID) -> Response:
        """Show a product with its current offers"""
        if request.if_none_match and (unchanged := not_modified(catalog_reads.tag(product_id))):
            return unchanged
        return _shown(product_id)

    @blueprint.arguments(ProductInputSchema)
    @blueprint.arguments(IfMatchSchema, location="headers")
    @blueprint.response(200, ProductWithOffersSchema, headers=TAG_HEADERS)
    @blueprint.problems(*EDIT_PROBLEMS)
    def put(self, fields: dict[str, Any], headers: dict[str, str], product_id: UUID) -> Response:
        """Replace a product"""
        return _changed(product_id, fields)

    @blueprint.arguments(ProductPatchSchema)
    @blueprint.arguments(IfMatchSchema, location="headers")
    @blueprint.response(200, ProductWithOffersSchema, headers=TAG_HEADERS)
    @blueprint.problems(*EDIT_PROBLEMS)
    def patch(self, fields: dict[str, Any], headers: dict[str, str], product_id: UUID) -> Response:
        """Change some fields of a product"""
        return _changed(product_id, fields)

    @blueprint.arguments(IfMatchSchema, location="headers")
    @blueprint.response(204)
    @blueprint.problems(errors.NotFound)
    def delete(self, headers: dict[str, str], product_id: UUID) -> None:
        """Delete a product; its history is kept"""
        versions = expected_versions()
        in_transaction(lambda: catalog.remove(product_id, utcnow(), versions))


def _changed(product_id: UUID, fields: dict[str, Any]) -> Response:
    versions = expected_versions()
    in_transaction(lambda: catalog.change(product_id, fields, utcnow(), versions))
    return _shown(product_id)


def _shown(product_id: UUID) -> Response:
    document = catalog_reads.find(product_id)
    return tagged(document.text, document.tag)
