"""The table of settings. Each is one entry here: its reader, its default, and what it is for.

`.env.example` is made of it (`python -m aggregator.config > .env.example`); README and docker-compose.yml name each.
"""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from secrets import token_hex
from typing import Any, TypeVar

from sqlalchemy.engine import URL

from aggregator.clients.image_store import DATABASE
from aggregator.clients.offers import OffersService
from aggregator.config import addresses, readers
from aggregator.config.database_url import database_url

T = TypeVar("T")


@dataclass(frozen=True)
class Known:
    """A setting: what makes a value of its text, and what it is for."""

    read: Callable[[str], Any]
    about: str


# What together says where the offers service is, and who we are there.
OFFERS = {
    "OFFERS_BASE_URL": Known(
        addresses.service_url,
        "Where the offers service is, with or without /api/v1; else the sandbox at http://127.0.0.1:8001."
        " `make run` always takes its own sandbox.",
    ),
    "OFFERS_REFRESH_TOKEN": Known(
        readers.header_value, "The refresh token that an offers service of the second generation has given you."
    ),
    "OFFERS_ACCESS_TOKEN": Known(
        readers.header_value,
        "The access token for one of the first generation, if there is one already; without both we sign up for one.",
    ),
}


def setting(read: Callable[[str], T], about: str, default: Any = MISSING, secret: bool = False) -> T:
    """An entry of the table; a secret stays out of the repr, and so out of every log."""
    made: T = field(default=default, repr=not secret, metadata={"known": Known(read, about)})
    return made


def made_secret(about: str) -> str:
    """An entry for a secret that is made where it is not set."""
    made: str = field(default_factory=token_hex, repr=False, metadata={"known": Known(readers.text, about)})
    return made


def together(parts: dict[str, Known]) -> Any:
    """An entry that is made of several settings."""
    return field(metadata={"known": parts})


@dataclass(frozen=True)
class Settings:
    """What can be set from outside."""

    database_url: URL = setting(
        database_url,
        "postgresql://user:password@host/name or sqlite:////path/to/file; else a SQLite file under instance/.",
    )
    offers: OffersService = together(OFFERS)
    app_env: str = setting(
        readers.one_of("development", "production"),
        "development, or production, which refuses weak and missing secrets.",
        "development",
    )
    db_pool_size: int = setting(
        readers.whole(1, 100), "How many connections each process keeps to PostgreSQL (2, and as many for reading).", 2
    )
    secret_key: str = made_secret(
        "Encrypts the secrets in the database and signs what the pages keep in the browser: 32 random characters or"
        " more, the same for web, worker and commands; in development one is made."
    )
    secret_key_fallbacks: tuple[str, ...] = setting(
        readers.keys,
        "Former values of SECRET_KEY, between commas: what they encrypted and signed can still be read.",
        (),
        True,
    )
    jwt_secret_key: str = made_secret(
        "Signs the tokens of the API: 32 random characters or more, others than SECRET_KEY; in development one is made."
    )
    access_token_seconds: int = setting(
        readers.whole(10, 86_400),
        "How many seconds an access token lasts, which must not be longer than a refresh token does (300).",
        300,
    )
    refresh_token_seconds: int = setting(
        readers.whole(60, 31_536_000),
        "How many seconds a refresh token lasts; each use brings a new one (86400).",
        86_400,
    )
    logins_per_address: int = setting(
        readers.whole(1, 1_000_000), "How many logins a minute one address may try (30).", 30
    )
    logins_per_account: int = setting(
        readers.whole(1, 1_000_000),
        "How many times in five minutes one address may try the password of one account (10);"
        " all addresses together ten times as often, and then once in five seconds.",
        10,
    )
    registrations_per_address: int = setting(
        readers.whole(1, 1_000_000), "How many accounts an hour one address may open (20).", 20
    )
    orders_per_hour: int = setting(
        readers.whole(1, 1_000_000), "How many orders an hour one user may place (100).", 100
    )
    orders_per_day: int = setting(readers.whole(1, 1_000_000), "How many orders a day one user may place (300).", 300)
    order_pieces: int = setting(
        readers.whole(1, 1_000_000), "How many pieces, of all products together, one order may have (1000).", 1_000
    )
    orders_unpaid: int = setting(
        readers.whole(0, 1_000_000), "How many unpaid orders one user may have at a time (0: any number).", 0
    )
    order_payment_minutes: int = setting(
        readers.whole(0, 525_600),
        "After how many minutes an order that is not paid for is cancelled, and its stock given back (0: never).",
        0,
    )
    redis_url: str = setting(
        addresses.redis_url,
        "redis://host:6379, to count those tries in Redis; else the database counts them.",
        "",
        True,
    )
    trusted_proxies: int = setting(
        readers.whole(0, 5),
        "How many proxies of yours stand before the web, whose word is taken for where a request comes from"
        " (0; Heroku: 1).",
        0,
    )
    cors_origins: tuple[str, ...] = setting(
        readers.each(addresses.origin),
        "The origins whose pages may call the API from a browser, such as https://shop.example.com; else none may.",
        (),
    )
    sync_interval_seconds: float = setting(
        readers.number(0.1, 86_400), "How often the offers of each product are fetched (60).", 60
    )
    sync_concurrency: int = setting(
        readers.whole(1, 512), "How many requests to the offers service a worker has under way at once (32).", 32
    )
    timezone: str = setting(
        readers.timezone,
        "The time zone of people, such as Europe/Prague, where the daily mail goes out at 08:00 (UTC).",
        "UTC",
    )
    currency: str = setting(readers.currency, "What prices are in, in the three letters of ISO 4217 (EUR).", "EUR")
    history_raw_days: int = setting(
        readers.whole(1, 3_650),
        "How many days each change of a price is kept; after that, what the prices came to in each hour (30).",
        30,
    )
    history_hourly_days: int = setting(
        readers.whole(1, 3_650),
        "How many days what they came to in each hour is kept; after that, what they came to in each day (365).",
        365,
    )
    mail_url: str = setting(
        addresses.mail_url,
        "smtp://user:password@host:587, or smtps:// for TLS from the first byte; without it, mails go to the log.",
        "",
        True,
    )
    mail_from: str = setting(
        addresses.mail_address, "The address that mails come from (aggregator@localhost).", "aggregator@localhost"
    )
    public_url: str = setting(
        addresses.origin,
        "Where people reach the web, such as https://shop.example.com: mails have links to it. Without it, a mail that"
        " asks to confirm an address has the token itself.",
        "",
    )
    mails_per_day: int = setting(
        readers.whole(1, 10_000),
        "How many mails of alerts a user gets in a day; what exceeds that comes in one mail together (50).",
        50,
    )
    webhook_ports: tuple[int, ...] = setting(
        readers.each(readers.whole(1, 65_535)), "The ports that webhooks may be sent to (443).", (443,)
    )
    webhook_test_hosts: tuple[str, ...] = setting(
        readers.each(addresses.host),
        "Hosts that webhooks may be sent to over plain HTTP, whatever their addresses and ports; never in production.",
        (),
    )
    image_store: str = setting(
        addresses.image_store,
        "Where images are kept: database, a folder that web and worker share, such as /var/lib/images,"
        " or s3://bucket/prefix.",
        DATABASE,
    )
    sentry_dsn: str = setting(addresses.sentry_dsn, "Where errors are reported to, if they are.", "", True)
    log_format: str = setting(
        readers.one_of("json", "text"),
        "text, or json with one object per line; else json in production and text in development.",
        "text",
    )
    host: str = setting(addresses.host, "The address that the web listens at (0.0.0.0).", "0.0.0.0")  # noqa: S104
    port: int = setting(readers.whole(1, 65_535), "The port that the web listens at (8000).", 8000)
    web_concurrency: int = setting(readers.whole(1, 64), "How many processes the web has (2).", 2)
    web_threads: int = setting(readers.whole(1, 128), "How many requests each of them works on at once (4).", 4)


def _table() -> dict[str, Known]:
    known: dict[str, Known] = {}
    for one in fields(Settings):
        entry = one.metadata["known"]
        known |= entry if isinstance(entry, dict) else {one.name.upper(): entry}
    return known


TABLE = _table()
