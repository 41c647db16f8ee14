"""Health, for platforms and operators."""

import time
from dataclasses import asdict, replace
from typing import Any

from flask import Response, current_app, jsonify
from sqlalchemy.exc import SQLAlchemyError

from aggregator.api.parsing import Blueprint
from aggregator.extensions import schema_will_do, settings
from aggregator.schemas.ops import HealthSchema, ReadinessSchema, StatusSchema
from aggregator.services import health

CACHED_SECONDS = 5.0  # /status looks at every feed, and anybody may ask for it

blueprint = Blueprint("ops", __name__, description="Health.")


@blueprint.route("/healthz")
@blueprint.response(200, HealthSchema)
def healthz() -> Response:
    """Tell whether this process is alive"""
    return jsonify(status="ok")


@blueprint.route("/readyz")
@blueprint.response(200, ReadinessSchema)
@blueprint.alt_response(503, schema=ReadinessSchema, description="It cannot")
def readyz() -> tuple[Response, int]:
    """Tell whether this process can serve

    It can if the database answers, and its schema is not older than this version. That the offers service is
    down does not matter here: the catalogue can be read and written without it.
    """
    try:
        revision = health.schema_revision()
    except SQLAlchemyError:
        return jsonify(status="unready", reason="the database does not answer, or is empty"), 503
    if not schema_will_do(revision):
        return jsonify(status="unready", reason="the schema is not the one this version needs"), 503
    return jsonify(status="degraded" if health.paused_calls() else "ready"), 200


@blueprint.route("/status")
@blueprint.response(200, StatusSchema)
def status() -> Response:
    """Tell how sync, registrations, workers and the offers service are doing"""
    cached: tuple[float, dict[str, Any]] | None = current_app.extensions.get("status")
    if cached is None or time.monotonic() - cached[0] > CACHED_SECONDS:
        cached = (time.monotonic(), _status())
        current_app.extensions["status"] = cached
    return jsonify(cached[1])


def _status() -> dict[str, Any]:
    try:
        offers = settings().offers
        state = health.status(offers.fingerprint)
        if offers.access_token and not offers.refresh_token:
            state = replace(state, token="given")  # noqa: S106 - the word, not a token
    except SQLAlchemyError:
        return {"status": "down", "problems": ["the database does not answer, or is empty"]}
    problems = state.problems(settings().sync_interval_seconds)
    return {"status": "degraded" if problems else "ok", "problems": problems, **asdict(state)}
