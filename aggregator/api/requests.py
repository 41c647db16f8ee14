"""What requests say in their headers."""

import re
import time
from collections.abc import Callable
from secrets import token_hex
from typing import Any

import structlog
from flask import Flask, Response, g, request
from flask.globals import request_ctx

from aggregator.auth import principal
from aggregator.services.catalog_reads import version_in
from aggregator.services.idempotency import RequestKey, request_digest

REQUEST_ID = "X-Request-ID"
_acceptable = re.compile(r"[A-Za-z0-9-]{1,64}").fullmatch


def init_app(app: Flask, write_line: Callable[..., None]) -> None:
    """Give each request an id, which answers, the offers service and the log, with a line for each, get to see."""
    app.before_request(_begin)
    app.after_request(lambda response: _end(response, write_line))


def _begin() -> None:
    given = request_ctx.request.environ.get("HTTP_X_REQUEST_ID", "")
    id_ = given if _acceptable(given) else token_hex(16)
    structlog.contextvars.bind_contextvars(request_id=id_)
    g.begun = (id_, time.perf_counter())


def _end(response: Response, write_line: Callable[..., None]) -> Response:
    asked, (id_, began) = request_ctx.request, g.begun
    response.headers.add(REQUEST_ID, id_)
    write_line(
        asked.method,
        asked.path,
        request_id=id_,
        status=response.status_code,
        ms=round(1000 * (time.perf_counter() - began), 1),
        **({"user_id": str(principal().user_id)} if "principal" in g else {}),
    )
    return response


def request_id() -> str:
    """The id of the request that is being served."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def request_key(key: str | None, fields: dict[str, Any]) -> RequestKey | None:
    """The Idempotency-Key of the request and what it stands for, if it has one."""
    if key is None:
        return None
    return RequestKey(str(principal().user_id), key, request_digest(request.method, request.path.rstrip("/"), fields))


def expected_versions() -> set[int | None] | None:
    """The versions of the product that the client means to change, if it sent If-Match."""
    if not request.if_match or request.if_match.star_tag:
        return None
    return {version_in(tag) for tag in request.if_match.as_set()}
