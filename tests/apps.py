"""Apps for tests: new ones, and such as are kept, because to make one takes longer than most tests do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from flask import Flask
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import QueuePool

from aggregator import database, extensions, logs
from aggregator.app import create_app
from aggregator.clients.offers import OffersService
from aggregator.config import Settings
from aggregator.database import db
from tests.documented import DocumentedClient

SECRET_KEY = "of all processes that share a database"
NO_SERVICE = OffersService("http://127.0.0.1:9/api/v1", "unused")  # port 9 refuses connections
# What an app can be told anew, because only extensions.init_app() looks at it. What is not in here makes a new app.
CHANGEABLE = {
    *("offers", "sync_interval_seconds", "sync_concurrency", "timezone", "currency", "refresh_token_seconds"),
    *("orders_per_hour", "orders_per_day", "order_pieces", "orders_unpaid", "order_payment_minutes"),
    *("logins_per_address", "logins_per_account", "registrations_per_address", "redis_url", "image_store"),
    *("history_raw_days", "history_hourly_days", "mail_url", "mail_from", "webhook_ports", "webhook_test_hosts"),
}


@contextmanager
def apps() -> Iterator[Callable[[Settings], Flask]]:
    """Makes apps, and closes all their connections in the end."""
    made: list[Flask] = []

    def make(settings: Settings) -> Flask:
        made.append(_checked(create_app(settings)))
        return made[-1]

    try:
        yield make
    finally:
        for app in made:
            database.close(app)


def _checked(app: Flask) -> Flask:
    """An app whose clients read the document."""
    app.test_client_class = DocumentedClient
    return app


class KeptApps:
    """Apps of one process, each on one database, that one test after another gets as if they were new."""

    def __init__(self) -> None:
        self._idle: dict[URL, list[_KeptApp]] = {}

    @contextmanager
    def lend(self) -> Iterator[Callable[[Settings], Flask]]:
        """Hands out apps, and takes all of them back in the end."""
        lent: list[tuple[list[_KeptApp], _KeptApp]] = []

        def hand_out(settings: Settings) -> Flask:
            idle = self._idle.setdefault(settings.database_url, [])
            kept = idle.pop() if idle else _KeptApp(settings)
            lent.append((idle, kept))
            return kept.renewed(settings)

        try:
            yield hand_out
        finally:
            for idle, kept in reversed(lent):
                kept.let_go()
                idle.append(kept)


class _KeptApp:
    """An app, and what it was like when it was new."""

    def __init__(self, settings: Settings) -> None:
        self.app = _checked(create_app(settings))
        self._secrets = {name: getattr(settings, name) for name in ("secret_key", "jwt_secret_key")}
        self._attributes = dict(vars(self.app))
        self._contents = {name: dict(getattr(self.app, name)) for name in ("config", "extensions")}

    def renewed(self, settings: Settings) -> Flask:
        """The app, with these settings and nothing of what a test has done to it."""
        for name in vars(self.app).keys() - self._attributes.keys():
            delattr(self.app, name)
        vars(self.app).update(self._attributes)
        for name, contents in self._contents.items():
            getattr(self.app, name).clear()
            getattr(self.app, name).update(contents)
        self.app.extensions["kept_reads"].begin_epoch()
        self.app.extensions["outages"].forget()
        logs.configure(settings.log_format)
        extensions.init_app(self.app, replace(settings, **self._secrets))
        return self.app

    def let_go(self) -> None:
        """Close its connections, but for the one to PostgreSQL that most tests get by with: it knows the tables."""
        with self.app.app_context():
            engines = (db.engine, self.app.extensions["reader"])
        for engine in engines:
            if not _has_a_good_one(engine):
                engine.dispose()


def _has_a_good_one(engine: Engine) -> bool:
    """Whether there is one connection to PostgreSQL that nobody holds, and no test has killed."""
    assert isinstance(engine.pool, QueuePool)
    if engine.dialect.name != "postgresql" or engine.pool.checkedout() or engine.pool.checkedin() != 1:
        return False
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    except OperationalError:
        return False
    return True
