"""Creating a product: every answer of the service, and every moment at which the process may die."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask

from aggregator.clients.offers import OffersService
from aggregator.database import db, transaction
from aggregator.errors import Conflict, InProgress, Invalid
from aggregator.extensions import tokens
from aggregator.flows import access, creation
from aggregator.flows.creation import Created, create_product
from aggregator.models import Access, Circuit, Endpoint, Feed, IdempotencyKey, Product, Registration
from aggregator.sandbox import Sandbox
from aggregator.services.idempotency import RequestKey
from tests.builders import LONG_AGO, edit, stored
from tests.flows.passes import (
    SECONDS,
    assert_in_step,
    assert_sound,
    assert_unclaimed,
    calls,
    circuits,
    end_pauses,
    hasty,
    held_back,
    make_due,
    settle,
    statuses,
    the_token,
)

KEY = RequestKey("everybody", "key-1", "digest")


def create(
    app: Flask, name: str = "Lamp", key: RequestKey | None = None, seconds: float = 2 * SECONDS, **fields
) -> Created:
    with app.app_context():
        return create_product(tokens(seconds), {"name": name, "description": "", **fields}, "request-1", key)


def the_product(app: Flask) -> tuple[Product, Feed]:
    (product,), (feed,) = stored(app, Product), stored(app, Feed)
    return product, feed


def nothing_is_stored(app: Flask) -> bool:
    return not [*stored(app, Product), *stored(app, Feed), *stored(app, IdempotencyKey)]


class TestRegisteredInTheSameRequest:
    def test_the_product_is_registered_and_due_for_its_first_sync(self, app, sandbox, service):
        created = create(app, description="Bright")

        product, feed = the_product(app)
        assert created.product_id == product.id
        assert not created.replayed
        assert '"status" : "registered"' in created.text or '"status":"registered"' in created.text
        assert (feed.status, feed.reason, feed.attempts) == (Registration.REGISTERED, None, 1)
        assert feed.registered_with == service.fingerprint
        assert feed.due_at <= datetime.now(UTC)
        known = sandbox.registered[str(product.id)]
        assert (known.name, known.description) == ("Lamp", "Bright")
        assert calls(sandbox, "register")[0].request_id == "request-1"
        assert_unclaimed(app)
        settle(app)
        assert_in_step(app, sandbox, [product.id])

    def test_an_id_of_the_clients_choice_is_kept(self, app, sandbox):
        chosen = uuid4()

        assert create(app, id=chosen).product_id == chosen
        assert list(sandbox.registered) == [str(chosen)]

    def test_an_id_chosen_before_and_lost_is_ours_again(self, app, sandbox):
        chosen = uuid4()
        create(app, id=chosen)
        with app.app_context(), transaction():
            for model in (Feed, Product):
                db.session.execute(sa.delete(model))

        assert create(app, id=chosen).product_id == chosen
        assert statuses(sandbox, "register") == [201, 409]
        assert statuses(sandbox, "offers") == [200]
        assert the_product(app)[1].status == Registration.REGISTERED

    def test_many_at_once_share_one_token(self, make_app, sandbox):
        apps = [hasty(make_app()) for _ in range(2)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda n: create(apps[n % 2], f"Lamp {n}"), range(4)))

        assert statuses(sandbox, "auth") == [201]
        assert {feed.status for feed in stored(apps[0], Feed)} == {Registration.REGISTERED}


class TestWhatTheServiceDoesNotWant:
    @pytest.mark.parametrize("status", ["400", "422"])
    def test_is_refused_in_its_words_and_leaves_nothing(self, app, sandbox, status):
        sandbox.faults = [f"{status}@register"]
        with pytest.raises(Invalid, match="The offers service refuses the product: Asked for by a fault"):
            create(app, key=KEY)

        assert nothing_is_stored(app)
        sandbox.faults = []
        assert create(app, key=KEY).replayed is False

    def test_an_id_that_somebody_else_has_is_a_conflict_and_leaves_nothing(self, app, sandbox):
        chosen = uuid4()
        sandbox.add_foreign_product(str(chosen))
        with pytest.raises(Conflict, match="At the offers service this id belongs to another product"):
            create(app, id=chosen, key=KEY)

        assert nothing_is_stored(app)
        assert statuses(sandbox, "offers") == [404]

    def test_a_name_in_use_is_a_conflict_and_the_service_is_not_called(self, app, sandbox):
        create(app, "Lamp")
        before = len(sandbox.calls)
        with pytest.raises(Conflict, match="There is a product named 'Lamp' already"):
            create(app, "Lamp", key=KEY)

        assert len(sandbox.calls) == before
        assert stored(app, IdempotencyKey) == []


PENDING = {
    **{status: f"it answered {status}" for status in ("403", "404", "429", "500", "502", "503", "504")},
    "401": "the access token is refused",
    "html": "the answer is not JSON",
    "redirect": "it answered 302",
    "timeout": "timed out",
    "drip": "timed out",
    "drip-headers": "timed out",
    "reset": "unreachable",
    "drop": "connection cut off",
    "wrong-root": "the answer is not a JSON object",
    "broken-json": "the answer is not JSON",
    "deep": "the answer is not JSON",
}


class TestAServiceThatFails:
    @pytest.mark.parametrize("kind", PENDING)
    def test_leaves_the_product_pending_with_the_reason_and_the_worker_finishes(self, app, sandbox, kind):
        sandbox.faults = [f"{kind}@register"]
        began, started = datetime.now(UTC), time.monotonic()
        created = create(app)

        assert time.monotonic() - started < 2 * SECONDS + 0.5
        product, feed = the_product(app)
        assert product.id == created.product_id
        assert (feed.status, feed.reason, feed.attempts) == (Registration.PENDING, PENDING[kind], 1)
        assert (feed.due_at - began).total_seconds() > 4
        assert (feed.due_at - datetime.now(UTC)).total_seconds() <= 8
        assert_unclaimed(app)
        sandbox.faults = []
        end_pauses(app)
        make_due(app)
        settle(app)
        assert_in_step(app, sandbox, [product.id])
        assert list(sandbox.registered) == [str(product.id)]
        assert circuits(app) == {}

    def test_that_is_not_there_at_all_is_the_same(self, app, sandbox):
        sandbox.stop()
        create(app)

        assert the_product(app)[1].reason == "unreachable"
        assert circuits(app) == {Endpoint.AUTH: (1, "unreachable")}
        sandbox.start()
        end_pauses(app)
        make_due(app)
        settle(app)
        assert_in_step(app, sandbox, [the_product(app)[0].id])

    def test_is_not_asked_any_more_after_three_failures(self, app, sandbox):
        sandbox.faults = ["500@register"]
        for number in range(6):
            create(app, f"Lamp {number}")

        assert statuses(sandbox, "register") == [500] * 3
        assert {(feed.status, feed.reason) for feed in stored(app, Feed)} == {(Registration.PENDING, "it answered 500")}

    def test_that_asks_for_time_is_given_it_at_once(self, app, sandbox):
        sandbox.faults = ["429=120@register"]
        for number in range(3):
            create(app, f"Lamp {number}")

        assert statuses(sandbox, "register") == [429]
        (circuit,) = stored(app, Circuit, Circuit.failures > 0)
        assert (circuit.endpoint, circuit.reason) == (Endpoint.REGISTER, "it answered 429")
        assert 115 < (circuit.retry_at - datetime.now(UTC)).total_seconds() <= 144
        waits = sorted((feed.due_at - datetime.now(UTC)).total_seconds() for feed in stored(app, Feed))
        assert 115 < waits[-1] <= 144

    def test_that_answers_again_has_the_others_registered_at_once(self, app, sandbox):
        sandbox.faults = ["500@register"]
        ids = [create(app, f"Lamp {number}").product_id for number in range(4)]
        sandbox.faults = []
        end_pauses(app)
        ids.append(create(app, "The fifth").product_id)
        settle(app)

        assert_in_step(app, sandbox, ids)
        assert circuits(app) == {}

    def test_that_refuses_our_credentials_is_seen_in_the_reason(self, make_app, sandbox, service):
        app = hasty(make_app(offers=OffersService(service.base_url, "wrong")))
        for number in range(3):
            create(app, f"Lamp {number}")

        assert {feed.reason for feed in stored(app, Feed)} == {"the credentials are refused"}
        assert statuses(sandbox, "auth") == [401]
        assert calls(sandbox, "register") == []

    def test_that_forgot_the_token_gets_asked_with_a_new_one(self, app, sandbox):
        create(app, "First")
        sandbox.forget_token()
        create(app, "Second")

        assert {feed.status for feed in stored(app, Feed)} == {Registration.REGISTERED}
        assert statuses(sandbox, "register") == [201, 401, 201]
        assert statuses(sandbox, "auth") == [201, 201]

    def test_that_refuses_one_product_by_mistake_costs_nobody_the_token(self, app, sandbox):
        create(app, "First")
        token = the_token(app)
        sandbox.faults = ["401@register"]
        create(app, "Second")
        sandbox.faults = []
        create(app, "Third")

        assert the_token(app) == token
        assert [feed.status for feed in stored(app, Feed)].count(Registration.REGISTERED) == 2
        assert circuits(app) == {}

    def test_that_refuses_every_token_pauses_everybody(self, make_app):
        with Sandbox(tick=10**9, token_ttl=1e-6) as sandbox:
            service = OffersService(f"{sandbox.url}/api/v1", sandbox.refresh_token)
            app = hasty(make_app(offers=service))
            for number in range(3):
                create(app, f"Lamp {number}")

        assert circuits(app)[Endpoint.AUTH][1] == "a fresh access token is refused"
        assert statuses(sandbox, "auth") == [201, 201]
        assert {feed.status for feed in stored(app, Feed)} == {Registration.PENDING}


class Death(BaseException):
    """The process is gone: nothing of ours runs any more."""


def dying(call: Callable, after: bool) -> Callable:
    """A call during which the process dies: before it does anything, or after it has done all."""

    def die(*arguments, **named):
        if after:
            call(*arguments, **named)
        raise Death

    return die


class TestTheProcessDies:
    """At every step; then the worker comes along, as it does after a claim has run out."""

    def rescue(self, app: Flask, sandbox: Sandbox) -> None:
        """What the worker finds, and what it makes of it."""
        feeds = stored(app, Feed)
        assert all(
            (feed.claimed_until - datetime.now(UTC)).total_seconds() <= 10 for feed in feeds if feed.claimed_until
        )
        edit(app, Feed, Feed.claimed_until.is_not(None), claimed_until=LONG_AGO)
        end_pauses(app)
        edit(app, Access, leased_until=None, leased_by=None)
        settle(app)
        ids = [str(product.id) for product in stored(app, Product)]
        assert_in_step(app, sandbox, ids)
        assert list(sandbox.registered) == ids, "no orphan, and none registered twice"
        assert statuses(sandbox, "register").count(201) == len(ids)
        assert_sound(app)
        assert_unclaimed(app)

    def die(self, app: Flask, monkeypatch, target: str, after: bool, **fields) -> None:
        module, _, name = target.rpartition(".")
        with monkeypatch.context() as patch:
            owner = getattr(creation, module) if module else creation
            patch.setattr(owner, name, dying(getattr(owner, name), after))
            with pytest.raises(Death):
                create(app, **fields)

    @pytest.mark.parametrize("target", ["idempotency.begin", "catalog.add", "feeds.claim_new"])
    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_before_the_intent_is_committed_and_nothing_has_happened(self, app, sandbox, monkeypatch, target, after):
        self.die(app, monkeypatch, target, after, key=KEY)

        assert nothing_is_stored(app)
        assert sandbox.calls == []
        # The same request may be made again at once.
        assert create(app, key=KEY).replayed is False
        self.rescue(app, sandbox)

    @pytest.mark.parametrize(
        ("target", "after", "told"),
        [
            ("_register", False, 0),
            ("_call", False, 0),
            ("contract.read_registration", False, 1),
            ("contract.read_registration", True, 1),
            ("_call", True, 1),
            ("_register", True, 1),
            ("_note_registered", False, 1),
            ("_note_registered", True, 1),  # it dies before that is committed
            ("_answer", False, 1),
            ("_answer", True, 1),
        ],
    )
    @pytest.mark.parametrize("key", [None, KEY], ids=["without a key", "with a key"])
    def test_after_the_intent_is_committed_and_the_worker_finishes(
        self, app, sandbox, monkeypatch, target, after, told, key
    ):
        self.die(app, monkeypatch, target, after, key=key)

        assert len(sandbox.registered) == told
        product, _ = the_product(app)
        self.rescue(app, sandbox)
        if key:
            if not (target == "_answer" and after):
                with pytest.raises(InProgress):
                    create(app, key=key)
                edit(app, IdempotencyKey, created_at=LONG_AGO)
            again = create(app, key=key)
            assert (again.product_id, again.replayed) == (product.id, True)
            assert len(stored(app, Product)) == 1

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_while_it_leaves_the_product_to_the_worker(self, app, sandbox, monkeypatch, after):
        sandbox.faults = ["500@register"]
        self.die(app, monkeypatch, "_leave_to_the_worker", after)

        sandbox.faults = []
        self.rescue(app, sandbox)

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_while_it_takes_back_what_the_service_refused(self, app, sandbox, monkeypatch, after):
        sandbox.faults = ["422@register"]
        self.die(app, monkeypatch, "_withdraw", after)

        edit(app, Feed, claimed_until=LONG_AGO)
        settle(app)
        assert (the_product(app)[1].status, the_product(app)[1].reason) == (
            Registration.REFUSED,
            "Asked for by a fault",
        )
        assert sandbox.registered == {}

    def test_while_it_holds_the_lease_on_the_token(self, app, sandbox, monkeypatch):
        self.die_in_auth(app, monkeypatch)

        # Its lease and the token it got are lost: the worker waits for both to end.
        sandbox.expire_token()
        self.rescue(app, sandbox)

    def die_in_auth(self, app: Flask, monkeypatch) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(access, "read_auth", dying(access.read_auth, after=True))
            with pytest.raises(Death):
                create(app)

    def test_in_the_eyes_of_a_worker_that_is_quicker(self, make_app, sandbox):
        """The web process is slow, its claim runs out, and the worker registers the product meanwhile."""
        web, worker = hasty(make_app(), seconds=5), hasty(make_app())
        create(worker, "Before")  # so that the token is there
        with ThreadPoolExecutor(1) as threads, held_back(sandbox, "register", 1) as wait:
            future = threads.submit(create, web, "Slow", None, 10)
            wait()
            edit(worker, Feed, Feed.claimed_until.is_not(None), claimed_until=LONG_AGO)
            settle(worker)
        created = future.result()

        assert '"registered"' in created.text
        assert sorted(statuses(sandbox, "register")) == [201, 201, 409]
        settle(worker)
        assert_in_step(worker, sandbox, [created.product_id])
        assert_unclaimed(worker)


class TestTheSameRequestAgain:
    def test_is_given_the_same_answer_and_makes_nothing(self, app, sandbox):
        first = create(app, key=KEY)
        settle(app)
        second = create(app, key=KEY)

        assert second == Created(first.product_id, first.text, replayed=True)
        assert len(stored(app, Product)) == 1
        assert len(calls(sandbox, "register")) == 1

    def test_while_the_first_is_being_worked_on_is_told_to_wait(self, make_app, sandbox):
        apps = [hasty(make_app(), seconds=5) for _ in range(2)]
        create(apps[0], "Before")
        with ThreadPoolExecutor(1) as threads, held_back(sandbox, "register", 1) as wait:
            future = threads.submit(create, apps[0], "Slow", KEY, 10)
            wait()
            with pytest.raises(InProgress):
                create(apps[1], "Slow", KEY)
        first = future.result()

        assert create(apps[1], "Slow", KEY).product_id == first.product_id
        assert len(calls(sandbox, "register")) == 2

    def test_at_the_same_moment_makes_one_product(self, make_app, sandbox):
        apps = [hasty(make_app(), seconds=5) for _ in range(4)]
        barrier = threading.Barrier(4)

        def post(app: Flask) -> UUID | None:
            barrier.wait()
            try:
                return create(app, "Lamp", KEY).product_id
            except InProgress:
                return None

        with ThreadPoolExecutor(4) as threads:
            ids = set(threads.map(post, apps)) - {None}

        assert len(ids) == len(stored(apps[0], Product)) == 1
        assert len(calls(sandbox, "register")) == 1

    def test_with_another_body_is_refused(self, app):
        create(app, key=KEY)
        with pytest.raises(Invalid, match="was used for another request"):
            create(app, key=RequestKey(KEY.owner, KEY.key, "another digest"))

    def test_of_another_owner_is_another_request(self, app):
        create(app, "One", key=KEY)

        assert create(app, "Two", key=RequestKey("somebody", KEY.key, KEY.digest)).replayed is False
