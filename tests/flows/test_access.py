"""One token for all: fetched once, kept by everybody, and replaced once when it is refused."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from aggregator.clients.offers import (
    AccessToken,
    OffersService,
    ServiceDown,
    TokenHeld,
    TokenRefused,
    normalized_base_url,
)
from aggregator.database import transaction
from aggregator.flows.access import HELD_SECONDS, REFUSED_SECONDS, TokenSource
from aggregator.models import Access, Circuit, Endpoint
from aggregator.sandbox import Sandbox
from aggregator.services import access, health
from tests.builders import LONG_AGO, edit, make_product, stored
from tests.flows.passes import (
    assert_in_step,
    circuits,
    end_pauses,
    feeds,
    hasty,
    make_due,
    statuses,
    sync,
    the_access,
    the_token,
    token_source,
)


def in_context(app: Flask, call, *arguments):
    with app.app_context():
        return call(*arguments)


def token_of(app: Flask, holder: str = "tester", patience: float = 2.0) -> AccessToken:
    return in_context(app, token_source(app, holder, patience).token)


def pause_of(app: Flask, endpoint: Endpoint) -> float:
    """For how many seconds a call is not to be made from now."""
    (row,) = stored(app, Circuit, Circuit.endpoint == endpoint)
    return (row.retry_at - datetime.now(UTC)).total_seconds()


def health_of(app: Flask) -> tuple[str, dict[str, str]]:
    prefixes = app.extensions["offers_box"].prefixes
    state = in_context(app, health.status, app.extensions["settings"].offers.fingerprint, prefixes)
    return state.token, state.paused_calls


class TestAColdStart:
    def test_the_token_is_fetched_stored_and_kept_until_it_expires(self, app, sandbox, service):
        before = datetime.now(UTC)
        token = token_of(app)

        row = the_access(app)
        assert (the_token(app), row.fingerprint, row.expires_at) == (token.value, service.fingerprint, token.expires_at)
        assert timedelta(seconds=299) < row.expires_at - before < timedelta(seconds=302)
        assert (row.leased_by, row.leased_until) == (None, None)
        assert [token_of(app) for _ in range(3)] == [token] * 3
        assert statuses(sandbox, "auth") == [201]
        assert health_of(app) == ("valid", {})

    def test_many_threads_of_many_processes_fetch_one_token_together(self, make_app, sandbox):
        sandbox.latency_ms = 150
        processes = [hasty(make_app(), seconds=2) for _ in range(3)]
        with ThreadPoolExecutor(9) as threads:
            tokens = list(threads.map(lambda n: token_of(processes[n % 3], f"process {n % 3}"), range(9)))

        assert len(set(tokens)) == 1
        assert statuses(sandbox, "auth") == [201]

    def test_who_waits_too_long_for_another_process_goes_away_and_says_why(self, app, sandbox):
        with app.app_context(), transaction():
            assert access.take_lease("another process")

        started = time.monotonic()
        with pytest.raises(ServiceDown, match="another process is fetching the access token"):
            token_of(app, patience=0.2)

        assert 0.2 <= time.monotonic() - started < 0.6
        assert statuses(sandbox, "auth") == []
        assert circuits(app) == {}

    def test_a_process_that_dies_before_it_asks_is_replaced_when_its_lease_is_over(self, app, sandbox):
        with app.app_context(), transaction():
            access.take_lease("a dead process")
        edit(app, Access, leased_until=LONG_AGO)

        assert token_of(app).value == the_token(app)
        assert the_access(app).leased_by is None
        assert statuses(sandbox, "auth") == [201]

    def test_a_process_that_dies_between_answer_and_storing_costs_no_more_than_the_life_of_a_token(
        self, make_app, backend
    ):
        with Sandbox(tick=10**9, token_ttl=0.9) as sandbox:
            service = OffersService(normalized_base_url(sandbox.url), sandbox.refresh_token)
            app = hasty(make_app(offers=service))
            self.die_after_the_answer(app, service)

            with pytest.raises(TokenHeld):
                token_of(app, "survivor")
            assert circuits(app) == {Endpoint.AUTH: (1, "another access token is still valid")}
            assert HELD_SECONDS - 1 < pause_of(app, Endpoint.AUTH) <= HELD_SECONDS * 1.2
            assert health_of(app) == ("missing", {"auth": "another access token is still valid"})

            # Nobody asks again before the pause is over; then the lost token has expired.
            with pytest.raises(ServiceDown, match="another access token is still valid"):
                token_of(app)
            time.sleep(1.0)
            end_pauses(app)
            assert token_of(app).value == the_token(app)
            assert statuses(sandbox, "auth") == [201, 400, 201]
            assert circuits(app) == {}

    def die_after_the_answer(self, app: Flask, service: OffersService) -> None:
        single = app.extensions["single"]

        def send_and_die(request):
            assert single.send(request).status == 201
            raise SystemExit

        with pytest.raises(SystemExit):
            in_context(app, TokenSource(service, send_and_die, "victim", app.extensions["offers_box"]).token)
        assert the_access(app).leased_by == "victim"
        edit(app, Access, leased_until=LONG_AGO)


class TestExpiry:
    def test_an_expired_token_is_replaced_by_one_new_one(self, app, sandbox):
        old = token_of(app)
        sandbox.expire_token()
        edit(app, Access, expires_at=LONG_AGO)
        with ThreadPoolExecutor(4) as threads:
            new = set(threads.map(lambda n: token_of(app, f"thread {n}"), range(4)))

        assert len(new) == 1
        assert new != {old}
        assert statuses(sandbox, "auth") == [201, 201]

    def test_a_stored_token_that_the_service_holds_to_be_valid_is_used_on(self, app, sandbox):
        old = token_of(app)
        edit(app, Access, expires_at=LONG_AGO)  # our clock is ahead of the service's
        again = token_of(app)

        assert again.value == old.value
        assert HELD_SECONDS - 2 < (again.expires_at - datetime.now(UTC)).total_seconds() <= HELD_SECONDS
        assert statuses(sandbox, "auth") == [201, 400]
        assert circuits(app) == {}
        assert health_of(app) == ("valid", {})
        assert token_of(app).value == old.value
        assert statuses(sandbox, "auth") == [201, 400]

    def test_the_token_of_another_account_is_not_used(self, app, make_app, sandbox, service):
        token_of(app)
        sandbox.forget_token()
        sandbox._service.refresh_token = "another"
        other = hasty(make_app(offers=OffersService(service.base_url, "another")))

        token = token_of(other)
        row = the_access(app)
        assert (the_token(app), row.fingerprint) == (token.value, other.extensions["settings"].offers.fingerprint)
        assert statuses(sandbox, "auth") == [201, 201]


class TestATokenThatIsHeldElsewhere:
    def test_is_waited_for_by_all_processes_without_a_storm(self, app, sandbox, service):
        app.extensions["single"].send(service.auth_request())  # somebody has it
        for holder in ("one", "two", "three"):
            with pytest.raises((TokenHeld, ServiceDown), match="another access token is still valid"):
                token_of(app, holder)

        assert statuses(sandbox, "auth") == [201, 400]
        assert the_access(app).leased_by is None

    def test_is_had_as_soon_as_it_is_given_back(self, app, sandbox, service):
        app.extensions["single"].send(service.auth_request())
        with pytest.raises(TokenHeld):
            token_of(app)
        sandbox.expire_token()
        end_pauses(app)

        assert token_of(app).value == the_token(app)
        assert health_of(app) == ("valid", {})


class TestARefusedToken:
    def test_is_replaced_once_however_many_have_noticed(self, app, sandbox):
        old = token_of(app)
        sandbox.forget_token()
        with ThreadPoolExecutor(4) as threads:
            sources = [token_source(app, f"process {n}") for n in range(4)]
            new = set(threads.map(lambda source: in_context(app, source.replacement, old), sources))

        assert len(new) == 1
        assert new != {old}
        assert statuses(sandbox, "auth") == [201, 201]

    def test_has_no_effect_on_its_replacement(self, app, sandbox):
        old = token_of(app)
        sandbox.forget_token()
        new = in_context(app, token_source(app).replacement, old)

        assert in_context(app, token_source(app, "latecomer").replacement, old) == new
        assert statuses(sandbox, "auth") == [201, 201]

    def test_stays_the_one_to_use_where_the_service_says_that_it_is_still_valid(self, app, sandbox):
        old = token_of(app)  # a call was refused by mistake: nothing is wrong with the token
        again = in_context(app, token_source(app).replacement, old)

        assert again.value == old.value
        assert statuses(sandbox, "auth") == [201, 400]
        assert token_of(app).value == old.value
        assert circuits(app) == {}

    def test_twice_in_a_row_pauses_everybody_and_shows_in_the_health(self, app, sandbox):
        fresh, first = AccessToken("fresh", None), AccessToken("first", None)
        in_context(app, token_source(app).refused_again, fresh, first)

        assert circuits(app) == {Endpoint.AUTH: (1, "a fresh access token is refused")}
        assert REFUSED_SECONDS - 1 < pause_of(app, Endpoint.AUTH) <= REFUSED_SECONDS * 1.2
        assert health_of(app) == ("missing", {"auth": "a fresh access token is refused"})
        with pytest.raises(ServiceDown, match="a fresh access token is refused"):
            token_of(app)
        assert statuses(sandbox, "auth") == []


class TestRefusedCredentials:
    def test_pause_everybody_for_a_minute_and_show_in_the_health(self, make_app, sandbox, service):
        app = hasty(make_app(offers=OffersService(service.base_url, "wrong")))
        with pytest.raises(TokenRefused, match="the credentials are refused"):
            token_of(app)
        for _ in range(3):
            with pytest.raises(ServiceDown, match="the credentials are refused"):
                token_of(app)

        assert statuses(sandbox, "auth") == [401]
        assert REFUSED_SECONDS - 1 < pause_of(app, Endpoint.AUTH) <= REFUSED_SECONDS * 1.2
        assert health_of(app) == ("missing", {"auth": "the credentials are refused"})
        assert the_access(app).leased_by is None

    def test_are_tried_again_after_that(self, make_app, sandbox, service):
        app = hasty(make_app(offers=OffersService(service.base_url, "wrong")))
        with pytest.raises(TokenRefused):
            token_of(app)
        end_pauses(app)
        sandbox._service.refresh_token = "wrong"

        assert token_of(app).value == the_token(app)
        assert circuits(app) == {}


class TestAServiceThatFails:
    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            ("500", "it answered 500"),
            ("html", "the answer is not JSON"),
            ("redirect", "it answered 302"),
            ("timeout", "timed out"),
            ("reset", "unreachable"),
            ("drip", "timed out"),
            ("drip-headers", "timed out"),
            ("endless", "timed out"),
            ("broken-json", "the answer is not JSON"),
            ("wrong-root", "the answer is not a JSON object"),
            ("wrong-types", "no access token in the answer"),
            ("empty", "no access token in the answer"),
            ("deep", "the answer is not JSON"),
            ("gzip", "the answer is not JSON"),
            ("drop", "connection cut off"),
        ],
    )
    @pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
    def test_is_left_alone_for_a_while_whatever_it_does(self, app, sandbox, fault, reason):
        app.extensions["single"].max_bytes = 10**9
        sandbox.faults = [f"{fault}@auth"]
        with pytest.raises(ServiceDown) as raised:
            token_of(app)

        assert raised.value.reason in (reason, "answer too large")
        assert circuits(app) == {Endpoint.AUTH: (1, raised.value.reason)}
        assert 4 < pause_of(app, Endpoint.AUTH) <= 6
        assert the_access(app).leased_by is None
        assert len(statuses(sandbox, "auth")) == 1

    def test_is_left_alone_for_longer_each_time_but_never_for_long(self, app, sandbox):
        sandbox.faults = ["500@auth"]
        pauses = []
        for _ in range(6):
            with pytest.raises(ServiceDown):
                token_of(app)
            pauses.append(pause_of(app, Endpoint.AUTH))
            end_pauses(app)

        for pause, shortest in zip(pauses, [5, 10, 20, 40, 60, 60], strict=True):
            assert shortest - 1 < pause <= shortest * 1.2

    @pytest.mark.parametrize(
        ("asked", "shortest"), [("30", 30), ("1000000000", 300), ("-5", 5), ("soon", 5), ("nan", 5)]
    )
    def test_is_left_alone_for_as_long_as_it_asks_within_reason(self, app, sandbox, asked, shortest):
        sandbox.faults = [f"429={asked}@auth"]
        with pytest.raises(ServiceDown):
            token_of(app)

        assert shortest - 1 < pause_of(app, Endpoint.AUTH) <= shortest * 1.2

    def test_is_used_again_as_soon_as_it_answers(self, app, sandbox):
        sandbox.faults = ["500@auth"]
        with pytest.raises(ServiceDown):
            token_of(app)
        sandbox.faults = []
        end_pauses(app)

        assert token_of(app).value == the_token(app)
        assert circuits(app) == {}


@pytest.fixture
def first_generation():
    with Sandbox("v1", tick=10**9) as sandbox:
        yield sandbox


class TestTheFirstGeneration:
    @pytest.fixture
    def app(self, make_app, first_generation):
        return hasty(make_app(offers=OffersService(normalized_base_url(first_generation.url))))

    def test_signs_up_once_and_keeps_the_token_for_ever(self, app, first_generation):
        token = token_of(app)

        assert token.expires_at is None
        assert (the_token(app), the_access(app).expires_at) == (token.value, None)
        assert [token_of(app, f"process {n}") for n in range(3)] == [token] * 3
        assert statuses(first_generation, "auth") == [201]
        assert health_of(app) == ("valid", {})

    def test_does_not_sign_up_again_when_the_token_is_refused(self, app, first_generation):
        token = token_of(app)
        first_generation.forget_token()
        with pytest.raises(TokenRefused):
            in_context(app, token_source(app).replacement, token)

        assert the_token(app) == token.value
        assert statuses(first_generation, "auth") == [201]
        assert health_of(app) == ("valid", {"auth": "the access token is refused"})

    def test_takes_a_token_that_one_has_already_and_never_signs_up(self, app, make_app, first_generation):
        permanent = token_of(app).value
        service = OffersService(normalized_base_url(first_generation.url), access_token=permanent)
        other = hasty(make_app(offers=service))

        assert token_of(other) == AccessToken(permanent, None)
        with pytest.raises(TokenRefused):
            in_context(other, token_source(other).replacement, token_of(other))
        assert statuses(first_generation, "auth") == [201]

    def test_goes_on_at_full_speed_when_a_refused_token_is_accepted_again(self, app, first_generation):
        for _ in range(12):
            make_product(app)
        sync(app)
        first_generation.faults = ["401@offers", "401@register"]
        make_due(app)
        assert "the access token is refused" in sync(app)
        first_generation.faults = []
        end_pauses(app)
        make_due(app)
        sync(app)

        assert circuits(app) == {}, "nobody has to go first and see whether the token works"


class TestAnotherAccount:
    def test_gets_all_products_registered_anew(self, app, make_app, sandbox, products):
        sync(app)
        sync(app)
        sandbox.restart(forget=True)
        sandbox._service.refresh_token = "another"
        other = hasty(make_app(offers=OffersService(normalized_base_url(sandbox.url), "another")))
        make_due(other)
        done = sync(other)

        fingerprint = other.extensions["settings"].offers.fingerprint
        assert done["registered"] == 30
        assert set(sandbox.registered) == set(products)
        assert {feed.registered_with for feed in feeds(other).values()} == {fingerprint}
        sync(other)
        assert_in_step(other, sandbox, products)
