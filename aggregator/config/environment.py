"""from_environment(): the settings of this process, whichever it is, or all that is wrong with them."""

import os
from dataclasses import fields
from typing import Any

from aggregator.clients.offers import OffersService, normalized_base_url
from aggregator.config import development
from aggregator.config.dotenv import load_dotenv
from aggregator.config.production import SANDBOX_REFRESH_TOKEN, weak
from aggregator.config.readers import Unusable
from aggregator.config.settings import TABLE, Settings
from aggregator.errors import UsageError

# In development the offers service is the sandbox, as `flask sandbox run` starts it.
SANDBOX_URL = "http://127.0.0.1:8001"
SECRETS = ("secret_key", "jwt_secret_key")


def from_environment(dotenv: bool = True) -> Settings:
    """The settings in the environment and in .env. UsageError names all that is wrong."""
    if dotenv:
        load_dotenv()
    given, problems = _read()
    wrong = {problem.partition(":")[0] for problem in problems}
    production = given.get("APP_ENV") == "production"
    problems += _at_odds(given, wrong) + (weak(given, wrong) if production else [])
    if problems:
        raise UsageError("\n".join(["The settings are not right:", *(f"  {problem}" for problem in problems)]))
    values = {one.name: given[one.name.upper()] for one in fields(Settings) if one.name.upper() in given}
    if production:
        values.setdefault("log_format", "json")
    else:
        values |= {name: values.get(name) or development.development_secret(name) for name in SECRETS}
    return Settings(**values, offers=_offers_service(given))


def _read() -> tuple[dict[str, Any], list[str]]:
    """What is set, by name, and what is wrong with the rest. A name with nothing behind it is not set."""
    texts = {name: os.environ.get(name, "").strip() for name in TABLE}
    texts["DATABASE_URL"] = texts["DATABASE_URL"] or f"sqlite:///{development.ROOT / 'instance' / 'aggregator.db'}"
    given: dict[str, Any] = {}
    problems = []
    for name, text in texts.items():
        try:
            if text:
                given[name] = TABLE[name].read(text)
        except Unusable as error:
            problems.append(f"{name}: {error}")
    return given, problems


def _at_odds(given: dict[str, Any], wrong: set[str]) -> list[str]:
    names = ("ACCESS_TOKEN_SECONDS", "REFRESH_TOKEN_SECONDS")
    access, refresh = (given.get(name, getattr(Settings, name.lower())) for name in names)
    if access > refresh and not wrong.intersection(names):
        return ["ACCESS_TOKEN_SECONDS: a sign-in ends with its refresh token; REFRESH_TOKEN_SECONDS must not be less."]
    return []


def _offers_service(given: dict[str, Any]) -> OffersService:
    refresh_token, access_token = given.get("OFFERS_REFRESH_TOKEN"), given.get("OFFERS_ACCESS_TOKEN")
    if "OFFERS_BASE_URL" not in given:
        refresh_token = refresh_token or SANDBOX_REFRESH_TOKEN
    base_url = normalized_base_url(given.get("OFFERS_BASE_URL", SANDBOX_URL))
    return OffersService(base_url, refresh_token, access_token)
