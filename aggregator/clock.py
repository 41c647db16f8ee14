"""The present moment, asked for in one place so that everything else takes it as an argument."""

from datetime import UTC, datetime


def utcnow() -> datetime:
    """The present moment, aware and in UTC."""
    return datetime.now(UTC)
