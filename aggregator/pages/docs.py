"""/docs and /redoc: the API's document to read and to try, served from an installed package: no network."""

import importlib.util
import secrets
from functools import cache
from pathlib import Path

from flask import Blueprint, Response, abort, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as WerkzeugResponse

ASSETS = {
    "swagger-ui.css": ("swagger_style.css", "text/css"),
    "swagger-ui-bundle.js": ("swagger_bundle.js", "text/javascript"),
    "redoc.standalone.js": ("redoc.js", "text/javascript"),
}
# What ReDoc would fetch from elsewhere, its maker's logo, and what takes its place, its maker's name.
OUTSIDE = [b"https://cdn.redoc.ly/redoc/logo-mini-full.svg", b"https://cdn.redoc.ly/redoc/logo-mini.svg"]
NAME = (
    b"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='62' height='18'%3E"
    b"%3Ctext y='13' font-family='sans-serif' font-size='13'%3ERedocly%3C/text%3E%3C/svg%3E"
)

blueprint = Blueprint("docs", __name__)


@blueprint.get("/")
def index() -> WerkzeugResponse:
    """Lead to the documentation."""
    return redirect(url_for("docs.swagger"))


@blueprint.get("/docs")
def swagger() -> Response:
    """Swagger UI."""
    return _page("docs/swagger.html")


@blueprint.get("/redoc")
def redoc() -> Response:
    """ReDoc."""
    return _page("docs/redoc.html")


@blueprint.get("/docs/assets/<name>")
def asset(name: str) -> WerkzeugResponse:
    """A script or a style sheet of the two."""
    if name not in ASSETS:
        abort(404)
    response = make_response(_content(name))
    response.content_type = f"{ASSETS[name][1]}; charset=utf-8"
    response.cache_control.max_age = 86_400
    response.add_etag()
    return response.make_conditional(request)


@cache
def _content(name: str) -> bytes:
    # find_spec: to import the package would load all of its files into memory.
    spec = importlib.util.find_spec("offapi")
    assert spec is not None
    assert spec.submodule_search_locations
    content = (Path(spec.submodule_search_locations[0]) / ASSETS[name][0]).read_bytes()
    for address in OUTSIDE:
        content = content.replace(address, NAME)
    return content


def _page(template: str) -> Response:
    nonce = secrets.token_urlsafe(16)
    response = make_response(render_template(template, nonce=nonce))
    response.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:;"
        " frame-ancestors 'none'; base-uri 'none'"
    )
    return response
