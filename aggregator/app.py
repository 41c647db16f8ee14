"""create_app(): puts everything together. It knows everyone, and nobody knows it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from flask import Flask, Request, Response, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_cors import CORS
from flask_migrate import Migrate
from werkzeug.middleware.proxy_fix import ProxyFix

from aggregator import auth, config, database, errors, extensions, logs, plain_text
from aggregator.api import (
    accounts,
    alerts,
    carts,
    catalog,
    categories,
    changes,
    document,
    images,
    offers,
    ops,
    orders,
    prices,
    problems,
    requests,
    transfer,
    webhooks,
)
from aggregator.api.parsing import SECURITY_SCHEME
from aggregator.api.problems import ProblemApi
from aggregator.cli import audit as audit_cli
from aggregator.cli import jobs as jobs_cli
from aggregator.cli import offers as offers_cli
from aggregator.cli import products as products_cli
from aggregator.cli import sandbox as sandbox_cli
from aggregator.cli import secrets as secrets_cli
from aggregator.cli import users as users_cli
from aggregator.database import db
from aggregator.endings import end_in_words
from aggregator.pages import account, docs
from aggregator.pages import problems as problem_pages
from aggregator.services import formats

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"
MAX_BODY_BYTES = 1024 * 1024
EXPOSED = ["ETag", "Idempotency-Replayed", "Link", "Location", "Retry-After", "X-Pagination", "X-Request-ID"]
API_DOCUMENT = {
    "API_TITLE": "Product Aggregator",
    "API_VERSION": "v1",
    "OPENAPI_VERSION": "3.1.0",
    "OPENAPI_URL_PREFIX": "/",
    "OPENAPI_JSON_PATH": "openapi.json",
    "API_SPEC_OPTIONS": {
        "components": {
            "securitySchemes": {SECURITY_SCHEME: {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        }
    },
}


class App(Flask):
    """Flask, for views and hooks that are plain functions, all of them: it need not look at each, each time."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is."""
        return func


class Sessions(SecureCookieSessionInterface):
    """Flask's, but for who brings no cookie, and gets none, nothing is prepared to read or write one."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """The session that a cookie brings, or a new one."""
        return super().open_session(app, request) if "HTTP_COOKIE" in request.environ else self.session_class()

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Tell the browser, where there is something to tell."""
        if session.accessed or session.modified:
            super().save_session(app, session, response)


def create_app(settings: config.Settings) -> Flask:
    """The app as settings say; nothing is connected to before the first use."""
    logs.configure(settings.log_format)
    app = App(__name__, static_folder=None)
    app.session_interface = Sessions()
    app.config.update(API_DOCUMENT, MAX_CONTENT_LENGTH=MAX_BODY_BYTES, SECRET_KEY=settings.secret_key)
    app.config["SECRET_KEY_FALLBACKS"] = list(settings.secret_key_fallbacks)
    app.url_map.strict_slashes = False  # /products/ is /products
    app.url_map.merge_slashes = False  # else //products is a redirect to what the Host header says
    database.init_app(app, settings.database_url, settings.db_pool_size)
    extensions.init_app(app, settings)
    Migrate(app, db, directory=str(MIGRATIONS))
    app.extensions["schema"] = [script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions()]
    for written in (formats.money, formats.percent, formats.moment, formats.day, plain_text.fitting):
        app.add_template_filter(written)
    requests.init_app(app, logs.request_lines(settings.log_format))
    problems.init_app(app)
    auth.init_app(app, settings.jwt_secret_key, settings.access_token_seconds)
    api = ProblemApi(app, document.complete)
    for documented in (
        catalog,
        transfer,
        categories,
        images,
        offers,
        prices,
        changes,
        alerts,
        webhooks,
        carts,
        orders,
        accounts,
        ops,
    ):
        api.register_blueprint(documented.blueprint)
    app.register_blueprint(docs.blueprint)
    app.register_blueprint(account.blueprint)
    app.register_blueprint(problem_pages.blueprint)
    for command in (sandbox_cli, products_cli, offers_cli, jobs_cli, users_cli, audit_cli, secrets_cli):
        app.cli.add_command(command.group)
    _face_the_world(app, settings)
    return app


def _face_the_world(app: Flask, settings: config.Settings) -> None:
    """What browsers are told, and whose word is taken for where a request comes from."""
    app.after_request(_secure)
    if settings.cors_origins:
        app.after_request(_vary)
        CORS(app, origins=list(settings.cors_origins), expose_headers=EXPOSED, max_age=600, always_send=False)
    if hops := settings.trusted_proxies:
        # How it was called the last proxy alone can know; and no answer depends on the host, so nobody need say it.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=1, x_host=0)  # type: ignore[method-assign]


def start() -> Flask:
    """The app as the environment says; where that cannot work, the reason on stderr and exit code 78."""
    try:
        settings = config.from_environment()
        if settings.sentry_dsn:
            logs.report_to(settings.sentry_dsn)
        end_in_words(settings.database_url)
        return create_app(settings)
    except errors.UsageError as error:
        print(error.detail, file=sys.stderr)
        sys.exit(78)  # EX_CONFIG


def _vary(response: Response) -> Response:
    """Say that the answer depends on the origin that asks, also where none does: a cache would give it to others."""
    response.vary.add("Origin")
    return response


def _secure(response: Response) -> Response:
    headers = response.headers
    headers.add("X-Content-Type-Options", "nosniff")
    headers.add("Referrer-Policy", "no-referrer")
    if not headers.getlist("Content-Security-Policy"):  # what is not a page of ours has no business being one
        headers.add("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    if request.is_secure:
        headers.add("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    return response
