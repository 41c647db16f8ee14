"""Logs: one line for each thing that happened, as JSON or for the eye, without a secret in it."""

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import orjson
import sentry_sdk
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from aggregator.plain_text import escaped

SECRET_KEYS = re.compile(r"authorization|bearer|cookie|password|secret|token$|^key$|api_key", re.IGNORECASE)
# A text in which none of these stands, in whatever case, has no secret that would be found.
HINTS = ("authorization", "bearer", "token", "password", "secret", "://", "failing row", "$argon2", "eyj")
# What follows a word that announces a secret, the password in a URL, and a hash or a JWT wherever in a text they stand.
# The bounds keep a text that is made to hurt from taking long.
SECRET_TEXT = re.compile(
    r"(?P<word>(?:authorization|bearer|token|password|secret\w{0,40})\\?[\"']?\s*[:=]\s*)"
    r"(?:b?\"(?:[^\"\\]|\\.)*\"?|b?'(?:[^'\\]|\\.)*'?|[^,}\n]+)"
    r"|(?P<user>://[^\s/:@]{0,100}:)\S{1,300}(?=@)"
    r"|(?P<row>Failing row contains )[^\n]+"  # PostgreSQL's own words
    r"|\$argon2\w{0,2}\$[^\s\"'}]+"
    r"|eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?",
    re.IGNORECASE,
)
HIDDEN = "***"
REQUESTS = "aggregator.api.requests"  # who logs them


def configure(log_format: str) -> None:
    """Send all logs, our own and those of the libraries, to stderr in one form."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_rendering(log_format))
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for noisy in ("alembic", "schedule", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def report_to(dsn: str, **options: Any) -> None:
    """Report to Sentry what goes wrong: as the logs have it, and nothing of what a request brought."""
    clean: Any = without_secrets  # of an event, a log and a crumb alike
    sentry_sdk.init(
        dsn,
        max_request_body_size="never",
        include_local_variables=False,  # those of a frame that failed may well be a token
        before_breadcrumb=clean,
        before_send=clean,
        before_send_log=clean,
        before_send_transaction=clean,
        **options,
    )


def request_lines(log_format: str) -> Callable[..., None]:
    """What writes the line of a request, given its path and whatever else is known of it.

    There are more of these than of all others. They look the same, and skip what it takes to hand a line to anybody
    who might want it; of what they say only the method and the path come from outside.
    """
    stream, render, logger, lock = sys.stderr, _renderer(log_format), logging.getLogger(REQUESTS), Lock()

    def write(method: str, path: str, **facts: Any) -> None:
        if logger.isEnabledFor(logging.INFO):
            given = {"method": redacted(method), "path": redacted(path)}
            known = {"ts": datetime.now(UTC).isoformat().replace("+00:00", "Z"), "level": "info", "logger": REQUESTS}
            line = render(logger, "info", {"event": "request", **known, **given, **facts})
            with lock, suppress(OSError, ValueError):  # a log that nobody reads any more is no reason to fail
                stream.write(f"{line!s}\n")

    return write


def _rendering(log_format: str) -> list[Processor]:
    without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return [without_meta, structlog.processors.format_exc_info, redact, _renderer(log_format)]


def _renderer(log_format: str) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(_json, default=str)
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="ts")
    return lambda logger, name, event: console(logger, name, {key: _harmless(event[key]) for key in event})


def _harmless(value: Any) -> Any:
    """The value as a terminal may have it: without what would move its cursor, or turn the direction."""
    return (
        escaped(value) if isinstance(value, str) else escaped(str(value)) if isinstance(value, list | dict) else value
    )


def _json(event: EventDict, default: Callable[[Any], Any]) -> str:
    try:
        line = orjson.dumps(event, default, orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME).decode()
        return escaped(line)
    except TypeError:  # of half a character, or of a number that is too long
        return json.dumps(event, default=default)


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide what looks like a secret, by its name or by its form."""
    return without_secrets(event)


def without_secrets(facts: Mapping[str, Any], _: object = None) -> dict[str, Any]:
    """The facts, however deep they lie, without what looks like a secret by its name or by its form."""
    return {key: HIDDEN if SECRET_KEYS.search(str(key)) else _redacted(value) for key, value in facts.items()}


def redacted(text: str) -> str:
    """The text without what looks like a secret in it."""
    if not any(map(text.casefold().__contains__, HINTS)):
        return text
    return SECRET_TEXT.sub(lambda match: f"{match['word'] or match['user'] or match['row'] or ''}{HIDDEN}", text)


def _redacted(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | datetime):
        return value
    if isinstance(value, Mapping):
        return without_secrets(value)
    if isinstance(value, list | tuple):
        return [_redacted(element) for element in value]
    return redacted(str(value))
