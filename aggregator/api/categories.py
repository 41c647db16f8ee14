"""/api/v1/categories: the parts of the catalogue."""

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
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.schemas.categories import (
    CategoriesQuerySchema,
    CategoryInputSchema,
    CategoryPatchSchema,
    CategorySchema,
)
from aggregator.services import categories, category_reads

blueprint = Blueprint(
    "categories", __name__, url_prefix="/api/v1/categories", description="The parts of the catalogue."
)

ON_ONE = ("get_category", "replace_category", "update_category", "delete_category")
PROBLEMS = (errors.SlugTaken, errors.ReferenceGone, errors.CategoryTooDeep)


@blueprint.route("")
class Categories(MethodView):
    @blueprint.arguments(CategoriesQuerySchema, location="query")
    @blueprint.response(200, CategorySchema(many=True), headers=PAGE_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    def get(self, query: dict[str, Any]) -> Response:
        """List the categories"""
        return page_response(category_reads.page, query)

    @blueprint.arguments(CategoryInputSchema)
    @blueprint.response(201, CategorySchema, headers=documented(True, Location="Where it is."))
    @blueprint.links(201, {name: {"parameters": {"category_id": "$response.body#/id"}} for name in ON_ONE})
    @blueprint.problems(*PROBLEMS)
    def post(self, fields: dict[str, Any]) -> Response:
        """Create a category"""
        category_id = in_transaction(lambda: categories.add(fields, utcnow()))
        location = {"Location": f"{request.path.rstrip('/')}/{category_id}"}
        return json_response(category_reads.find(category_id), 201, location)


@blueprint.route("/<uuid:category_id>")
class Category(MethodView):
    @blueprint.response(200, CategorySchema, headers=TAG_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(errors.NotFound)
    def get(self, category_id: UUID) -> Response:
        """Show a category"""
        return tagged(category_reads.find(category_id))

    @blueprint.arguments(CategoryInputSchema)
    @blueprint.response(200, CategorySchema)
    @blueprint.problems(errors.NotFound, errors.CategoryCircle, *PROBLEMS)
    def put(self, fields: dict[str, Any], category_id: UUID) -> Response:
        """Replace a category"""
        return _changed(category_id, {"slug": categories.slug_of(fields["name"])} | fields)

    @blueprint.arguments(CategoryPatchSchema)
    @blueprint.response(200, CategorySchema)
    @blueprint.problems(errors.NotFound, errors.CategoryCircle, *PROBLEMS)
    def patch(self, fields: dict[str, Any], category_id: UUID) -> Response:
        """Change some fields of a category"""
        return _changed(category_id, fields)

    @blueprint.response(204)
    @blueprint.problems(errors.NotFound, errors.CategoryNotEmpty)
    def delete(self, category_id: UUID) -> None:
        """Delete an empty category"""
        in_transaction(lambda: categories.remove(category_id))


def _changed(category_id: UUID, fields: dict[str, Any]) -> Response:
    in_transaction(lambda: categories.change(category_id, fields, utcnow()))
    return json_response(category_reads.find(category_id))
