"""/healthz, /readyz and /status: for platforms and operators."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from aggregator.clock import utcnow
from aggregator.database import db, transaction
from aggregator.models import Access, Circuit, Endpoint, Feed, Registration, Worker
from tests.builders import create, edit, make_product


@pytest.fixture
def unmigrated(make_app, empty_database_url):
    return make_app(database_url=empty_database_url).test_client()


@pytest.fixture
def without_database(make_app, database_url, tmp_path):
    nowhere = (
        database_url.set(database=str(tmp_path))
        if database_url.get_backend_name() == "sqlite"
        else database_url.set(query={"host": str(tmp_path)})
    )
    return make_app(database_url=nowhere).test_client()


def add_worker(app, name: str, heard_of: timedelta) -> None:
    moment = utcnow() - heard_of
    with app.app_context(), transaction():
        db.session.add(Worker(name=name, version="1", started_at=moment, beat_at=moment))


class TestHealthz:
    def test_a_process_that_answers_is_alive(self, client):
        response = client.get("/healthz")

        assert (response.status_code, response.json) == (200, {"status": "ok"})

    def test_it_is_alive_without_a_database_too(self, without_database):
        assert without_database.get("/healthz").status_code == 200


class TestReadyz:
    def test_ready_with_a_migrated_database(self, client):
        response = client.get("/readyz")

        assert (response.status_code, response.json) == (200, {"status": "ready"})

    def test_ready_while_the_offers_service_is_down(self, client, sandbox):
        sandbox.stop()
        create(client)

        assert client.get("/readyz").status_code == 200

    def test_not_ready_with_an_empty_database(self, unmigrated):
        response = unmigrated.get("/readyz")

        assert response.status_code == 503
        assert response.json["status"] == "unready"
        assert "the tables are not those of this version" in response.json["reason"]
        assert response.json["reason"].endswith("Try `flask --app wsgi db upgrade`.")

    def test_not_ready_without_a_database(self, without_database):
        response = without_database.get("/readyz")

        assert response.status_code == 503
        assert response.json["status"] == "unready"

    def test_not_ready_with_a_schema_older_than_this_version(self, app, client):
        app.extensions["schema"] = ["the next one", *app.extensions["schema"]]

        response = client.get("/readyz")

        assert response.status_code == 503
        assert response.json["reason"] == "the schema is not the one this version needs"

    def test_ready_with_a_newer_one_because_migrations_only_add(self, client, database_url):
        engine = sa.create_engine(database_url)
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'of tomorrow'")
        engine.dispose()

        assert client.get("/readyz").status_code == 200

    def test_not_ready_where_the_migrations_left_no_revision(self, client, database_url):
        engine = sa.create_engine(database_url)
        with engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM alembic_version")
        engine.dispose()

        assert client.get("/readyz").status_code == 503


class TestStatus:
    def test_a_fresh_installation_only_lacks_a_worker(self, client):
        assert client.get("/status").json == {
            "status": "degraded",
            "problems": ["no worker is alive"],
            "products": 0,
            "registrations_pending": 0,
            "registrations_refused": 0,
            "oldest_pending_age": None,
            "oldest_sync_age": None,
            "syncs_failing": 0,
            "rejected_rows": 0,
            "products_with_rejected_rows": 0,
            "rejected_example": None,
            "workers": 0,
            "worker_heartbeat_age": None,
            "ahead": None,
            "token": "missing",
            "paused_calls": {},
        }

    def test_all_is_well(self, app, client):
        moment = utcnow()
        make_product(app, feed={"synced_at": moment - timedelta(seconds=30), "due_at": moment})
        fingerprint = app.extensions["settings"].offers.fingerprint
        edit(app, Access, fingerprint=fingerprint, token="t", expires_at=moment + timedelta(minutes=5))
        add_worker(app, "host:1", timedelta(seconds=3))

        status = client.get("/status").json

        assert (status["status"], status["problems"]) == ("ok", [])
        assert (status["products"], status["workers"], status["token"]) == (1, 1, "valid")
        assert 30 <= status["oldest_sync_age"] < 40
        assert 3 <= status["worker_heartbeat_age"] < 13

    def test_what_is_wrong_is_counted_and_named(self, app, client):
        moment = utcnow()
        make_product(app, created_at=moment - timedelta(minutes=20), feed={"status": Registration.PENDING})
        make_product(app, feed={"status": Registration.REFUSED, "due_at": moment - timedelta(minutes=9)})
        make_product(app, feed={"failures": 3, "synced_at": moment - timedelta(minutes=4)})
        fingerprint = app.extensions["settings"].offers.fingerprint
        edit(app, Access, fingerprint=fingerprint, token="t", expires_at=moment - timedelta(minutes=1))
        edit(
            app,
            Circuit,
            Circuit.endpoint == Endpoint.OFFERS,
            failures=3,
            reason="it answered 500",
            retry_at=moment + timedelta(minutes=1),
        )
        add_worker(app, "host:1", timedelta(minutes=3))

        status = client.get("/status").json

        assert status["problems"] == [
            "offers service, offers: it answered 500",
            "no worker is alive",
            "a product has been waiting long to be registered",
            "products whose offers cannot be synced: 1",
            "products that the offers service refuses: 1",
            "some offers have not been synced for long",
        ]
        assert (status["products"], status["registrations_pending"], status["registrations_refused"]) == (3, 1, 1)
        assert (status["syncs_failing"], status["workers"], status["token"]) == (1, 0, "expired")
        assert 1200 <= status["oldest_pending_age"] < 1210
        assert 180 <= status["worker_heartbeat_age"] < 190
        assert status["paused_calls"] == {"offers": "it answered 500"}

    @pytest.mark.parametrize("what", ["sync", "beat"])
    def test_times_that_lie_ahead_are_a_problem_until_they_do_not(self, app, client, what):
        moment = utcnow()
        make_product(app, feed={"synced_at": moment})
        add_worker(app, "host:1", timedelta(seconds=3))
        model, name = (Feed, "synced_at") if what == "sync" else (Worker, "beat_at")
        edit(app, model, **{name: moment + timedelta(hours=2)})
        ahead = client.get("/status").json
        del app.extensions["status"]
        edit(app, model, **{name: moment})
        healed = client.get("/status").json

        assert 7190 < ahead["ahead"] <= 7200
        assert (
            f"the clock of the database has gone back: times lie {ahead['ahead']:.0f} s ahead of it"
            in (ahead["problems"])
        )
        assert ahead["workers"] == (0 if what == "beat" else 1), "a beat that lies ahead says nothing"
        assert (healed["problems"], healed["ahead"], healed["workers"]) == ([], None, 1)

    def test_without_a_database_it_still_answers(self, without_database, unmigrated):
        for gone in (without_database, unmigrated):
            found = gone.get("/status").json
            assert found["status"] == "down"
            assert [problem.partition(":")[0] for problem in found["problems"]] == ["database"]

    def test_with_strict_a_problem_is_a_503(self, app, client):
        relaxed, strict, not_strict = (client.get(f"/status{query}") for query in ("", "?strict=true", "?strict=false"))

        assert (relaxed.status_code, strict.status_code, not_strict.status_code) == (200, 503, 200)
        assert strict.json == relaxed.json

    def test_with_strict_a_database_that_is_gone_is_a_503(self, without_database):
        assert without_database.get("/status?strict=true").status_code == 503

    def test_with_strict_all_is_well_where_nothing_is_a_problem(self, app, client):
        add_worker(app, "host:1", timedelta(seconds=3))

        assert client.get("/status?strict=true").status_code == 200

    def test_it_is_worked_out_every_five_seconds_at_most(self, app, client, monkeypatch):
        monkeypatch.setattr("time.monotonic", lambda: clock[0])
        clock = [1000.0]
        before = client.get("/status").json["products"]
        make_product(app)
        clock[0] += 4.9
        cached = client.get("/status").json["products"]
        clock[0] += 0.2
        after = client.get("/status").json["products"]

        assert (before, cached, after) == (0, 0, 1)

    def test_nothing_secret_is_told(self, app, client, sandbox):
        create(client)

        text = client.get("/status").text

        assert "eyJ" not in text
        assert sandbox.refresh_token not in text


def test_a_product_that_was_never_synced_has_been_waiting_since_it_was_registered(app, client):
    product = make_product(app)
    registered_at = utcnow() - timedelta(minutes=7)
    edit(app, Feed, Feed.product_id == product, synced_at=None, registered_at=registered_at)

    assert 420 <= client.get("/status").json["oldest_sync_age"] < 430
