"""Settings, read from the environment once; what is missing or wrong is named all at once."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from environs import Env, EnvValidationError
from marshmallow import ValidationError, validate
from redis.connection import parse_url
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from aggregator.clients.image_store import DATABASE, NOT_A_STORE, is_outside
from aggregator.clients.mail import MailServer, sender
from aggregator.clients.offers import OffersService, normalized_base_url
from aggregator.errors import UsageError

ROOT = Path(__file__).resolve().parents[1]
NAMES = (
    *("APP_ENV", "DATABASE_URL", "DB_POOL_SIZE", "OFFERS_BASE_URL", "OFFERS_REFRESH_TOKEN", "OFFERS_ACCESS_TOKEN"),
    *("SECRET_KEY", "JWT_SECRET_KEY", "SYNC_INTERVAL_SECONDS", "SYNC_CONCURRENCY", "TIMEZONE", "CURRENCY"),
    *("ACCESS_TOKEN_SECONDS", "REFRESH_TOKEN_SECONDS", "LOGINS_PER_ADDRESS", "LOGINS_PER_ACCOUNT"),
    *("REGISTRATIONS_PER_ADDRESS", "REDIS_URL", "TRUSTED_PROXIES", "CORS_ORIGINS"),
    *("HISTORY_RAW_DAYS", "HISTORY_HOURLY_DAYS", "MAIL_URL", "MAIL_FROM", "WEBHOOK_PORTS", "WEBHOOK_TEST_HOSTS"),
    *("IMAGE_STORE", "SENTRY_DSN", "LOG_FORMAT", "HOST", "PORT", "WEB_CONCURRENCY", "WEB_THREADS"),
)
MIN_SECRET_LENGTH = 32
# What people write who mean to put a real one there later; nothing that is made at random holds any of it.
PLACEHOLDERS = (
    *("change", "secret", "example", "replace", "development", "password", "default"),
    *("0123456789", "abcdefgh"),
)
NO_MAIL_SERVER = "Not a mail server, such as smtp://user:password@host:587."
NO_ADDRESS = "Not an address, such as shop@example.com."
# In development the offers service is the sandbox, as `flask sandbox run` starts it.
SANDBOX_URL = "http://127.0.0.1:8001"
SANDBOX_REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105 - it opens nothing but the sandbox


@dataclass(frozen=True)
class Settings:
    """What can be set from outside. Secrets stay out of the repr, and so out of every log."""

    database_url: URL
    offers: OffersService
    app_env: str = "development"
    secret_key: str = field(default_factory=token_hex, repr=False)
    jwt_secret_key: str = field(default_factory=token_hex, repr=False)
    access_token_seconds: int = 300
    refresh_token_seconds: int = 86_400
    logins_per_address: int = 30
    logins_per_account: int = 10
    registrations_per_address: int = 20
    redis_url: str = field(default="", repr=False)
    trusted_proxies: int = 0
    cors_origins: tuple[str, ...] = ()
    sync_interval_seconds: float = 60
    sync_concurrency: int = 32
    timezone: str = "UTC"
    currency: str = "EUR"
    history_raw_days: int = 30
    history_hourly_days: int = 365
    mail_url: str = field(default="", repr=False)
    mail_from: str = "aggregator@localhost"
    webhook_ports: tuple[int, ...] = (443,)
    webhook_test_hosts: tuple[str, ...] = ()
    image_store: str = DATABASE
    sentry_dsn: str = field(default="", repr=False)
    log_format: str = "text"
    db_pool_size: int = 4


def from_environment(dotenv: bool = True) -> Settings:
    """The settings in the environment and, in development, in .env. UsageError names all that is wrong."""
    env = Env(eager=False)
    if dotenv and os.environ.get("APP_ENV") != "production":
        env.read_env(str(ROOT / ".env"), recurse=False)
    # A name with nothing behind it, as .env.example has them, is a name that is not set.
    for name in NAMES:
        if not os.environ.get(name, "").strip():
            os.environ.pop(name, None)
    app_env = env.str("APP_ENV", "development", validate=validate.OneOf(["development", "production"]))
    values: dict[str, Any] = {
        "app_env": app_env,
        **_general(env, app_env),
        **_accounts(env),
        **_history(env),
        **_outgoing(env),
    }
    problems = _invalid(env) + _at_odds(values) + (_weak(values) if app_env == "production" else [])
    if problems:
        raise UsageError("\n".join(["The settings are not right:", *(f"  {problem}" for problem in problems)]))
    if app_env == "development":
        values |= {name: values[name] or development_secret(name) for name in ("secret_key", "jwt_secret_key")}
    return Settings(**values)


def development_secret(name: str) -> str:
    """A secret of this directory's own, made when it is first asked for: no two installations share one."""
    path = ROOT / "instance" / "development-secret"
    try:
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            draft = path.with_name(f"{path.name}-{token_hex(8)}")
            draft.touch(mode=0o600)  # before there is anything in it
            draft.write_text(token_hex(32))
            with suppress(FileExistsError):
                os.link(draft, path)  # all at once: another process may be reading it
            draft.unlink()
        return sha256(f"{name} {path.read_text()}".encode()).hexdigest()
    except OSError as error:
        raise UsageError(f"{name.upper()} is not set, and none can be kept in {path}: {error.strerror}.") from None


def _general(env: Env, app_env: str) -> dict[str, Any]:
    log_format = "json" if app_env == "production" else "text"
    return {
        "database_url": _database_url(env),
        "db_pool_size": env.int("DB_POOL_SIZE", 4, validate=validate.Range(1, 100)),
        "offers": _offers_service(env),
        "sync_interval_seconds": env.float("SYNC_INTERVAL_SECONDS", 60, validate=validate.Range(0.1, 86_400)),
        "sync_concurrency": env.int("SYNC_CONCURRENCY", 32, validate=validate.Range(1, 512)),
        "timezone": env.str("TIMEZONE", "UTC", validate=_is_timezone),
        "currency": env.str("CURRENCY", "EUR", validate=validate.Regexp("^[A-Z]{3}$")),
        "image_store": env.str("IMAGE_STORE", DATABASE, validate=_taken_by(is_outside, NOT_A_STORE)),
        "sentry_dsn": env.str("SENTRY_DSN", ""),
        "log_format": env.str("LOG_FORMAT", log_format, validate=validate.OneOf(["json", "text"])),
    }


def _accounts(env: Env) -> dict[str, Any]:
    positive = validate.Range(1, 1_000_000)
    return {
        # A secret that comes out of a file often brings the end of its line along.
        "secret_key": env.str("SECRET_KEY", "").strip(),
        "jwt_secret_key": env.str("JWT_SECRET_KEY", "").strip(),
        "access_token_seconds": env.int("ACCESS_TOKEN_SECONDS", 300, validate=validate.Range(10, 86_400)),
        "refresh_token_seconds": env.int("REFRESH_TOKEN_SECONDS", 86_400, validate=validate.Range(60, 31_536_000)),
        "logins_per_address": env.int("LOGINS_PER_ADDRESS", 30, validate=positive),
        "logins_per_account": env.int("LOGINS_PER_ACCOUNT", 10, validate=positive),
        "registrations_per_address": env.int("REGISTRATIONS_PER_ADDRESS", 20, validate=positive),
        "redis_url": env.str("REDIS_URL", "", validate=_is_redis_url),
        "trusted_proxies": env.int("TRUSTED_PROXIES", 0, validate=validate.Range(0, 5)),
        "cors_origins": _words(env.str("CORS_ORIGINS", "", validate=_are_origins) or ""),
    }


def _history(env: Env) -> dict[str, Any]:
    return {
        "history_raw_days": env.int("HISTORY_RAW_DAYS", 30, validate=validate.Range(1, 3_650)),
        "history_hourly_days": env.int("HISTORY_HOURLY_DAYS", 365, validate=validate.Range(1, 3_650)),
    }


def _outgoing(env: Env) -> dict[str, Any]:
    return {
        "mail_url": env.str("MAIL_URL", "", validate=_taken_by(MailServer.at, NO_MAIL_SERVER)),
        "mail_from": env.str("MAIL_FROM", "aggregator@localhost", validate=_taken_by(sender, NO_ADDRESS)),
        "webhook_ports": tuple(map(int, _words(env.str("WEBHOOK_PORTS", "443", validate=_are_ports) or ""))),
        "webhook_test_hosts": _words(env.str("WEBHOOK_TEST_HOSTS", "") or ""),
    }


def _database_url(env: Env) -> URL | None:
    text = env.str("DATABASE_URL", f"sqlite:///{ROOT / 'instance' / 'aggregator.db'}", validate=_is_database_url)
    return normalized_database_url(text) if text and "DATABASE_URL" not in env._errors else None


def normalized_database_url(text: str) -> URL:
    """The URL with the driver that is installed; a relative path to a file is one from the working directory."""
    # Heroku says postgres://, SQLAlchemy would take psycopg 3, and Flask-SQLAlchemy would look elsewhere for the file.
    url = make_url(text.replace("postgres://", "postgresql://", 1))
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith((":memory:", "file:")):
        return url.set(database=str(Path(url.database).absolute()))
    return url.set(drivername="postgresql+psycopg2") if url.drivername == "postgresql" else url


def _offers_service(env: Env) -> OffersService:
    base_url = env.str("OFFERS_BASE_URL", "", validate=_is_http_url)
    refresh_token = env.str("OFFERS_REFRESH_TOKEN", "")
    if not base_url:
        base_url, refresh_token = SANDBOX_URL, refresh_token or SANDBOX_REFRESH_TOKEN
    access_token = env.str("OFFERS_ACCESS_TOKEN", "")
    tokens = [token.strip() or None if token else None for token in (refresh_token, access_token)]
    return OffersService(normalized_base_url(base_url), *tokens)


def _invalid(env: Env) -> list[str]:
    try:
        env.seal()
    except EnvValidationError as error:
        messages = cast(dict[str, list[str]], error.error_messages)
        return [f"{name}: {' '.join(texts)}" for name, texts in messages.items()]
    return []


def _at_odds(values: dict[str, Any]) -> list[str]:
    access, refresh = values["access_token_seconds"], values["refresh_token_seconds"]
    if access and refresh and access > refresh:
        return ["ACCESS_TOKEN_SECONDS: a sign-in ends with its refresh token; REFRESH_TOKEN_SECONDS must not be less."]
    return []


def _weak(values: dict[str, Any]) -> list[str]:
    """What development may do and production may not. The values themselves are never named."""
    problems = _weak_secrets(values)
    if values["webhook_test_hosts"]:
        problems.append("WEBHOOK_TEST_HOSTS: it opens the way to hosts inside; it is not for production.")
    if "OFFERS_BASE_URL" not in os.environ:
        problems.append("OFFERS_BASE_URL: production needs to know the offers service.")
    elif values["offers"].refresh_token == SANDBOX_REFRESH_TOKEN:
        problems.append("OFFERS_REFRESH_TOKEN: everybody knows the sandbox's.")
    url = values["database_url"]
    if isinstance(url, URL) and "development-only" in (url.password or ""):
        problems.append("DATABASE_URL: everybody knows this password.")
    if "DYNO" in os.environ and isinstance(url, URL) and url.get_backend_name() == "sqlite":
        problems.append("DATABASE_URL: a dyno's disk is neither shared nor kept; add a PostgreSQL database.")
    if "DYNO" in os.environ and str(values["image_store"]).startswith("/"):
        problems.append("IMAGE_STORE: a dyno's disk is neither shared nor kept; database, or s3://bucket.")
    if os.environ.get("FLASK_DEBUG", "0").lower() not in ("", "0", "false", "no"):
        problems.append("FLASK_DEBUG: the debugger lets anybody run code; it is not for production.")
    return problems


def _weak_secrets(values: dict[str, Any]) -> list[str]:
    problems = []
    for name in ("SECRET_KEY", "JWT_SECRET_KEY"):
        secret = values[name.lower()]
        famous = any(word in secret.lower() for word in PLACEHOLDERS)
        if len(secret) < MIN_SECRET_LENGTH or len(set(secret)) < 8 or famous:
            problems.append(f"{name}: production needs {MIN_SECRET_LENGTH} random characters or more.")
    if values["secret_key"] and values["secret_key"] == values["jwt_secret_key"]:
        problems.append("JWT_SECRET_KEY: it must differ from SECRET_KEY.")
    return problems


def _is_http_url(value: str) -> None:
    if value:
        validate.URL(schemes={"http", "https"}, require_tld=False)(value)


def _is_redis_url(value: str) -> None:
    if value:
        try:
            where = parse_url(value)  # type: ignore[no-untyped-call]
        except ValueError:
            raise ValidationError("Not a Redis URL, such as redis://host:6379.") from None
        if not where or not 0 < where.get("port", 6379) < 65536:
            raise ValidationError("Not a Redis URL, such as redis://host:6379.")


def _words(value: str) -> tuple[str, ...]:
    return tuple(value.replace(",", " ").split())


def _are_origins(value: str) -> None:
    for origin in _words(value):
        if not re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d+)?", origin):
            raise ValidationError("Not origins, such as https://shop.example.com.")


def _are_ports(value: str) -> None:
    if not all(re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) < 65536 for port in _words(value)):
        raise ValidationError("Not ports, such as 443 8443.")


def _taken_by(reader: Callable[[str], object], otherwise: str) -> Callable[[str], None]:
    """Whether reader makes sense of a value, if there is one; what is said otherwise."""

    def check(value: str) -> None:
        try:
            if value:
                reader(value)
        except ValueError:
            raise ValidationError(otherwise) from None

    return check


def _is_timezone(value: str) -> None:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValidationError("Not a time zone, such as Europe/Prague.") from None


def _is_database_url(value: str) -> None:
    try:
        backend = normalized_database_url(value).get_backend_name()
    except (ArgumentError, ValueError):
        raise ValidationError("Not a database URL.") from None
    if backend not in ("sqlite", "postgresql"):
        raise ValidationError("Only postgresql:// and sqlite:// are known.")
