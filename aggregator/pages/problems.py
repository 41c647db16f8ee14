"""/docs/problems: where the `type` of each problem leads, and what to do about it."""

import re

from flask import Blueprint, Response, abort, make_response, render_template
from markupsafe import Markup, escape

from aggregator.problem_types import problem_types

# Text and a style sheet within the page, and nothing else.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'"

blueprint = Blueprint("problem_pages", __name__, url_prefix="/docs/problems")


@blueprint.app_template_filter()
def code_spans(text: str) -> Markup:
    """A text with what stands between backticks as code."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped, all of it


@blueprint.get("")
def problems() -> Response:
    """All types of problems."""
    return _page("docs/problems.html", types=list(problem_types().values()))


@blueprint.get("/<name>")
def problem(name: str) -> Response:
    """A type of problems, and what to do about it."""
    found = next((each for each in problem_types().values() if each.name == name), None)
    return _page("docs/problem.html", type=found) if found else abort(404)


def _page(template: str, **values: object) -> Response:
    response = make_response(render_template(template, **values))
    response.headers["Content-Security-Policy"] = POLICY
    response.cache_control.max_age = 3_600
    return response
