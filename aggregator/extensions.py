"""What create_app() puts into the app, for the entry points to take out again."""

from typing import cast

from flask import Flask, current_app

from aggregator.clients.many import ManyRequests
from aggregator.clients.single import SingleRequests
from aggregator.config import Settings
from aggregator.flows.access import TokenSource
from aggregator.flows.claims import process_name
from aggregator.flows.sync import SyncSettings


def init_app(app: Flask, settings: Settings) -> None:
    """Give app its settings and its way to the offers service. Nothing is sent yet."""
    app.extensions["settings"] = settings
    app.extensions["tokens"] = TokenSource(settings.offers, SingleRequests().send, process_name())
    app.extensions["sync"] = SyncSettings(
        settings.sync_interval_seconds, ManyRequests(settings.sync_concurrency)
    )


def settings() -> Settings:
    """The settings of the running app."""
    return cast(Settings, current_app.extensions["settings"])


def tokens() -> TokenSource:
    """Where the running app has its access token from."""
    return cast(TokenSource, current_app.extensions["tokens"])


def sync_settings() -> SyncSettings:
    """How the running app syncs."""
    return cast(SyncSettings, current_app.extensions["sync"])
