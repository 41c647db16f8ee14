"""What a review of the whole found, so that it does not come back."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from aggregator.clients.offers import OffersService, normalized_base_url
from aggregator.clock import utcnow
from aggregator.database import db, transaction
from aggregator.flows import claims
from aggregator.flows.verdicts import CONTRADICTS, TAKEN
from aggregator.jobs.run import Run
from aggregator.jobs.runner import run_job
from aggregator.jobs.timetable import JOBS
from aggregator.models import Access, Circuit, Endpoint, Feed, JobRun, Offer, Registration, Role, RunStatus
from aggregator.sandbox import Sandbox
from aggregator.sandbox.faults import read_fault
from aggregator.services import access, samples
from tests.builders import LONG_AGO, create, edit, make_product, make_user, stored
from tests.conftest import signed_in
from tests.flows.passes import (
    assert_in_step,
    assert_sound,
    assert_unclaimed,
    calls,
    circuits,
    feeds,
    hasty,
    make_due,
    market,
    settle,
    statuses,
    sync,
    the_access,
)

NEW = {"status": Registration.PENDING, "registered_at": None, "registered_with": None, "attempts": 0}
BAD_AT_REGISTRATION = "503:0.1@register"
CONCURRENCY = 8  # of a hasty app


def ids(spec: str, hit: bool) -> Iterator[UUID]:
    """Ids of products that a fault hits, or spares."""
    fault = read_fault(spec)
    for number in count(1):
        id = UUID(int=number << 64 | 0xB000_0000_0000_0000)
        if fault.hits(0, fault.endpoints[0], str(id)) == hit:
            yield id


@pytest.fixture
def bad_id() -> UUID:
    """The id of a product that the service cannot register."""
    return next(ids(BAD_AT_REGISTRATION, hit=True))


@pytest.fixture
def good_ids() -> Iterator[UUID]:
    """Ids of products that it can register all the same."""
    return ids(BAD_AT_REGISTRATION, hit=False)


def pauses_are_over(app: Flask) -> None:
    """Let the time of the circuits that are open be over."""
    edit(app, Circuit, Circuit.retry_at.is_not(None), retry_at=LONG_AGO)


def opened(app: Flask) -> set[Endpoint]:
    """The calls that nobody makes for a while."""
    return {row.endpoint for row in stored(app, Circuit) if row.retry_at}


def open_circuit(app: Flask, endpoint: Endpoint) -> None:
    with app.app_context(), transaction():
        access.open_circuit(endpoint, "it answered 503", 300)


class TestALostToken:
    """Ours has expired, the service gave out another, and its answer never came: that one is valid, and nobody's."""

    @pytest.fixture
    def lost(self, app: Flask, sandbox: Sandbox, products: list[str]) -> list[str]:
        """Products in step with a service that holds a token that was lost; all are due."""
        settle(app)
        sandbox.expire_token()
        edit(app, Access, expires_at=LONG_AGO)
        answer = app.extensions["single"].send(app.extensions["settings"].offers.auth_request())
        assert answer.status == 201
        sandbox.advance()
        sandbox.calls.clear()
        make_due(app)
        return products

    def test_costs_a_handful_of_calls_and_no_product_its_good_name(self, app, sandbox, lost):
        assert sync(app) == {"the access token is refused": 1}
        assert statuses(sandbox, "auth") == [400, 400]
        assert set(statuses(sandbox, "offers")) == {401}
        assert len(calls(sandbox, "offers")) <= 2 * CONCURRENCY
        assert {(feed.failures, feed.failure, feed.due_at) for feed in stored(app, Feed)} == {(0, None, LONG_AGO)}
        assert_unclaimed(app)

    def test_has_nobody_call_for_a_while(self, app, sandbox, lost):
        sync(app)

        assert circuits(app) == {Endpoint.AUTH: (1, "another access token is still valid")}
        (auth,) = stored(app, Circuit, Circuit.endpoint == Endpoint.AUTH)
        assert timedelta(seconds=10) < auth.retry_at - utcnow() <= timedelta(seconds=18)
        assert the_access(app).token is None
        sandbox.calls.clear()
        assert sync(app) == {}
        assert sandbox.calls == []

    def test_is_asked_about_once_after_each_pause(self, app, sandbox, lost):
        sync(app)
        sandbox.calls.clear()
        for failures in (2, 3):
            pauses_are_over(app)

            assert sync(app) == {"another access token is still valid": 1}
            assert circuits(app) == {Endpoint.AUTH: (failures, "another access token is still valid")}
        assert [(call.path, call.status) for call in sandbox.calls] == [("/api/v1/auth", 400)] * 2
        assert {feed.failures for feed in stored(app, Feed)} == {0}

    def test_is_over_when_it_has_expired(self, app, sandbox, lost):
        sync(app)
        sandbox.expire_token()
        sandbox.calls.clear()
        pauses_are_over(app)

        assert sync(app)["synced"] == 30
        assert statuses(sandbox, "auth") == [201]
        assert statuses(sandbox, "offers") == [200] * 30
        assert_in_step(app, sandbox, lost)
        assert_sound(app)
        assert circuits(app) == {}

    def test_leaves_a_new_product_to_the_worker(self, app, sandbox, client, lost):
        answer = create(client)

        assert (answer.status_code, answer.json["registration"]["status"]) == (201, "pending")
        assert statuses(sandbox, "auth") == [400, 400]
        assert statuses(sandbox, "register") == [401, 401]
        assert circuits(app) == {Endpoint.AUTH: (1, "another access token is still valid")}
        sandbox.expire_token()
        pauses_are_over(app)
        make_due(app)
        settle(app)
        assert_in_step(app, sandbox, [*lost, answer.json["id"]])


class TestOneBadProduct:
    """The service cannot register it, time and again."""

    @pytest.fixture(autouse=True)
    def _a_few_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(claims, "FIRST", 5)  # a pass that were to end with its first claim would be seen to

    @pytest.fixture
    def registered(self, app: Flask, good_ids: Iterator[UUID]) -> list[str]:
        """Products in step with the service, before it has any trouble."""
        product_ids = [str(make_product(app, NEW, id=next(good_ids))) for _ in range(40)]
        settle(app)
        return product_ids

    def test_is_no_reason_not_to_register_the_others(self, app, sandbox, client, registered, bad_id, good_ids):
        sandbox.faults = [BAD_AT_REGISTRATION]
        assert create(client, id=str(bad_id)).json["registration"]["status"] == "pending"
        assert circuits(app) == {Endpoint.REGISTER: (1, "it answered 503")}
        for tries in (2, 3, 4, 5):
            sandbox.advance()
            make_due(app)
            done = sync(app)

            assert (done["synced"], done["not_registered"], done["it answered 503"]) == (len(registered), 1, 0)
            assert feeds(app)[str(bad_id)].attempts == tries
            assert opened(app) == set()
            assert_in_step(app, sandbox, registered)
            answer = create(client, id=str(next(good_ids)))
            assert answer.json["registration"]["status"] == "registered"
            registered.append(answer.json["id"])
        assert feeds(app)[str(bad_id)].status is Registration.PENDING

    def test_does_not_keep_those_in_its_pass_from_being_registered(self, app, sandbox, registered, bad_id, good_ids):
        make_product(app, {**NEW, "due_at": LONG_AGO - timedelta(days=1)}, id=bad_id)
        new = [str(make_product(app, NEW, id=next(good_ids))) for _ in range(20)]
        sandbox.faults = [BAD_AT_REGISTRATION]
        make_due(app, Feed.synced_at.is_not(None))
        done = sync(app)

        assert (done["registered"], done["not_registered"], done["it answered 503"]) == (20, 1, 0)
        assert done["synced"] >= len(registered)  # what was registered in time is among them
        settle(app)
        assert_in_step(app, sandbox, registered + new)
        assert circuits(app) == {}

    def test_does_not_end_the_pass_where_registrations_failed_for_all_before(self, app, sandbox, registered, bad_id):
        make_product(app, NEW, id=bad_id)
        sandbox.faults = [BAD_AT_REGISTRATION]
        open_circuit(app, Endpoint.REGISTER)
        pauses_are_over(app)
        sandbox.advance()
        make_due(app)
        done = sync(app)

        assert (done["synced"], done["not_registered"], done["it answered 503"]) == (40, 1, 1)
        assert circuits(app) == {Endpoint.REGISTER: (2, "it answered 503")}
        assert_in_step(app, sandbox, registered)
        assert_unclaimed(app)


class TestOneFailureAndOneSuccess:
    """They say nothing about an outage, so nobody's pause was for one."""

    LATER = datetime(2099, 1, 1, tzinfo=UTC)

    @pytest.fixture
    def waiting(self, app: Flask) -> list[str]:
        """Products that have failed for long and by themselves."""
        pending = [make_product(app, {**NEW, "attempts": 5, "due_at": self.LATER}) for _ in range(3)]
        failing = [make_product(app, {"failures": 4, "due_at": self.LATER}) for _ in range(3)]
        return [str(id) for id in pending + failing]

    def pauses(self, app: Flask, product_ids: list[str]) -> set[tuple[int, int, datetime]]:
        return {(feed.attempts, feed.failures, feed.due_at) for id, feed in feeds(app).items() if id in product_ids}

    def test_of_creations_leave_the_pauses_of_the_others(self, app, client, sandbox, waiting, bad_id, good_ids):
        sandbox.faults = [BAD_AT_REGISTRATION]
        first = create(client, id=str(bad_id)).json["registration"]["status"]
        assert circuits(app) == {Endpoint.REGISTER: (1, "it answered 503")}
        second = create(client, id=str(next(good_ids))).json["registration"]["status"]

        assert (first, second) == ("pending", "registered")
        assert circuits(app) == {}
        assert self.pauses(app, waiting) == {(5, 0, self.LATER), (1, 4, self.LATER)}

    def test_of_a_pass_leave_the_pauses_of_the_others(self, app, client, sandbox, waiting, bad_id, good_ids):
        sandbox.faults = [BAD_AT_REGISTRATION]
        create(client, id=str(bad_id))
        edit(app, Feed, Feed.product_id == bad_id, due_at=LONG_AGO)
        make_product(app, NEW, id=next(good_ids))

        assert sync(app) == {"registered": 1, "not_registered": 1}
        assert self.pauses(app, waiting) == {(5, 0, self.LATER), (1, 4, self.LATER)}

    def test_end_an_outage_where_there_was_one(self, app, client, waiting):
        open_circuit(app, Endpoint.REGISTER)
        pauses_are_over(app)

        assert create(client).json["registration"]["status"] == "registered"
        assert all(feed.due_at <= utcnow() for id, feed in feeds(app).items() if id in waiting)


class TestAProductAloneInItsPass:
    @pytest.mark.parametrize("number", [1, 2])
    def test_opens_no_circuit_when_its_sync_fails(self, app, sandbox, number):
        product_ids = [make_product(app, NEW) for _ in range(5)]
        settle(app)
        sandbox.faults = ["503@offers"]
        make_due(app, Feed.product_id.in_(product_ids[:number]))

        assert sync(app) == {"failed": number}
        assert circuits(app) == {}
        make_due(app, Feed.product_id == product_ids[4])
        sandbox.faults = []
        assert sync(app) == {"synced": 1}

    @pytest.mark.parametrize("number", [1, 2])
    def test_opens_no_circuit_when_its_registration_fails(self, app, sandbox, client, number):
        for _ in range(number):
            make_product(app, NEW)
        sandbox.faults = ["503@register"]

        assert sync(app) == {"not_registered": number}
        assert circuits(app) == {}
        sandbox.faults = []
        assert create(client).json["registration"]["status"] == "registered"

    def test_is_not_alone_where_a_few_fail_and_nothing_else_is_answered(self, app, sandbox):
        for _ in range(3):
            make_product(app)
        sandbox.faults = ["503@offers"]

        assert sync(app) == {"failed": 3, "it answered 503": 1}
        assert circuits(app) == {Endpoint.OFFERS: (1, "it answered 503")}


class TestProductsOfAnotherCredential:
    """They have to be registered again, and that is a registration like any other."""

    OTHER = {"registered_with": "o" * 12}

    def test_are_not_registered_while_nobody_is_to_register(self, app, sandbox):
        product_ids = [str(make_product(app, self.OTHER)) for _ in range(30)]
        open_circuit(app, Endpoint.REGISTER)

        assert sync(app) == {}
        assert sandbox.calls == []
        assert {(feed.due_at, feed.claimed_by) for feed in stored(app, Feed)} == {(LONG_AGO, None)}
        pauses_are_over(app)
        settle(app)
        assert statuses(sandbox, "register") == [201] * 30
        assert_in_step(app, sandbox, product_ids)
        assert circuits(app) == {}

    def test_do_not_keep_ours_from_their_offers_meanwhile(self, app, sandbox):
        ours = [str(make_product(app, NEW)) for _ in range(5)]
        settle(app)
        for _ in range(30):
            make_product(app, {**self.OTHER, "due_at": LONG_AGO - timedelta(days=1)})
        open_circuit(app, Endpoint.REGISTER)
        sandbox.advance()
        make_due(app, Feed.synced_at.is_not(None))
        sandbox.calls.clear()

        assert sync(app)["synced"] == 5
        assert_in_step(app, sandbox, ours)
        assert calls(sandbox, "register") == []

    def test_are_registered_while_nobody_is_to_ask_for_offers(self, app, sandbox):
        for _ in range(5):
            make_product(app, self.OTHER)
        make_product(app)
        open_circuit(app, Endpoint.OFFERS)

        assert sync(app) == {"registered": 5}
        assert calls(sandbox, "offers") == []


@contextmanager
def no_token_can_be_stored(app: Flask) -> Iterator[None]:
    """A database that refuses every new token, and says at length what it refuses."""
    with app.app_context(), db.engine.begin() as connection:
        postgresql = connection.dialect.name == "postgresql"
        connection.exec_driver_sql(
            "ALTER TABLE access ADD CONSTRAINT poison CHECK (token IS NULL)"
            if postgresql
            else "CREATE TRIGGER poison BEFORE UPDATE ON access WHEN NEW.token IS NOT NULL"
            " BEGIN SELECT RAISE(ABORT, 'poison'); END"
        )
    try:
        yield
    finally:
        with app.app_context(), db.engine.begin() as connection:
            connection.exec_driver_sql(
                "ALTER TABLE access DROP CONSTRAINT poison" if postgresql else "DROP TRIGGER poison"
            )


class TestATokenThatCannotBeStored:
    @pytest.fixture(params=["v1", "v2"])
    def sandbox(self, request: pytest.FixtureRequest) -> Iterator[Sandbox]:
        """A sandbox of each generation: what a token looks like gives away one, and not the other."""
        with Sandbox(request.param, tick=10**9) as sandbox:
            yield sandbox

    @pytest.fixture
    def given(self, sandbox: Sandbox) -> list[str]:
        """The tokens that the sandbox gives out."""
        given: list[str] = []
        auth = sandbox._service.auth

        def watched(request):
            answer = auth(request)
            given.append(answer.body.decode().partition('"access_token"')[2].split('"')[1])
            return answer

        sandbox._service.auth = watched
        return given

    @pytest.fixture
    def make_wary(self, make_app: Callable[..., Flask], sandbox: Sandbox) -> Callable[[], Flask]:
        """Makes an app for that sandbox. capsys sees only the logs of one that is made within the test."""
        refresh_token = sandbox.refresh_token if sandbox.generation == "v2" else None
        service = OffersService(normalized_base_url(sandbox.url), refresh_token)
        return lambda: hasty(make_app(offers=service, log_format="json"))

    def test_is_told_by_neither_the_logs_nor_the_record_of_the_run(self, make_wary, given, capsys):
        wary = make_wary()
        make_product(wary)
        with no_token_can_be_stored(wary), wary.app_context():
            assert run_job(JOBS["sync-offers"], Run()) is None

        (run,) = stored(wary, JobRun)
        log = capsys.readouterr().err
        assert (len(given), len(given[0]) >= 36) == (1, True)
        assert run.status is RunStatus.FAILED
        for text in (run.error, log):
            assert "poison" in text, "it is said what went wrong"
            assert given[0] not in text
            assert given[0][-12:] not in text

    def test_is_told_by_no_creation_either(self, make_wary, given, capsys):
        wary = make_wary()
        wary.config["PROPAGATE_EXCEPTIONS"] = False
        admin = signed_in(wary, make_user(wary, Role.ADMIN))
        with no_token_can_be_stored(wary):
            answer = create(admin)

        log = capsys.readouterr().err
        assert (answer.status_code, len(given)) == (500, 1)
        assert "poison" in log
        for text in (answer.text, log):
            assert given[0] not in text
            assert given[0][-12:] not in text


class TestOffersSync:
    def test_registers_what_is_pending_and_fetches_its_offers(self, app, runner, sandbox, products):
        result = runner.invoke(args=["offers", "sync"])

        number = sum(len(market(sandbox, id)) for id in products)
        assert result.exit_code == 0
        assert sorted(result.stdout.splitlines()) == [f"offers added: {number}", "registered: 30", "synced: 30"]
        assert len(stored(app, Offer)) == number > 0
        assert_in_step(app, sandbox, products)
        assert_unclaimed(app)

    def test_does_so_for_one_product_and_no_other(self, app, runner, sandbox, products):
        result = runner.invoke(args=["offers", "sync", "--product", products[7]])

        assert result.exit_code == 0
        assert {"registered: 1", "synced: 1"} < set(result.stdout.splitlines())
        assert_in_step(app, sandbox, [products[7]])
        assert list(sandbox.registered) == [products[7]]

    def test_ends_where_the_offers_are_not_to_be_had(self, app, runner, sandbox, products):
        sandbox.faults = ["404@offers"]
        result = runner.invoke(args=["offers", "sync"])

        assert result.exit_code == 1
        failed, problem, registered = sorted(result.stdout.splitlines())
        assert problem == f"problem: {CONTRADICTS}"
        assert registered == "registered: 30"
        assert 10 <= int(failed.removeprefix("failed: ")) <= 30
        assert statuses(sandbox, "register").count(201) == 30
        assert set(statuses(sandbox, "offers")) == {404}


class TestSamplesOfSomebodyElse:
    """The same samples have the same ids everywhere, and at one service only one account can have them."""

    @pytest.fixture
    def sample_ids(self) -> list[str]:
        return [str(product["id"]) for product in samples.products(6)]

    def add(self, client: FlaskClient) -> None:
        runner = client.application.test_cli_runner()
        assert runner.invoke(args=["products", "add-samples", "6"]).exit_code == 0

    def test_end_up_refused_and_the_others_in_step(self, app, client, sandbox, sample_ids):
        for product_id in sample_ids[:2]:
            sandbox.add_foreign_product(product_id)
        self.add(client)
        for _ in range(4):
            settle(app)
            make_due(app)

            after = [(feeds(app)[id].status, feeds(app)[id].reason) for id in sample_ids]
            assert after == [(Registration.REFUSED, TAKEN)] * 2 + [(Registration.REGISTERED, None)] * 4
            assert_in_step(app, sandbox, sample_ids[2:])
        assert sorted(statuses(sandbox, "register")) == [201] * 4 + [409] * 8
        assert opened(app) == set()

    def test_are_ours_where_it_was_us_who_registered_them(self, app, client, sandbox, sample_ids):
        self.add(client)
        settle(app)
        edit(app, Feed, **NEW, due_at=LONG_AGO)
        settle(app)

        assert sorted(statuses(sandbox, "register")) == [201] * 6 + [409] * 6
        assert_in_step(app, sandbox, sample_ids)
