"""Logs: one line for each thing that happened, as JSON or for the eye, without a secret in it."""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

SECRET_KEYS = re.compile(r"authorization|bearer|cookie|password|secret|token$|^key$|api_key", re.IGNORECASE)
# What follows a word that announces a secret, the password in a URL, and a JWT wherever in a text it stands.
SECRET_TEXT = re.compile(
    r"(?P<word>(?:authorization|bearer|token|password)[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?)[^\s\"',]+"
    r"|(?P<user>://[^\s/:@]*:)[^\s/@]+(?=@)"
    r"|(?P<row>Failing row contains )[^\n]+"  # PostgreSQL's own words
    r"|eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?",
    re.IGNORECASE,
)
HIDDEN = "***"


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


def _rendering(log_format: str) -> list[Processor]:
    without_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "json":
        return [
            without_meta,
            structlog.processors.format_exc_info,
            redact,
            structlog.processors.JSONRenderer(default=str),
        ]
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), timestamp_key="ts")
    return [without_meta, structlog.processors.format_exc_info, redact, console]


def redact(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Hide what looks like a secret, by its name or by its form."""
    return {key: HIDDEN if SECRET_KEYS.search(key) else _redacted(value) for key, value in event.items()}


def redacted(text: str) -> str:
    """The text without what looks like a secret in it."""
    return str(_redacted(text))


def _redacted(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {k: HIDDEN if SECRET_KEYS.search(str(k)) else _redacted(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(element) for element in value]
    return SECRET_TEXT.sub(lambda match: f"{match['word'] or match['user'] or match['row'] or ''}{HIDDEN}", str(value))
