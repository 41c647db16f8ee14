"""What create_app() puts into the app, for the entry points to take out again."""

from datetime import timedelta
from secrets import token_hex
from typing import cast

from flask import Flask, current_app

from aggregator.clients.counters import RedisCounter
from aggregator.clients.many import ManyRequests
from aggregator.clients.single import SingleRequests
from aggregator.config import Settings
from aggregator.flows.access import TokenSource
from aggregator.flows.accounts import AccountLimits, Authenticator
from aggregator.flows.claims import process_name
from aggregator.flows.limits import Limits
from aggregator.flows.memory import LastAnswers
from aggregator.flows.sync import SyncSettings


def init_app(app: Flask, settings: Settings) -> None:
    """Give app its settings, its ways to the offers service and its authenticator. Nothing is sent yet."""
    app.extensions["settings"] = settings
    app.extensions["single"] = SingleRequests()
    app.extensions["many"] = ManyRequests(settings.sync_concurrency)
    app.extensions["last_answers"] = LastAnswers()
    app.extensions["authenticator"] = Authenticator(
        Limits(RedisCounter(settings.redis_url) if settings.redis_url else None),
        AccountLimits.of(settings.logins_per_address, settings.logins_per_account, settings.registrations_per_address),
        timedelta(seconds=settings.refresh_token_seconds),
    )


def settings() -> Settings:
    """The settings of the running app."""
    return cast(Settings, current_app.extensions["settings"])


def authenticator() -> Authenticator:
    """What signs people up and in."""
    return cast(Authenticator, current_app.extensions["authenticator"])


def schema_is_current(revision: str | None) -> bool:
    """Whether a database at this revision of the migrations is the one this version was made for."""
    newest: str = current_app.extensions["schema"][0]
    return revision == newest


def schema_will_do(revision: str | None) -> bool:
    """Whether this version can serve such a database: a newer one, too, because migrations only add."""
    return schema_is_current(revision) or (revision is not None and revision not in current_app.extensions["schema"])


def tokens(seconds: float | None = None) -> TokenSource:
    """The running app's way to an access token; with seconds, all its calls together take no longer."""
    single = cast(SingleRequests, current_app.extensions["single"])
    send = single.send if seconds is None else single.within(seconds)
    return TokenSource(settings().offers, send, f"{process_name()}:{token_hex(4)}")


def sync_settings() -> SyncSettings:
    """How the running app syncs."""
    many = cast(ManyRequests, current_app.extensions["many"])
    return SyncSettings(
        settings().sync_interval_seconds, many, cast(LastAnswers, current_app.extensions["last_answers"])
    )
