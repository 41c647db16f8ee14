"""The service is in trouble and says the same of many products: no product is judged by that, and all recover."""

import random
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
import structlog
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregator.clients.offers import OffersService, normalized_base_url
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.flows.verdicts import CONTRADICTS, EMPTY, TAKEN
from aggregator.models import Access, Endpoint, Feed, Registration
from aggregator.sandbox import KINDS, Sandbox
from aggregator.sandbox.faults import read_fault
from aggregator.sandbox.wire import Answer
from aggregator.services import catalog
from tests.builders import LONG_AGO, create, edit, make_product, stored
from tests.flows.passes import (
    assert_in_step,
    assert_sound,
    assert_unclaimed,
    calls,
    circuits,
    end_pauses,
    feeds,
    hasty,
    make_due,
    open_offers,
    settle,
    statuses,
    sync,
)

NEW = {"status": Registration.PENDING, "registered_at": None, "registered_with": None, "attempts": 0}
CHOSEN = {**NEW, "id_is_ours": False}
CONFLICTS = ["404@offers", "409@register"]
OF_MANY = "of many products at once"


def new_products(app: Flask, number: int, feed: dict = CHOSEN) -> list[str]:
    return [str(make_product(app, feed)) for _ in range(number)]


def synced_products(app: Flask, number: int, feed: dict = CHOSEN) -> list[str]:
    """Products that the service has taken and whose offers are stored."""
    product_ids = new_products(app, number, feed)
    settle(app)
    return product_ids


def an_interval_passes(app: Flask) -> None:
    """Everything is due, whatever it waits for."""
    end_pauses(app)
    make_due(app)


def lists_nothing(sandbox: Sandbox, product_ids: set[str]) -> None:
    """Have the service list no offers of these products."""
    answer = sandbox._service.offers_answer
    sandbox._service.offers_answer = lambda one: Answer(200, b"[]") if one.id in product_ids else answer(one)


def registrations(app: Flask) -> set[Registration]:
    return {feed.status for feed in stored(app, Feed)}


class TestProductsThatAreOurs:
    def test_stay_registered_where_the_service_denies_them_and_recover_at_once(self, app, sandbox):
        product_ids = synced_products(app, 30)
        before = {product_id: open_offers(app, product_id) for product_id in product_ids}
        sandbox.faults = CONFLICTS
        for _ in range(4):
            an_interval_passes(app)
            sync(app)

            assert registrations(app) == {Registration.REGISTERED}
        assert {product_id: open_offers(app, product_id) for product_id in product_ids} == before
        assert circuits(app) == {Endpoint.OFFERS: (4, CONTRADICTS)}
        assert {feed.failure for feed in stored(app, Feed)} <= {None, CONTRADICTS}
        assert_unclaimed(app)
        sandbox.faults = []
        sandbox.advance()
        an_interval_passes(app)
        settle(app)
        assert_in_step(app, sandbox, product_ids)
        assert_sound(app)
        assert circuits(app) == {}

    def test_cost_a_handful_of_calls_where_the_service_denies_them_all(self, app, sandbox):
        synced_products(app, 60)
        sandbox.calls.clear()
        sandbox.faults = CONFLICTS
        make_due(app)
        sync(app)

        assert 10 <= len(calls(sandbox, "offers")) <= 40
        assert set(statuses(sandbox, "register")) == {409}

    def test_are_ours_again_where_an_older_version_refused_them(self, app, sandbox):
        product_ids = synced_products(app, 30)
        edit(app, Feed, status=Registration.REFUSED, reason=TAKEN, due_at=LONG_AGO)
        sandbox.advance()
        settle(app)

        assert_in_step(app, sandbox, product_ids)
        assert {feed.reason for feed in stored(app, Feed)} == {None}

    def test_are_all_registered_again_where_the_service_has_lost_them(self, app, sandbox):
        product_ids = synced_products(app, 60)
        sandbox.restart(forget=True)
        make_due(app)
        settle(app)

        assert set(sandbox.registered) == set(product_ids)
        assert_in_step(app, sandbox, product_ids)
        assert circuits(app) == {}


class TestProductsThatAreNew:
    @pytest.mark.parametrize(
        ("faults", "reason"),
        [(CONFLICTS, TAKEN), (["422@register"], "Asked for by a fault"), (["400@register"], "Asked for by a fault")],
        ids=["409", "422", "400"],
    )
    def test_are_not_judged_by_what_is_said_of_many(self, app, sandbox, faults, reason):
        product_ids = new_products(app, 30)
        sandbox.faults = faults
        for failures in (1, 2, 3):
            an_interval_passes(app)
            sync(app)

            assert registrations(app) == {Registration.PENDING}
            assert circuits(app) == {Endpoint.REGISTER: (failures, f"{reason}, {OF_MANY}")}
        sandbox.faults = []
        an_interval_passes(app)
        settle(app)
        assert_in_step(app, sandbox, product_ids)
        assert circuits(app) == {}

    def test_few_as_they_are_where_nothing_else_is_said(self, app, sandbox):
        product_ids = new_products(app, 3)
        sandbox.faults = CONFLICTS
        sync(app)

        assert registrations(app) == {Registration.PENDING}
        sandbox.faults = []
        an_interval_passes(app)
        settle(app)
        assert_in_step(app, sandbox, product_ids)

    def test_are_refused_where_it_goes_on_and_ours_are_tried_again_when_it_is_over(self, app, sandbox):
        product_ids = new_products(app, 30)
        sandbox.faults = CONFLICTS
        for _ in range(6):
            end_pauses(app)
            make_due(app)
            sync(app)

        assert registrations(app) == {Registration.REFUSED}
        assert {feed.reason for feed in stored(app, Feed)} == {TAKEN}
        sandbox.faults = []
        make_due(app, Feed.product_id == UUID(product_ids[0]))
        settle(app)
        assert_in_step(app, sandbox, product_ids)
        assert circuits(app) == {}

    def test_of_somebody_else_do_not_keep_others_from_being_registered_for_long(self, app, sandbox):
        foreign = new_products(app, 60)
        for product_id in foreign:
            sandbox.add_foreign_product(product_id)
        for _ in range(6):
            end_pauses(app)
            make_due(app)
            sync(app)
        ours = new_products(app, 5)
        settle(app)

        assert {feeds(app)[product_id].status for product_id in foreign} == {Registration.REFUSED}
        assert_in_step(app, sandbox, ours)
        assert circuits(app) == {}


class TestEmptyLists:
    @pytest.mark.parametrize("number", [3, 30])
    def test_of_all_products_close_no_offer(self, app, sandbox, number):
        product_ids = synced_products(app, number)
        before = {product_id: open_offers(app, product_id) for product_id in product_ids}
        sandbox.faults = ["empty@offers"]
        for failures in range(1, 8):
            an_interval_passes(app)
            sync(app)

            assert circuits(app) == {Endpoint.OFFERS: (failures, f"{EMPTY}, {OF_MANY}")}
        assert {product_id: open_offers(app, product_id) for product_id in product_ids} == before
        sandbox.faults = []
        sandbox.advance()
        an_interval_passes(app)
        settle(app)
        assert_in_step(app, sandbox, product_ids)
        assert_sound(app)
        assert circuits(app) == {}

    def test_that_come_one_by_one_are_believed_of_two_products_and_no_more(self, app, sandbox):
        product_ids = synced_products(app, 8)
        sandbox.faults = ["empty@offers"]
        for product_id in product_ids:
            make_due(app, Feed.product_id == UUID(product_id))
            sync(app)

        assert [bool(open_offers(app, product_id)) for product_id in product_ids] == [False] * 2 + [True] * 6
        assert Endpoint.OFFERS in circuits(app)
        sandbox.faults = []
        an_interval_passes(app)
        settle(app)
        assert_in_step(app, sandbox, product_ids)

    def test_of_one_product_close_its_offers_at_once(self, app, sandbox):
        first, second = synced_products(app, 2)
        lists_nothing(sandbox, {first})
        make_due(app)

        assert sync(app)["synced"] == 2
        assert (open_offers(app, first), circuits(app)) == ({}, {})
        assert_in_step(app, sandbox, [second])

    def test_that_last_for_some_are_believed_when_others_are_well(self, app, sandbox):
        product_ids = synced_products(app, 30)
        lists_nothing(sandbox, set(product_ids[:12]))
        for _ in range(4):
            end_pauses(app)
            settle(app)
            make_due(app)
            settle(app)

        assert [bool(open_offers(app, product_id)) for product_id in product_ids] == [False] * 12 + [True] * 18
        assert circuits(app) == {}

    def test_of_products_that_never_had_offers_are_no_trouble(self, app, sandbox):
        sandbox.faults = ["empty@offers"]
        new_products(app, 30)
        settle(app)

        assert circuits(app) == {}
        assert {(feed.failures, feed.offer_count) for feed in stored(app, Feed)} == {(0, 0)}


class TestAGoodTokenThatIsRefused:
    def test_for_all_products_opens_the_circuit(self, app, sandbox):
        product_ids = synced_products(app, 60)
        sandbox.calls.clear()
        sandbox.faults = ["401@offers"]
        make_due(app)
        sync(app)

        assert len(calls(sandbox, "offers")) <= 40
        assert circuits(app) == {Endpoint.OFFERS: (1, "the access token is refused")}
        sandbox.faults = []
        an_interval_passes(app)
        settle(app)
        assert_in_step(app, sandbox, product_ids)


class TestTheFirstGeneration:
    @pytest.fixture
    def sandbox(self):
        with Sandbox("v1", tick=10**9) as sandbox:
            yield sandbox

    @pytest.fixture
    def app(self, make_app: Callable[..., Flask], sandbox: Sandbox) -> Flask:
        return hasty(make_app(offers=OffersService(normalized_base_url(sandbox.url))))

    def test_that_denies_products_registers_each_again_once_and_is_left_alone(self, app, sandbox):
        product_ids = synced_products(app, 30)
        before = {product_id: open_offers(app, product_id) for product_id in product_ids}
        sandbox.calls.clear()
        sandbox.faults = ["404@offers"]
        make_due(app)
        settle(app)

        assert registrations(app) == {Registration.REGISTERED}
        assert len(calls(sandbox, "register")) <= 60
        assert circuits(app) == {Endpoint.OFFERS: (1, CONTRADICTS)}
        assert {product_id: open_offers(app, product_id) for product_id in product_ids} == before
        sandbox.faults = []
        an_interval_passes(app)
        settle(app)
        assert_in_step(app, sandbox, product_ids)

    def test_that_refuses_the_token_for_one_product_only_costs_only_that(self, app, sandbox):
        fault = read_fault("401:0.2@offers")
        ids = [UUID(int=number << 64 | 0xC000_0000_0000_0000) for number in range(1, 30)]
        hit = [id for id in ids if fault.hits(0, "offers", str(id))][:1]
        spared = [id for id in ids if not fault.hits(0, "offers", str(id))][:5]
        for id in hit + spared:
            make_product(app, CHOSEN, id=id)
        settle(app)
        sandbox.faults = [fault.spec]
        sandbox.advance()
        make_due(app, Feed.product_id.in_(spared))
        edit(app, Feed, Feed.product_id.in_(hit), due_at=LONG_AGO - timedelta(days=1))

        assert sync(app)["synced"] == 5
        assert_in_step(app, sandbox, spared)
        assert circuits(app) == {}
        assert feeds(app)[str(hit[0])].failures == 1


class TestTheWeb:
    def test_leaves_a_product_to_the_worker_where_others_before_it_were_refused(self, app, client, sandbox):
        sandbox.faults = ["422@register"]
        answers = [create(client) for _ in range(4)]

        assert [answer.status_code for answer in answers] == [422, 422, 201, 201]
        assert [answer.json["registration"]["status"] for answer in answers[2:]] == ["pending", "pending"]
        assert len(calls(sandbox, "register")) == 3
        sandbox.faults = []
        an_interval_passes(app)
        settle(app)
        assert_in_step(app, sandbox, [answer.json["id"] for answer in answers[2:]])

    def test_leaves_a_product_to_the_worker_where_the_service_denies_others(self, app, client, sandbox):
        synced_products(app, 30)
        sandbox.faults = CONFLICTS
        make_due(app)
        sync(app)
        chosen = str(uuid4())
        answer = create(client, id=chosen)

        assert (answer.status_code, answer.json["registration"]["status"]) == (201, "pending")
        sandbox.faults = []
        an_interval_passes(app)
        settle(app)
        assert_in_step(app, sandbox, [chosen])

    def test_shows_a_product_whose_offers_cannot_be_confirmed_as_not_up_to_date(self, app, client, sandbox):
        (product_id,) = synced_products(app, 1)
        url = f"/api/v1/products/{product_id}"

        def shown() -> tuple[bool, str | None, str]:
            answer = client.get(url)
            (listed,) = client.get("/api/v1/products").json
            both = [(body["offers_up_to_date"], body["offers_problem"]) for body in (answer.json, listed)]
            assert both[0] == both[1]
            return *both[0], answer.headers["ETag"]

        tags = [shown()[2]]
        assert shown()[:2] == (True, None)
        for faults, problem in ((["500@offers"], "it answered 500"), (CONFLICTS, CONTRADICTS)):
            sandbox.faults = faults
            an_interval_passes(app)
            sync(app)
            assert shown()[:2] == (False, problem)
            tags.append(shown()[2])
        sandbox.faults = []
        sandbox.forget_product(product_id)
        an_interval_passes(app)
        sync(app)
        assert shown()[:2] == (False, CONTRADICTS)
        settle(app)
        assert shown()[:2] == (True, None)
        assert len({*tags, shown()[2]}) == 4


class TestTheLog:
    def lines(self, app: Flask, *passes: Callable[[], object]) -> list[tuple[str, str, str]]:
        with structlog.testing.capture_logs() as lines:
            for each in passes:
                end_pauses(app)
                make_due(app)
                each()
        return [(line["log_level"], line["event"], line["call"]) for line in lines if "call" in line]

    def test_has_one_line_when_calls_are_paused_and_one_when_they_work_again(self, app, sandbox):
        synced_products(app, 30)

        def well() -> None:
            sandbox.faults = []
            settle(app)

        sandbox.faults = ["503@offers"]
        assert self.lines(app, *[lambda: sync(app)] * 3, well, lambda: sync(app)) == [
            ("error", "calls of the offers service are paused", "offers"),
            ("info", "calls of the offers service work again", "offers"),
        ]

    @pytest.mark.parametrize("fault", ["401@auth", "500@auth"])
    def test_has_one_line_when_there_is_no_token_and_one_when_it_works_again(self, app, sandbox, fault):
        synced_products(app, 3)
        sandbox.expire_token()
        edit(app, Access, expires_at=LONG_AGO)

        def well() -> None:
            sandbox.faults = []
            settle(app)

        sandbox.faults = [fault]
        assert self.lines(app, *[lambda: sync(app)] * 3, well) == [
            ("error", "calls of the offers service are paused", "auth"),
            ("info", "calls of the offers service work again", "auth"),
        ]

    def test_has_one_line_while_fresh_tokens_are_refused(self, make_app):
        with Sandbox(tick=10**9, token_ttl=1e-6) as sandbox:
            app = hasty(make_app(offers=OffersService(normalized_base_url(sandbox.url), sandbox.refresh_token)))
            make_product(app)

            assert self.lines(app, *[lambda: sync(app)] * 3) == [
                ("error", "calls of the offers service are paused", "auth")
            ]


QUICK = sorted(set(KINDS) - {"timeout", "drip", "drip-headers", "endless", "flood", "gzip", "deep"})


def faults(kinds: list[str]) -> st.SearchStrategy[list[str]]:
    """What the service does wrong at one time: to all products or some, at one call or several."""
    endpoints = st.sampled_from(["auth", *["register", "offers"] * 3])
    one = st.tuples(st.sampled_from(kinds), st.sampled_from(["", ":0.5"]), endpoints)
    possible = one.filter(lambda parts: parts[2] in KINDS[parts[0]].possible)
    written = possible.map(lambda parts: f"{parts[0]}{parts[1]}@{parts[2]}")
    return st.lists(written, min_size=1, max_size=3)


def times(kinds: list[str]) -> st.SearchStrategy[list[tuple[list[str], int]]]:
    """One trouble after the other, each for so many passes."""
    conflicts = st.just(CONFLICTS)
    return st.lists(st.tuples(st.one_of(faults(kinds), conflicts), st.integers(1, 4)), min_size=1, max_size=4)


class TestWhateverTheServiceAnswers:
    """Within two intervals after it is well again every product is registered, and its offers are the service's."""

    @pytest.mark.parametrize("generation", ["v1", "v2"])
    @settings(
        max_examples=4,
        derandomize=True,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(troubles=times(QUICK), seed=st.integers(0, 2**32))
    def test_all_recover(self, make_app, generation, troubles, seed):
        self.check(make_app, generation, troubles, seed)

    @pytest.mark.evidence
    @pytest.mark.parametrize("generation", ["v1", "v2"])
    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(troubles=times(sorted(set(KINDS) - {"flood"})), seed=st.integers(0, 2**32))
    def test_all_recover_from_more(self, make_app, generation, troubles, seed):
        self.check(make_app, generation, troubles, seed)

    def check(self, make_app: Callable[..., Flask], generation: str, troubles: list, seed: int) -> None:
        with Sandbox(generation, tick=10**9, seed=seed) as sandbox:
            credential = sandbox.refresh_token if generation == "v2" else None
            app = hasty(make_app(offers=OffersService(normalized_base_url(sandbox.url), credential)), seconds=0.5)
            # Made by us, chosen by a client, of an import or the samples; known to the service before, or not.
            known = [str(make_product(app, feed)) for feed in (NEW, CHOSEN) for _ in range(6)]
            settle(app)
            product_ids = known + [str(make_product(app, feed)) for feed in (NEW, CHOSEN) for _ in range(6)]
            dice = random.Random(seed)
            for specs, passes in troubles:
                sandbox.faults = specs
                for _ in range(passes):
                    self.time_passes(app, sandbox, dice.sample(product_ids, dice.randint(1, len(product_ids))))
                    sync(app)
                    refused = {id for id, feed in feeds(app).items() if feed.reason == TAKEN}
                    assert not refused & set(known), "what was ours is ours"
            sandbox.faults = []
            for _ in range(2):
                self.time_passes(app, sandbox, product_ids)
                settle(app)
            assert_in_step(app, sandbox, product_ids)
            assert_sound(app)
            assert_unclaimed(app)
            # Where nothing is left to register, no call can show that registering works again.
            assert circuits(app).keys() <= {Endpoint.REGISTER}
            for product_id in product_ids:
                with app.app_context():
                    in_transaction(lambda id=product_id: catalog.remove(UUID(id), utcnow()))
            edit(app, Access, token=None, expires_at=None, in_doubt=False)

    def time_passes(self, app: Flask, sandbox: Sandbox, product_ids: list[str]) -> None:
        """Products are due, all pauses are over, tokens have run out, and the market has moved."""
        sandbox.advance()
        sandbox.expire_token()
        edit(app, Access, Access.expires_at.is_not(None), expires_at=LONG_AGO)
        end_pauses(app)
        make_due(app, Feed.product_id.in_([UUID(id) for id in product_ids]))
