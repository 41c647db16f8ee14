"""Logs: one line for each thing that happened, as JSON or for the eye, without a secret in it."""

import logging
import re
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

SECRET_KEYS = re.compile(r"authorization|bearer|cookie|password|secret|token$|^key$|api_key", re.IGNORECASE)
# A JWT, or what follows a word that announces a secret, wherever in a text it stands.
SECRET_TEXT = re.compile(
    r"eyJ[\w-]+\.[\w-]+(\.[\w-]*)?|((?:bearer|token|password)[\"']?\s*[:=]\s*[\"']?)[^\s\"',]+", re.IGNORECASE
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


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return SECRET_TEXT.sub(lambda match: f"{match.group(2) or ''}{HIDDEN}", value)
    if isinstance(value, dict):
        return {k: HIDDEN if SECRET_KEYS.search(str(k)) else _redacted(v) for k, v in value.items()}
    return value
