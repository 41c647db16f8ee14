"""create_app(): puts everything together. It knows everyone, and nobody knows it."""

import sys
from pathlib import Path

from flask import Flask
from flask_migrate import Migrate

from aggregator import config, database, errors, extensions, logs
from aggregator.database import db

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"


def create_app(settings: config.Settings) -> Flask:
    """The app as settings say; nothing is connected to before the first use."""
    logs.configure(settings.log_format)
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes = False  # /products/ is /products
    database.init_app(app, settings.database_url, settings.db_pool_size)
    extensions.init_app(app, settings)
    Migrate(app, db, directory=str(MIGRATIONS))
    return app


def start() -> Flask:
    """The app as the environment says; where that cannot work, the reason on stderr and exit code 78."""
    try:
        return create_app(config.from_environment())
    except errors.UsageError as error:
        print(error.detail, file=sys.stderr)
        sys.exit(78)  # EX_CONFIG
