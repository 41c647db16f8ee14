"""/api/v1/changes: what has changed, for those who keep a copy of the catalogue."""

from flask import Response
from flask.views import MethodView

from aggregator.api.parsing import Blueprint
from aggregator.api.responses import CHANGES_HEADERS, UNCHANGED, linked, tagged, url_with
from aggregator.clock import utcnow
from aggregator.errors import CursorGone
from aggregator.schemas.changes import ChangeSchema, ChangesQuerySchema
from aggregator.services import changes

blueprint = Blueprint("changes", __name__, url_prefix="/api/v1/changes", description="What has changed.")


@blueprint.route("")
class Changes(MethodView):
    @blueprint.arguments(ChangesQuerySchema, location="query")
    @blueprint.response(200, ChangeSchema(many=True), headers=CHANGES_HEADERS)
    @blueprint.alt_response(304, description=UNCHANGED)
    @blueprint.problems(CursorGone)
    def get(self, query: dict[str, int]) -> Response:
        """Show what has changed since, in the order in which it did

        Read it to its end, remember the last `cursor`, and ask again from there: nothing is missed and nothing
        comes twice. Changes older than a week are told only as far as no later one of the same product makes
        them needless; so who begins without a cursor gets to know every product there is, and every deletion.

        `category.updated` has a `category_id` and no `product_id`: all products in that category show another name or
        slug of it. A cursor of a database that was restored from a backup since is a 410: then start over.
        """
        text, last = changes.after(query["cursor"], query["limit"], utcnow())
        return linked(tagged(text), {"next": url_with(cursor=last)})
