"""What create_app() puts into the app, for the entry points to take out again."""

from datetime import timedelta
from secrets import token_hex
from typing import cast
from zoneinfo import ZoneInfo

from flask import Flask, current_app

from aggregator.clients.addresses import AddressRules
from aggregator.clients.counters import RedisCounter
from aggregator.clients.image_store import is_outside, store_at
from aggregator.clients.mail import MailServer
from aggregator.clients.many import ManyRequests
from aggregator.clients.single import SingleRequests
from aggregator.clients.webhooks import webhook_requests
from aggregator.config import Settings
from aggregator.flows.access import TokenSource
from aggregator.flows.accounts import AccountLimits, Authenticator
from aggregator.flows.claims import process_name
from aggregator.flows.images import Gallery
from aggregator.flows.limits import Limits
from aggregator.flows.mail_contents import Links
from aggregator.flows.mails import Post
from aggregator.flows.memory import LastAnswers
from aggregator.flows.sync import SyncSettings
from aggregator.flows.watched_images import WatchedStore
from aggregator.flows.waves import Runs
from aggregator.flows.webhooks import WebhookSettings
from aggregator.secret_box import Purpose, SecretBox
from aggregator.services.mail_tokens import MailTokens


def init_app(app: Flask, settings: Settings) -> None:
    """Give app its settings, its ways to the offers service and its authenticator. Nothing is sent yet."""
    app.extensions["settings"] = settings
    app.extensions["single"] = SingleRequests()
    app.extensions["many"] = ManyRequests(settings.sync_concurrency)
    app.extensions["last_answers"] = LastAnswers()
    app.extensions["suspects"] = Runs()
    rules = AddressRules(settings.webhook_ports, settings.webhook_test_hosts)
    keys = (settings.secret_key, *settings.secret_key_fallbacks)
    app.extensions["offers_box"] = SecretBox(keys, Purpose.OFFERS_TOKEN)
    app.extensions["webhooks"] = WebhookSettings(rules, webhook_requests(rules), SecretBox(keys, Purpose.WEBHOOKS))
    app.extensions["authenticator"] = Authenticator(
        Limits(RedisCounter(settings.redis_url) if settings.redis_url else None),
        AccountLimits.of(
            per_address=settings.logins_per_address,
            per_account=settings.logins_per_account,
            registrations=settings.registrations_per_address,
        ),
        timedelta(seconds=settings.refresh_token_seconds),
    )
    where = settings.image_store
    app.extensions["gallery"] = Gallery(WatchedStore(store_at(where), where) if is_outside(where) else None)
    app.extensions["post"] = Post(
        MailServer.at(settings.mail_url) if settings.mail_url else None,
        settings.mail_from,
        ZoneInfo(settings.timezone),
        Links(MailTokens(keys), settings.public_url, settings.mail_from),
        settings.mails_per_day,
    )


def settings() -> Settings:
    """The settings of the running app."""
    return cast(Settings, current_app.extensions["settings"])


def authenticator() -> Authenticator:
    """What signs people up and in."""
    return cast(Authenticator, current_app.extensions["authenticator"])


def other_troubles() -> list[str]:
    """What this process has found to be wrong with all that is neither the database nor the offers service."""
    outages = [authenticator().limits.outage, post().outage]
    if isinstance(store := gallery().outside, WatchedStore):
        outages.append(store.outage)
    return [outage.trouble for outage in outages if outage.trouble]


def post() -> Post:
    """What sends mails."""
    return cast(Post, current_app.extensions["post"])


def mail_tokens() -> MailTokens:
    """What makes and reads the tokens that stand in mails."""
    return post().links.tokens


def gallery() -> Gallery:
    """Where the images of products are kept."""
    return cast(Gallery, current_app.extensions["gallery"])


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
    return TokenSource(settings().offers, send, f"{process_name()}:{token_hex(4)}", offers_box())


def sync_settings() -> SyncSettings:
    """How the running app syncs."""
    found = current_app.extensions
    many, memory = cast(ManyRequests, found["many"]), cast(LastAnswers, found["last_answers"])
    return SyncSettings(settings().sync_interval_seconds, many, memory, cast(Runs, found["suspects"]))


def webhook_settings() -> WebhookSettings:
    """How the running app sends to webhooks."""
    return cast(WebhookSettings, current_app.extensions["webhooks"])


def webhook_box() -> SecretBox:
    """What encrypts the secrets of webhooks."""
    return webhook_settings().box


def offers_box() -> SecretBox:
    """What encrypts the access token of the offers service."""
    return cast(SecretBox, current_app.extensions["offers_box"])


def webhook_rules() -> AddressRules:
    """Where the running app may send to."""
    return webhook_settings().rules
