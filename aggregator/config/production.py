"""What development may do and production may not. The values themselves are never named."""

import os
from typing import Any

from aggregator.config.readers import NO

MIN_SECRET_LENGTH = 32
# What people write who mean to put a real one there later; nothing that is made at random holds any of it.
PLACEHOLDERS = (
    *("change", "secret", "example", "replace", "development", "password", "default"),
    *("0123456789", "abcdefgh"),
)
SANDBOX_REFRESH_TOKEN = "sandbox-refresh-token"


def weak(given: dict[str, Any], wrong: set[str]) -> list[str]:
    """The problems that production has with what is given; nothing about what is wrong anyway."""
    problems = _weak_secrets(given)
    if "OFFERS_BASE_URL" not in {*given, *wrong}:
        problems["OFFERS_BASE_URL"] = "production needs to know the offers service."
    if given.get("OFFERS_REFRESH_TOKEN") == SANDBOX_REFRESH_TOKEN:
        problems["OFFERS_REFRESH_TOKEN"] = "everybody knows the sandbox's."
    if given.get("WEBHOOK_TEST_HOSTS"):
        problems["WEBHOOK_TEST_HOSTS"] = "it opens the way to hosts inside; it is not for production."
    if "development-only" in (getattr(given.get("DATABASE_URL"), "password", None) or ""):
        problems["DATABASE_URL"] = "everybody knows this password."
    if os.environ.get("FLASK_DEBUG", "").lower() not in ("", *NO):
        problems["FLASK_DEBUG"] = "the debugger lets anybody run code; it is not for production."
    problems |= _on_a_dyno(given) if "DYNO" in os.environ else {}
    return [f"{name}: {words}" for name, words in problems.items() if name not in wrong]


def _on_a_dyno(given: dict[str, Any]) -> dict[str, str]:
    problems = {}
    if "DATABASE_URL" in given and given["DATABASE_URL"].get_backend_name() == "sqlite":
        problems["DATABASE_URL"] = "a dyno's disk is neither shared nor kept; add a PostgreSQL database."
    if str(given.get("IMAGE_STORE", "")).startswith("/"):
        problems["IMAGE_STORE"] = "a dyno's disk is neither shared nor kept; database, or s3://bucket."
    return problems


def _weak_secrets(given: dict[str, Any]) -> dict[str, str]:
    problems = {}
    for name in ("SECRET_KEY", "JWT_SECRET_KEY"):
        secret = given.get(name, "")
        famous = any(word in secret.lower() for word in PLACEHOLDERS)
        if len(secret) < MIN_SECRET_LENGTH or len(set(secret)) < 8 or famous:
            problems[name] = f"production needs {MIN_SECRET_LENGTH} random characters or more."
    if given.get("SECRET_KEY") and given["SECRET_KEY"] == given.get("JWT_SECRET_KEY"):
        problems["JWT_SECRET_KEY"] = "it must differ from SECRET_KEY."
    return problems
