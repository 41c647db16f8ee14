"""The migrations make exactly the database that the models describe, on both databases."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import flask_migrate
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection, Engine

from aggregator.app import MIGRATIONS
from aggregator.config import Settings
from aggregator.extensions import offers_box, webhook_box
from aggregator.folding import sort_key
from aggregator.models import Access, Base, Product, SearchWord, StockMovement, Webhook
from aggregator.secret_box import Purpose, SecretBox
from tests.apps import NO_SERVICE, apps
from tests.builders import edit, make_user, make_webhook
from tests.databases import migrate

BEFORE_THE_LEDGER = "342b0f5f7e81"
ENCRYPTION = "a7d15e83c4b9"
BEFORE_KEYS = "3d90c2f7a6e1"  # the columns are there, and nothing in them


@pytest.fixture
def engine(database_url) -> Iterator[Engine]:
    engine = sa.create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def empty_engine(empty_database_url) -> Iterator[Engine]:
    engine = sa.create_engine(empty_database_url)
    yield engine
    engine.dispose()


def described(connection: Connection) -> dict[str, object]:
    """All that the database says about its tables."""
    inspector = sa.inspect(connection)
    tables = set(inspector.get_table_names()) - {"alembic_version"}
    return {table: _table(inspector, table) for table in sorted(tables)}


def _table(inspector: sa.Inspector, table: str) -> dict[str, object]:
    return {
        "columns": {c["name"]: (str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)},
        "key": inspector.get_pk_constraint(table),
        "checks": sorted((c["name"], c["sqltext"]) for c in inspector.get_check_constraints(table)),
        "uniques": sorted(map(str, inspector.get_unique_constraints(table))),
        "indexes": sorted(map(_index, inspector.get_indexes(table))),
        "references": sorted(str(_reference(inspector.bind, key)) for key in inspector.get_foreign_keys(table)),
        "options": inspector.get_table_options(table),
        "storage": _storage(inspector.bind, table),
    }


def _reference(connection: Connection, key: Any) -> dict[str, Any]:
    """A foreign key; without its name where SQLite does not tell it: of one that was added with its column."""
    added = connection.dialect.name == "sqlite" and key["constrained_columns"] == ["category_id"]
    return key | {"name": None} if added else key


def _index(index: Any) -> tuple[object, ...]:
    conditions = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return index["name"], index["column_names"], bool(index["unique"]), sorted(conditions.items())


def _storage(connection: Connection, table: str) -> object:
    if connection.dialect.name == "sqlite":
        return connection.scalar(sa.text("SELECT wr FROM pragma_table_list(:table)"), {"table": table})
    return connection.scalar(sa.text("SELECT reloptions FROM pg_class WHERE oid = CAST(:table AS regclass)"), locals())


def test_there_is_one_head():
    assert len(ScriptDirectory(str(MIGRATIONS)).get_heads()) == 1


def test_alembic_sees_no_difference_to_the_models(engine):
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


def test_checks_indexes_and_storage_are_those_of_the_models_too(engine, empty_engine):
    Base.metadata.create_all(empty_engine)

    with engine.connect() as migrated, empty_engine.connect() as made:
        assert described(migrated) == described(made)


def test_the_rows_that_all_processes_share_are_there_from_the_start(engine):
    with engine.connect() as connection:
        access = connection.exec_driver_sql("SELECT id, token, leased_by FROM access").all()
        circuits = connection.exec_driver_sql("SELECT endpoint, failures, retry_at FROM circuits ORDER BY 1").all()

    assert access == [(1, None, None)]
    assert circuits == [("auth", 0, None), ("offers", 0, None), ("register", 0, None)]


def test_the_way_down_and_up_again_works(empty_engine):
    migrate(empty_engine.url)
    with empty_engine.connect() as connection:
        before = described(connection)

    with apps() as start, start(Settings(empty_engine.url, NO_SERVICE)).app_context():
        flask_migrate.downgrade(str(MIGRATIONS), "base")
        with empty_engine.connect() as connection:
            assert described(connection) == {}
        flask_migrate.upgrade(str(MIGRATIONS))

    with empty_engine.connect() as connection:
        assert described(connection) == before


def test_migrating_twice_changes_nothing(empty_engine):
    migrate(empty_engine.url)
    migrate(empty_engine.url)

    with empty_engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM circuits").scalar() == 3


def test_names_get_their_keys_and_other_words_where_their_letters_are_found_differently(empty_engine):
    names = {"Rødvin": ["aero", "rodvin"], "Fern\u00adseher": ["aero", "fernseher"], "Lamp": ["old", "words"]}
    brands = {"Rødvin": "Ærø", "Fern\u00adseher": "ÆRØ", "Lamp": None}
    with apps() as start, start(Settings(empty_engine.url, NO_SERVICE)).app_context():
        flask_migrate.upgrade(str(MIGRATIONS), BEFORE_KEYS)
        with empty_engine.begin() as connection:
            for name in names:
                row = {"id": str(uuid4()), "name": name, "brand": brands[name], "at": "2026-01-02T03:04:05.678901Z"}
                connection.execute(
                    sa.text(
                        "INSERT INTO products (id, name, description, brand, stock, version, created_at, updated_at)"
                        " VALUES (:id, :name, '', :brand, 0, 1, :at, :at)"
                    ),
                    row,
                )
                for word in ("old", "words"):
                    words = "INSERT INTO search_words (product_id, word, place) VALUES (:id, :word, 0)"
                    connection.execute(sa.text(words), row | {"word": word})
        flask_migrate.upgrade(str(MIGRATIONS))

    with empty_engine.connect() as connection:
        products = connection.execute(sa.select(Product.id, Product.name, Product.sort_key, Product.brand_key)).all()
        words = connection.execute(sa.select(SearchWord.product_id, SearchWord.word).order_by(SearchWord.word)).all()
    assert {name: (key, brand) for _, name, key, brand in products} == {
        name: (sort_key(name), brands[name] and "ærø") for name in names
    }
    found = {name: [word for id_, word in words if id_ == product_id] for product_id, name, *_ in products}
    assert found == names


def test_two_migrators_at_once_take_turns(empty_postgresql):
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda _: migrate_in_a_process(empty_postgresql), range(2)))

    engine = sa.create_engine(empty_postgresql, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM circuits").scalar() == 3


def migrate_in_a_process(url: sa.URL) -> None:
    env = {**os.environ, "DATABASE_URL": url.render_as_string(hide_password=False)}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "db", "upgrade"]
    subprocess.run(command, env=env, check=True, capture_output=True, timeout=120)


def test_what_was_in_stock_before_there_was_a_ledger_is_explained_by_it(empty_engine):
    product = {"id": str(uuid4()), "at": "2026-01-02T03:04:05.678901Z"}
    with apps() as start, start(Settings(empty_engine.url, NO_SERVICE)).app_context():
        flask_migrate.upgrade(str(MIGRATIONS), BEFORE_THE_LEDGER)
        with empty_engine.begin() as connection:
            for id, name, stock in ((product["id"], "Lamp", 7), (str(uuid4()), "Chair", 0)):
                connection.execute(
                    sa.text(
                        "INSERT INTO products (id, name, description, stock, version, created_at, updated_at)"
                        " VALUES (:id, :name, '', :stock, 1, :at, :at)"
                    ),
                    {"id": id, "name": name, "stock": stock, "at": product["at"]},
                )
        flask_migrate.upgrade(str(MIGRATIONS))

    with empty_engine.connect() as connection:
        movements = connection.execute(sa.select(StockMovement.product_id, StockMovement.kind, StockMovement.quantity))
        assert [(str(id), kind, quantity) for id, kind, quantity in movements] == [(product["id"], "initial", 7)]


def test_secrets_of_webhooks_are_plain_again_on_the_way_down_and_those_that_are_lost_disable_theirs(empty_engine):
    plain = {"kept": f"whsec_{'a2VwdA==':a<44}", "lost": f"whsec_{'bG9zdA==':a<44}"}
    before = ScriptDirectory(str(MIGRATIONS)).get_revision(ENCRYPTION).down_revision
    with apps() as start:
        app = start(Settings(empty_engine.url, NO_SERVICE, secret_key="one"))
        with app.app_context():
            flask_migrate.upgrade(str(MIGRATIONS))
            boxes = {"kept": webhook_box(), "lost": SecretBox(["another"], Purpose.WEBHOOKS)}
            token = offers_box().seal("t0k3n")
        for name, box in boxes.items():
            secrets = {"secret": box.seal(plain[name]), "old_secret": box.seal(plain[name])}
            make_webhook(app, make_user(app), f"https://{name}.example", **secrets)
        edit(app, Access, token=token)
        with app.app_context():
            flask_migrate.downgrade(str(MIGRATIONS), before)

        with empty_engine.connect() as connection:
            rows = connection.execute(sa.select(Webhook.url, Webhook.secret, Webhook.old_secret, Webhook.enabled)).all()
            assert connection.scalar(sa.select(Access.token)) == "t0k3n"
        found = {url: (secret, old, enabled) for url, secret, old, enabled in rows}
        assert found["https://kept.example"] == (plain["kept"], plain["kept"], True)
        unknown, old, enabled = found["https://lost.example"]
        assert (unknown[:6], len(unknown), unknown != plain["lost"], old, enabled) == ("whsec_", 50, True, None, False)

        with app.app_context():
            flask_migrate.upgrade(str(MIGRATIONS))
        with empty_engine.connect() as connection:
            assert plain["kept"] in connection.scalars(sa.select(Webhook.secret)).all()
