"""Health, for platforms and operators."""

import time
from dataclasses import asdict, replace
from typing import Any

from flask import Response, current_app, jsonify
from sqlalchemy.exc import SQLAlchemyError

from aggregator import probing
from aggregator.api.parsing import Blueprint
from aggregator.database import outages
from aggregator.extensions import (
    offers_box,
    other_troubles,
    post,
    schema_is_current,
    schema_will_do,
    settings,
    webhook_box,
)
from aggregator.schemas.ops import HealthSchema, ReadinessSchema, StatusQuerySchema, StatusSchema
from aggregator.services import health, jobs, stored_secrets
from aggregator.troubles import Trouble

NEWER_SCHEMA = "the schema is newer than this version"
LOST_SECRETS = (
    "webhooks whose secret cannot be read, because SECRET_KEY is another (put the former one into SECRET_KEY_FALLBACKS,"
    " or have the secrets rotated)"
)
CACHED_SECONDS = 5.0  # /status looks at every feed, and anybody may ask for it

blueprint = Blueprint("ops", __name__, description="Health.")


@blueprint.route("/healthz")
@blueprint.response(200, HealthSchema)
def healthz() -> Response:
    """Show whether this process is alive"""
    return jsonify(status="ok")


@blueprint.route("/readyz")
@blueprint.response(200, ReadinessSchema)
@blueprint.alt_response(503, schema=ReadinessSchema, description="It cannot")
def readyz() -> tuple[Response, int]:
    """Show whether this process can serve

    It can if the database answers, and its schema is not older than this version. That the offers service is
    down does not matter here: the catalogue can be read and written without it. Where the database can only be read,
    it is degraded, and says why.
    """
    try:
        revision = health.schema_revision()
        read_only = _writing_trouble()
    except SQLAlchemyError as error:
        return jsonify(status="unready", reason=_words(error)), 503
    if not schema_will_do(revision):
        return jsonify(status="unready", reason="the schema is not the one this version needs"), 503
    if read_only:
        return jsonify(status="degraded", reason=str(read_only)), 200
    status = "degraded" if health.paused_calls() else "ready"
    if not schema_is_current(revision):
        return jsonify(status=status, reason=NEWER_SCHEMA), 200
    return jsonify(status=status), 200


@blueprint.route("/status")
@blueprint.arguments(StatusQuerySchema, location="query")
@blueprint.response(200, StatusSchema)
@blueprint.alt_response(503, schema=StatusSchema, description="Something is a problem, and strict was asked for")
def status(query: dict[str, bool]) -> tuple[Response, int]:
    """Show how sync, registrations, workers and the offers service are doing

    It answers 200 whatever it says. With `strict=true` it answers 503 where anything is a problem, for monitors
    that look at nothing but the status code.
    """
    cached: tuple[float, dict[str, Any]] | None = current_app.extensions.get("status")
    if cached is None or time.monotonic() - cached[0] > CACHED_SECONDS:
        cached = (time.monotonic(), _status())
        current_app.extensions["status"] = cached
    return jsonify(cached[1]), 503 if query["strict"] and cached[1]["problems"] else 200


def _writing_trouble() -> Trouble | None:
    trouble = probing.writing_trouble()
    if trouble is None:
        outages().works(wrote=True)
    return trouble


def _lost_secrets() -> list[str]:
    lost = stored_secrets.unreadable_webhooks(webhook_box().prefixes)
    return [f"{LOST_SECRETS}: {lost}"] if lost else []


def _words(error: SQLAlchemyError) -> str:
    """What is wrong with the database, as the log has it."""
    return str(outages().note(error) or "database: it does not answer as it should; the log of the server says why.")


def _status() -> dict[str, Any]:
    try:
        offers = settings().offers
        state = health.status(offers.fingerprint, offers_box().prefixes)
        if offers.access_token and not offers.refresh_token:
            state = replace(state, token="given")  # noqa: S106 - the word, not a token
        trouble = _writing_trouble() or probing.crowding()
        known = [str(trouble)] if trouble else outages().troubles()
        mails = jobs.problem_of_latest_run("send-mails")
        known += [] if schema_is_current(health.schema_revision()) else [NEWER_SCHEMA]
        known += _lost_secrets()
        known += dict.fromkeys([*other_troubles(), *([post().trouble(mails)] if mails else [])])
    except SQLAlchemyError as error:
        return {"status": "down", "problems": [_words(error)]}
    problems = [*known, *state.problems(settings().sync_interval_seconds)]
    return {"status": "degraded" if problems else "ok", "problems": problems, **asdict(state)}
