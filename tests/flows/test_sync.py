"""The sync: what one pass does, and what it does not let happen to the others when something goes wrong."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID

import pytest
import sqlalchemy as sa
from flask import Flask

from aggregator.clients import offers as contract
from aggregator.clients.offers import OffersService, normalized_base_url
from aggregator.clock import utcnow
from aggregator.database import db, in_transaction
from aggregator.flows.verdicts import CONTRADICTS
from aggregator.models import Access, Circuit, Endpoint, Feed, Offer, PricePoint, Product, Registration
from aggregator.sandbox import ENDPOINTS, KINDS, Sandbox
from aggregator.sandbox.damage import _bomb
from aggregator.sandbox.faults import read_fault
from aggregator.services import access, catalog
from tests.builders import LONG_AGO, edit, make_product, stored
from tests.flows.passes import (
    a_sync,
    assert_in_step,
    assert_sound,
    assert_unclaimed,
    calls,
    circuits,
    end_pauses,
    feeds,
    hasty,
    held_back,
    make_due,
    market,
    open_offers,
    settle,
    statuses,
    stop_when,
    sync,
    the_token,
)

NEW = {"status": "pending", "registered_at": None, "registered_with": None, "attempts": 0}


def new_product(app: Flask, **fields) -> str:
    return str(make_product(app, {**NEW, **fields.pop("feed", {})}, **fields))


def synced_products(app: Flask, ids: list[UUID] | None = None, number: int = 30) -> list[str]:
    """Products that are registered and have offers; nothing of them is due."""
    ids = ids or [None] * number
    product_ids = [new_product(app, **({"id": id} if id else {})) for id in ids]
    while any(feed.synced_at is None for feed in stored(app, Feed)):
        sync(app)
    return product_ids


def ids_hit(spec: str, endpoint: str, hit: int = 3, spared: int = 27) -> tuple[list[UUID], list[str]]:
    """Ids of products, and which of them a fault hits: as many as asked for, whatever the fault's dice say."""
    fault = read_fault(spec)
    found: dict[bool, list[UUID]] = {True: [], False: []}
    for number in count(1):
        id = UUID(int=number << 64 | 0xA000_0000_0000_0000)
        found[fault.hits(0, endpoint, str(id))].append(id)
        if len(found[True]) >= hit and len(found[False]) >= spared:
            ids = found[True][:hit] + found[False][:spared]
            return ids[1:] + ids[:1], [str(id) for id in found[True][:hit]]
    raise AssertionError("unreachable")


def due_in(feed: Feed) -> float:
    return (feed.due_at - datetime.now(UTC)).total_seconds()


class TestAPass:
    def test_registers_what_is_new_and_fetches_its_offers_at_once(self, app, sandbox, products):
        settle(app)

        assert len(stored(app, Offer)) == sum(len(market(sandbox, product_id)) for product_id in products)
        assert set(sandbox.registered) == set(products)
        assert_in_step(app, sandbox, products)
        assert_sound(app)
        assert_unclaimed(app)
        assert statuses(sandbox, "auth") == [201]
        assert len(calls(sandbox, "register")) == len(calls(sandbox, "offers")) == 30

    def test_tells_the_service_the_name_and_the_description(self, app, sandbox):
        product_id = new_product(app, name="Lámpa \U0001f4a1", description="Két\nsor")
        sync(app)

        known = sandbox.registered[product_id]
        assert (known.name, known.description) == ("Lámpa \U0001f4a1", "Két\nsor")

    def test_does_nothing_when_nothing_is_due(self, app, sandbox):
        assert sync(app) == {}
        synced_products(app, number=2)
        before = len(sandbox.calls)

        assert sync(app) == {}
        assert len(sandbox.calls) == before

    def test_takes_over_every_change_of_the_market(self, app, sandbox):
        product_ids = synced_products(app, number=10)
        for ticks in (1, 1, 50, 200, 0):
            sandbox.advance(ticks)
            make_due(app)
            assert sync(app)["synced"] == 10

            assert_in_step(app, sandbox, product_ids)
            assert_sound(app)
        assert stored(app, Offer, Offer.last_seen_at.is_not(None)), "some offers are listed no more"

    def test_writes_no_offer_where_the_answer_is_the_same(self, app, sandbox):
        synced_products(app, number=5)
        points = len(stored(app, PricePoint))
        make_due(app)

        assert sync(app) == {"synced": 5}
        assert len(stored(app, PricePoint)) == points

    def test_has_each_product_due_again_an_interval_after_it_was_claimed(self, app, sandbox):
        synced_products(app, number=5)

        assert all(55 < due_in(feed) <= 60 for feed in stored(app, Feed))

    def test_can_be_about_one_product_due_or_not(self, app, sandbox):
        first, second = synced_products(app, number=2)
        sandbox.advance()

        assert sync(app, only=UUID(first))["synced"] == 1
        assert_in_step(app, sandbox, [first])
        assert open_offers(app, second) != market(sandbox, second)

    def test_about_a_product_that_is_not_there_does_nothing(self, app, sandbox):
        assert sync(app, only=UUID(int=1)) == {}
        assert sandbox.calls == []

    def test_gives_all_its_calls_one_request_id(self, app, sandbox, products):
        sync(app)

        ids = {call.request_id for call in sandbox.calls if not call.path.endswith("auth")}
        assert len(ids) == 1
        assert ids.pop().startswith("sync-")

    def test_leaves_a_refused_product_alone_until_it_is_due(self, app, sandbox):
        new_product(app, feed={"status": "refused", "due_at": datetime(2099, 1, 1, tzinfo=UTC)})

        assert sync(app) == {}
        assert sandbox.calls == []

    def test_reports_progress_and_life(self, app, sandbox, products):
        reported, alive = [], []
        work = a_sync(app)
        work.progress, work.alive = reported.append, lambda: alive.append(1)
        with app.app_context():
            done = work.run()

        assert sum(reported) == done["registered"] + done["synced"]
        assert alive


class TestRegistration:
    def test_a_product_that_the_service_has_forgotten_is_registered_again(self, app, sandbox):
        first, second = synced_products(app, number=2)
        offers = open_offers(app, first)
        sandbox.forget_product(first)
        make_due(app)

        assert sync(app) == {"synced": 1, "registered": 1}
        feed = feeds(app)[first]
        assert (feed.status, feed.reason, feed.attempts) == (Registration.REGISTERED, None, 1)
        assert due_in(feed) <= 0
        assert open_offers(app, first) == offers
        settle(app)
        assert_in_step(app, sandbox, [first, second])
        assert list(sandbox.registered) == [second, first]

    def test_a_product_that_is_registered_and_yet_unknown_stays_what_it_was_and_fails(self, app, sandbox):
        (product_id,) = synced_products(app, number=1)
        offers = open_offers(app, product_id)
        sandbox.calls.clear()
        sandbox.faults = ["404@offers"]
        make_due(app)
        settle(app)

        assert statuses(sandbox, "register") == [409]
        assert statuses(sandbox, "offers") == [404]
        feed = feeds(app)[product_id]
        assert (feed.status, feed.failures, feed.failure) == (Registration.REGISTERED, 1, CONTRADICTS)
        assert 59 < due_in(feed) <= 72
        assert open_offers(app, product_id) == offers

    def test_a_product_that_is_unknown_while_nobody_registers_stays_what_it_was_and_fails(self, app, sandbox):
        (product_id,) = synced_products(app, number=1)
        sandbox.forget_product(product_id)
        edit(app, Circuit, Circuit.endpoint == Endpoint.REGISTER, failures=1, retry_at=utcnow() + timedelta(seconds=60))
        make_due(app)

        assert sync(app) == {"failed": 1}
        feed = feeds(app)[product_id]
        assert (feed.status, feed.failure) == (Registration.REGISTERED, "the offers service does not know the product")
        edit(app, Circuit, Circuit.endpoint == Endpoint.REGISTER, failures=0, retry_at=None)
        make_due(app)
        settle(app)
        assert_in_step(app, sandbox, [product_id])

    def test_a_product_that_is_deleted_while_it_is_found_to_be_forgotten_is_not_registered_again(self, app, sandbox):
        (product_id,) = synced_products(app, number=1)
        sandbox.forget_product(product_id)
        make_due(app)
        thread = threading.Thread(target=lambda: sync(app))
        with held_back(sandbox, "offers", 1) as wait:
            thread.start()
            wait()
            with app.app_context():
                in_transaction(lambda: catalog.remove(UUID(product_id), datetime.now(UTC)))
        thread.join()

        assert list(sandbox.registered) == []

    def test_an_id_of_ours_that_is_registered_already_was_registered_by_us(self, app, sandbox, products):
        sync(app)
        edit(app, Feed, **{**NEW, "due_at": LONG_AGO})
        done = sync(app)

        assert statuses(sandbox, "register").count(409) == 30
        assert done["registered"] == 30
        assert {feed.status for feed in stored(app, Feed)} == {Registration.REGISTERED}

    def test_an_id_that_a_client_chose_is_ours_where_its_offers_are_shown_to_us(self, app, sandbox):
        product_id = new_product(app, feed={"id_is_ours": False})
        sync(app)
        edit(app, Feed, **{**NEW, "due_at": LONG_AGO})

        assert sync(app)["registered"] == 1
        sync(app)
        assert statuses(sandbox, "register") == [201, 409]
        assert_in_step(app, sandbox, [product_id])

    def test_an_id_that_a_client_chose_and_somebody_else_has_is_refused(self, app, sandbox):
        product_id = new_product(app, feed={"id_is_ours": False})
        sandbox.add_foreign_product(product_id)

        assert sync(app) == {"refused": 1}
        feed = feeds(app)[product_id]
        assert (feed.status, feed.reason) == (
            Registration.REFUSED,
            "at the offers service this id belongs to another product",
        )
        assert 299 < due_in(feed) <= 360
        assert sync(app) == {}

    def test_what_is_refused_is_tried_again_less_and_less_often_but_once_a_day(self, app, sandbox):
        product_id = new_product(app, feed={"id_is_ours": False})
        sandbox.add_foreign_product(product_id)
        for shortest in (300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800, 86_400, 86_400):
            make_due(app)
            assert sync(app) == {"refused": 1}

            assert shortest - 1 < due_in(feeds(app)[product_id]) <= shortest * 1.2
        sandbox.forget_product(product_id)
        make_due(app)
        settle(app)
        assert_in_step(app, sandbox, [product_id])

    def test_a_refusal_is_kept_in_the_words_of_the_service_until_an_edit(self, app, sandbox):
        product_id = new_product(app)
        sandbox.faults = ["422@register"]

        assert sync(app) == {"refused": 1}
        feed = feeds(app)[product_id]
        assert (feed.status, feed.reason, feed.attempts) == (Registration.REFUSED, "Asked for by a fault", 1)
        sandbox.faults = []
        assert sync(app) == {}
        with app.app_context():
            in_transaction(lambda: catalog.change(UUID(product_id), {"name": "Better"}, datetime.now(UTC)))
        assert sync(app)["registered"] == 1
        assert sandbox.registered[product_id].name == "Better"

    def test_pauses_grow_and_end_with_five_minutes_for_ever(self, app, sandbox):
        product_id = new_product(app)
        sandbox.faults = ["404@register"]
        for shortest in (5, 15, 60, 300, 300, 300):
            make_due(app)
            end_pauses(app)
            assert sync(app)["not_registered"] == 1

            assert shortest - 1 < due_in(feeds(app)[product_id]) <= shortest * 1.2


# What each kind of fault leaves of the offers of a product that it hits: they stay, and this is why.
KEPT = {
    **{status: f"it answered {status}" for status in ("400", "403", "409", "410", "422", "429")},
    **{status: f"it answered {status}" for status in ("500", "502", "503", "504")},
    "401": "the access token is refused",
    "html": "the answer is not JSON",
    "redirect": "it answered 302",
    "timeout": "timed out",
    "drip": "timed out",
    "drip-headers": "timed out",
    "endless": "answer too large",
    "reset": "connection cut off",
    "drop": "connection cut off",
    **dict.fromkeys(("broken-json", "wrong-root", "deep", "gzip", "huge"), "the answer is not a JSON list of offers"),
}
TAKEN_OVER = ("404", "informational", "wrong-types", "empty", "duplicates", "negative", "shared-ids", "flood")
NOT_REGISTERED = {
    **{status: f"it answered {status}" for status in ("403", "404", "410", "429", "500", "502", "503", "504")},
    "401": "the access token is refused",
    "html": "the answer is not JSON",
    "redirect": "it answered 302",
    "timeout": "timed out",
    "drip": "timed out",
    "drip-headers": "timed out",
    "endless": "answer too large",
    "reset": "connection cut off",
    "drop": "connection cut off",
    "wrong-root": "the answer is not a JSON object",
    **dict.fromkeys(("broken-json", "deep", "gzip"), "the answer is not JSON"),
}
REGISTERED_ALL_THE_SAME = ("409", "informational", "wrong-types", "empty")


def test_every_kind_of_fault_has_its_place_here():
    possible = {endpoint: {kind for kind, is_ in KINDS.items() if endpoint in is_.possible} for endpoint in ENDPOINTS}

    assert {*KEPT, *TAKEN_OVER} == possible["offers"]
    assert {*NOT_REGISTERED, *REGISTERED_ALL_THE_SAME, "400", "422"} == possible["register"]


class TestATenthGoesWrong:
    """Three of thirty products are hit; the other twenty-seven must not notice."""

    @pytest.fixture
    def app(self, make_app: Callable[..., Flask]) -> Flask:
        _bomb()  # takes the sandbox longer to make than we have patience
        return hasty(make_app())

    @pytest.fixture
    def hit_by(self, app: Flask, sandbox: Sandbox) -> Callable[[str], tuple[list[str], list[str], dict]]:
        """Lets a fault hit a tenth of all products in the sync that follows; returns who is hit and who is not."""

        def hit(spec: str) -> tuple[list[str], list[str], dict]:
            ids, hit = ids_hit(f"{spec}:0.1@offers", "offers")
            spared = [str(id) for id in ids if str(id) not in hit]
            synced_products(app, ids)
            before = {product_id: open_offers(app, product_id) for product_id in hit}
            sandbox.advance()
            sandbox.faults = [f"{spec}:0.1@offers"]
            make_due(app)
            return hit, spared, before

        return hit

    @pytest.mark.parametrize("kind", KEPT)
    def test_of_the_answers_and_only_those_products_keep_their_old_offers(self, app, sandbox, hit_by, kind):
        hit, spared, before = hit_by(kind)
        done = sync(app)

        assert done["synced"] == 27
        assert done["failed"] == 3
        assert_in_step(app, sandbox, spared)
        assert {product_id: open_offers(app, product_id) for product_id in hit} == before
        after = feeds(app)
        assert {(after[i].failure, after[i].failures) for i in hit} == {(KEPT[kind], 1)}
        assert all(55 < due_in(after[i]) <= 72 for i in hit)
        assert_sound(app)
        assert_unclaimed(app)
        assert circuits(app) == {}
        # And when it is over, it is over.
        sandbox.faults = []
        make_due(app)
        assert sync(app)["synced"] == 30
        assert_in_step(app, sandbox, [*hit, *spared])
        assert statuses(sandbox, "auth") in ([201], [201, 400])

    def test_with_an_empty_list_closes_the_offers_of_those_products(self, app, sandbox, hit_by):
        hit, spared, before = hit_by("empty")

        assert sync(app)["synced"] == 30
        assert_in_step(app, sandbox, spared)
        assert [open_offers(app, product_id) for product_id in hit] == [{}] * 3
        closed = stored(app, Offer, Offer.product_id == UUID(hit[0]))
        assert {offer.upstream_id for offer in closed} == set(before[hit[0]])
        assert all(offer.sold_out_at and offer.last_seen_at for offer in closed)
        assert_sound(app)
        sandbox.faults = []
        make_due(app)
        sync(app)
        assert_in_step(app, sandbox, [*hit, *spared])
        assert_sound(app)

    @pytest.mark.parametrize("kind", ["negative", "wrong-types"])
    def test_with_rows_that_make_no_sense_costs_those_rows_only(self, app, sandbox, hit_by, kind):
        hit, spared, _ = hit_by(kind)

        assert sync(app)["synced"] == 30
        assert_in_step(app, sandbox, spared)
        for product_id in hit:
            assert market(sandbox, product_id).items() <= open_offers(app, product_id).items()
            assert feeds(app)[product_id].rejected_rows > 0
        assert_sound(app)
        sandbox.faults = []
        make_due(app)
        sync(app)
        assert_in_step(app, sandbox, [*hit, *spared])

    def test_with_an_id_twice_takes_the_last_price(self, app, sandbox, hit_by):
        hit, spared, _ = hit_by("duplicates")

        assert sync(app)["synced"] == 30
        assert_in_step(app, sandbox, spared)
        for product_id in hit:
            expected = market(sandbox, product_id)
            first = next(iter(expected))
            expected[first] = (expected[first][0] + 100, expected[first][1])
            assert open_offers(app, product_id) == expected
        assert_sound(app)

    def test_with_one_offer_that_all_of_them_list_gives_each_its_own(self, app, sandbox, hit_by):
        hit, spared, _ = hit_by("shared-ids")

        assert sync(app)["synced"] == 30
        assert_in_step(app, sandbox, spared)
        shared = set.intersection(*[set(open_offers(app, product_id)) for product_id in hit])
        assert len(shared) == 1
        rows = stored(app, Offer, Offer.upstream_id == shared.pop())
        assert {str(row.product_id): row.price for row in rows} == {
            product_id: next(iter(market(sandbox, product_id).values()))[0] for product_id in hit
        }
        assert_sound(app)

    def test_that_the_service_has_and_does_not_know_stay_as_they_are(self, app, sandbox, hit_by):
        hit, spared, before = hit_by("404")

        done = sync(app)
        assert (done["synced"], done["registered"], done["failed"]) == (27, 0, 3)
        assert_in_step(app, sandbox, spared)
        assert {product_id: open_offers(app, product_id) for product_id in hit} == before
        assert {feeds(app)[product_id].status for product_id in hit} == {Registration.REGISTERED}
        assert circuits(app) == {}

    @pytest.mark.parametrize("kind", NOT_REGISTERED)
    def test_of_the_registrations_and_the_others_are_registered(self, app, sandbox, kind):
        ids, hit = ids_hit(f"{kind}:0.1@register", "register")
        for id in ids:
            new_product(app, id=id)
        sandbox.faults = [f"{kind}:0.1@register"]
        settle(app)

        after = feeds(app)
        spared = [str(id) for id in ids if str(id) not in hit]
        assert_in_step(app, sandbox, spared)
        assert {(after[i].status, after[i].reason) for i in hit} == {(Registration.PENDING, NOT_REGISTERED[kind])}
        assert {after[i].attempts for i in hit} == {1}
        assert all(4 < due_in(after[i]) <= 6 for i in hit)
        assert_unclaimed(app)
        # What was registered after all, and its answer lost, is found out now; there is no orphan, and none is lost.
        sandbox.faults = []
        for _ in range(2):
            make_due(app)
            settle(app)
        assert_in_step(app, sandbox, [str(id) for id in ids])
        assert len(sandbox.registered) == 30

    @pytest.mark.parametrize("status", ["400", "422"])
    def test_refused_registrations_wait_for_an_edit_or_five_minutes(self, app, sandbox, status):
        ids, hit = ids_hit(f"{status}:0.1@register", "register")
        for id in ids:
            new_product(app, id=id)
        sandbox.faults = [f"{status}:0.1@register"]
        settle(app)

        assert_in_step(app, sandbox, [str(id) for id in ids if str(id) not in hit])
        assert {feeds(app)[i].status for i in hit} == {Registration.REFUSED}
        assert all(299 < due_in(feeds(app)[i]) <= 360 for i in hit)


class TestAFlood:
    def test_of_offers_is_stored_while_the_others_sync(self, make_app, sandbox):
        app = hasty(make_app(), seconds=10)
        ids, hit = ids_hit("flood:0.1@offers", "offers", hit=1, spared=5)
        for id in ids:
            new_product(app, id=id)
        sandbox.faults = ["flood:0.1@offers"]
        started = time.monotonic()
        while any(feed.synced_at is None for feed in stored(app, Feed)):
            sync(app)

        assert time.monotonic() - started < 20
        assert feeds(app)[hit[0]].offer_count == 100_000
        assert_in_step(app, sandbox, [str(id) for id in ids if str(id) not in hit])


class TestTheServiceIsDownForAll:
    def test_it_is_noticed_after_a_few_and_the_others_are_not_touched(self, app, sandbox):
        synced_products(app)
        sandbox.faults = ["503@offers"]
        make_due(app)
        sandbox.calls.clear()
        done = sync(app)

        asked = len(calls(sandbox, "offers"))
        assert 10 <= asked <= 20
        assert done == {"failed": asked, "it answered 503": 1}
        assert circuits(app) == {Endpoint.OFFERS: (1, "it answered 503")}
        after = feeds(app).values()
        assert sum(feed.failures for feed in after) == asked
        assert_unclaimed(app)
        assert sum(feed.due_at == LONG_AGO for feed in after) == 30 - asked
        # Nobody asks while the circuit is open.
        assert sync(app) == {}
        assert len(calls(sandbox, "offers")) == asked

    def test_then_a_few_are_tried_before_all_are(self, app, sandbox):
        synced_products(app)
        sandbox.faults = ["503@offers"]
        make_due(app)
        sync(app)
        end_pauses(app)
        make_due(app)
        sandbox.calls.clear()
        sync(app)

        assert 1 <= len(calls(sandbox, "offers")) <= 10
        assert circuits(app) == {Endpoint.OFFERS: (2, "it answered 503")}
        assert_unclaimed(app)

    def test_and_when_it_is_back_those_that_failed_are_tried_at_once(self, app, sandbox):
        product_ids = synced_products(app)
        sandbox.faults = ["503@offers"]
        make_due(app)
        sync(app)
        sandbox.faults = []
        sandbox.advance()
        end_pauses(app)
        settle(app)

        assert_in_step(app, sandbox, product_ids)
        assert circuits(app) == {}
        assert {feed.failures for feed in stored(app, Feed)} == {0}

    def test_registrations_recover_at_once_as_well(self, app, sandbox):
        product_ids = [new_product(app) for _ in range(30)]
        sandbox.faults = ["503@register"]
        for _ in range(5):
            end_pauses(app)
            make_due(app)
            sync(app)
        sandbox.faults = []
        end_pauses(app)
        make_due(app, Feed.product_id == UUID(product_ids[0]))
        settle(app)

        assert_in_step(app, sandbox, product_ids)
        assert circuits(app) == {}

    def test_a_small_catalogue_recovers_at_once_as_well(self, app, sandbox):
        product_ids = synced_products(app, number=3)
        sandbox.stop()
        for _ in range(5):
            end_pauses(app)
            make_due(app)
            sync(app)
        sandbox.start()
        sandbox.advance()
        end_pauses(app)
        make_due(app, Feed.product_id == UUID(product_ids[0]))
        settle(app)

        assert_in_step(app, sandbox, product_ids)

    def test_it_is_left_alone_for_as_long_as_it_asks(self, app, sandbox):
        synced_products(app)
        sandbox.faults = ["429=200@offers"]
        make_due(app)
        sync(app)
        with app.app_context():
            pause = in_transaction(access.pauses)[Endpoint.OFFERS]

        assert 195 < (pause.retry_at - datetime.now(UTC)).total_seconds() <= 240

    def test_a_refused_connection_is_as_bad(self, app, sandbox):
        synced_products(app)
        sandbox.stop()
        make_due(app)
        done = sync(app)

        assert done["unreachable"] == 1
        assert done["failed"] < 30
        assert circuits(app) == {Endpoint.OFFERS: (1, "unreachable")}

    def test_products_that_failed_before_say_nothing_about_the_service(self, app, sandbox):
        product_ids = synced_products(app)
        bad = product_ids[:15]
        edit(app, Feed, Feed.product_id.in_([UUID(id) for id in bad]), failures=1)
        for product_id in bad:
            sandbox.forget_product(product_id)
        original = sandbox._service.refusal
        sandbox._service.refusal = lambda status, text, headers=(): original(
            500 if status == 404 else status, text, headers
        )
        make_due(app)
        done = sync(app)

        assert (done["synced"], done["failed"]) == (15, 15)
        assert circuits(app) == {}


class TestTheToken:
    def test_that_is_forgotten_in_the_middle_is_replaced_once_for_all(self, app, sandbox):
        product_ids = synced_products(app)
        sandbox.forget_token()
        sandbox.advance()
        make_due(app)

        assert sync(app)["synced"] == 30
        assert_in_step(app, sandbox, product_ids)
        assert statuses(sandbox, "auth") == [201, 201]
        assert 1 <= statuses(sandbox, "offers").count(401) <= 8

    def test_that_expires_during_a_pass_is_replaced_once_for_all(self, make_app):
        with Sandbox(tick=10**9, token_ttl=1.2, latency_ms=60) as sandbox:
            service = OffersService(normalized_base_url(sandbox.url), sandbox.refresh_token)
            app = hasty(make_app(offers=service), concurrency=4)
            product_ids = [new_product(app) for _ in range(60)]
            problems = set(sync(app)) & {"the access token is refused", "a fresh access token is refused"}
            while any(feed.synced_at is None for feed in stored(app, Feed)):
                sync(app)

        assert not problems
        assert_in_step(app, sandbox, product_ids)
        assert set(statuses(sandbox, "auth")) == {201}

    def test_that_is_refused_even_when_fresh_pauses_everybody(self, make_app):
        with Sandbox(tick=10**9, token_ttl=1e-6) as sandbox:  # every token has expired when it arrives
            service = OffersService(normalized_base_url(sandbox.url), sandbox.refresh_token)
            app = hasty(make_app(offers=service))
            for _ in range(30):
                make_product(app)
            done = sync(app)

        assert done == {"the access token is refused": 1}
        assert statuses(sandbox, "auth") == [201, 201]
        assert circuits(app) == {Endpoint.AUTH: (1, "a fresh access token is refused")}
        assert len(calls(sandbox, "offers")) <= 16
        assert_unclaimed(app)
        assert {feed.failures for feed in stored(app, Feed)} == {0}

    def test_that_is_not_to_be_had_leaves_all_products_due(self, app, sandbox, products):
        sandbox.faults = ["500@auth"]

        assert sync(app) == {"it answered 500": 1}
        assert len(statuses(sandbox, "auth")) == 1
        assert_unclaimed(app)
        assert {(feed.due_at, feed.attempts) for feed in stored(app, Feed)} == {(LONG_AGO, 0)}
        assert sync(app) == {}
        sandbox.faults = []
        end_pauses(app)
        settle(app)
        assert_in_step(app, sandbox, products)

    def test_that_one_product_only_is_refused_with_is_not_replaced_time_and_again(self, app, sandbox):
        ids, hit = ids_hit("401:0.1@offers", "offers", hit=1, spared=9)
        synced_products(app, ids)
        token = the_token(app)
        sandbox.faults = ["401:0.1@offers"]
        for _ in range(3):
            make_due(app)
            assert sync(app)["synced"] == 9

        assert the_token(app) == token
        assert circuits(app) == {}
        assert feeds(app)[hit[0]].failures == 3


@contextmanager
def poisoned(app: Flask, product_id: str, sqlstate: str) -> Iterator[None]:
    """A database that refuses every new offer of a product."""
    with app.app_context(), db.engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(
                f"CREATE TRIGGER poison BEFORE INSERT ON offers WHEN NEW.product_id = '{product_id}'"
                " BEGIN SELECT RAISE(ABORT, 'poison'); END"
            )
        else:
            connection.exec_driver_sql(
                "CREATE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS"
                f" $$ BEGIN RAISE EXCEPTION 'poison' USING ERRCODE = '{sqlstate}'; END $$"
            )
            connection.exec_driver_sql(
                "CREATE TRIGGER poison BEFORE INSERT ON offers FOR EACH ROW"
                f" WHEN (NEW.product_id = '{product_id}') EXECUTE FUNCTION poison()"
            )
    try:
        yield
    finally:
        with app.app_context(), db.engine.begin() as connection:
            postgresql = connection.dialect.name == "postgresql"
            connection.exec_driver_sql(f"DROP TRIGGER poison{' ON offers' if postgresql else ''}")
            if postgresql:
                connection.exec_driver_sql("DROP FUNCTION poison()")


class TestAPoisonedProduct:
    # 23514 is a violated CHECK, 22003 a number out of range, XX001 a damaged page of an index, P0001 a trigger.
    @pytest.mark.parametrize("sqlstate", ["23514", "22003", "XX001", "P0001"])
    def test_that_the_database_refuses_costs_only_itself(self, app, sandbox, sqlstate):
        product_ids = [new_product(app) for _ in range(10)]
        sync(app, only=None)
        make_due(app)
        with poisoned(app, product_ids[0], sqlstate):
            edit(app, Feed, synced_at=None, digest=None)
            with app.app_context(), db.engine.begin() as connection:
                for table in ("price_points", "product_price_points", "offers"):
                    connection.execute(sa.text(f"DELETE FROM {table}"))
            edit(app, Feed, lowest_price=None, offer_count=0)
            done = sync(app)

            assert (done["synced"], done["failed"]) == (9, 1)
            assert_in_step(app, sandbox, product_ids[1:])
            assert open_offers(app, product_ids[0]) == {}
            feed = feeds(app)[product_ids[0]]
            assert (feed.failure, feed.failures) == ("could not be stored", 1)
            assert due_in(feed) > 50
            assert_unclaimed(app)
            assert_sound(app)
        make_due(app)
        sync(app)
        assert_in_step(app, sandbox, product_ids)

    def test_whose_answer_has_an_id_that_slipped_through_costs_only_itself(self, app, sandbox, monkeypatch):
        product_ids = [new_product(app) for _ in range(10)]
        bad = next(iter(market(sandbox, product_ids[3])))
        read = contract.offers_in

        def careless(reply):
            offers = read(reply)
            if bad in offers.rows:
                offers.rows["x" * 40] = (1, 1)
            return offers

        monkeypatch.setattr(contract, "offers_in", careless)
        settle(app)

        assert feeds(app)[product_ids[3]].failure == "could not be stored"
        assert_in_step(app, sandbox, [id for id in product_ids if id != product_ids[3]])
        assert open_offers(app, product_ids[3]) == {}
        assert_unclaimed(app)
        assert_sound(app)


class TestStopping:
    def test_claims_nothing_new_and_finishes_what_is_under_way(self, make_app, sandbox):
        app = hasty(make_app(), concurrency=4, seconds=5)
        product_ids = synced_products(app)
        sandbox.latency_ms = 200
        sandbox.advance()
        sandbox.calls.clear()
        make_due(app)
        stop = stop_when(lambda: calls(sandbox, "offers"))
        done = sync(app, stop)

        assert time.monotonic() - stop.at < 2
        assert done["stopped"] == 1
        assert 4 <= done["synced"] <= 20
        finished = [id for id in product_ids if feeds(app)[id].due_at != LONG_AGO]
        assert len(finished) == done["synced"]
        assert_in_step(app, sandbox, finished)
        assert_unclaimed(app)
        assert {feed.failures for feed in stored(app, Feed)} == {0}

    def test_releases_what_does_not_come_to_an_end(self, make_app, sandbox, monkeypatch):
        monkeypatch.setattr("aggregator.flows.sync.STOP_SECONDS", 0.3)
        app = hasty(make_app(), concurrency=4, seconds=30)
        synced_products(app)
        sandbox.faults = ["timeout@offers"]
        sandbox.calls.clear()
        make_due(app)
        stop = stop_when(lambda: calls(sandbox, "offers"))
        done = sync(app, stop)

        assert time.monotonic() - stop.at < 2
        assert set(done) <= {"stopped"}
        assert_unclaimed(app)
        assert {(feed.due_at, feed.failures) for feed in stored(app, Feed)} == {(LONG_AGO, 0)}

    def test_before_it_begins_does_nothing_at_all(self, app, sandbox, products):
        stop = threading.Event()
        stop.set()

        assert set(sync(app, stop)) <= {"stopped"}
        assert calls(sandbox, "register") == []
        assert_unclaimed(app)


class TestSeveralAtOnce:
    def test_share_the_work_and_double_nothing(self, make_app, sandbox):
        apps = [hasty(make_app(), concurrency=4) for _ in range(2)]
        product_ids = synced_products(apps[0], number=60)
        sandbox.advance()
        sandbox.calls.clear()
        sandbox.latency_ms = 5
        make_due(apps[0])
        with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as threads:
            patch.setattr("aggregator.flows.claims.FIRST", 5)
            patch.setattr("aggregator.flows.claims.LARGEST", 5)
            done = list(threads.map(sync, apps))

        asked = [call.product_id for call in calls(sandbox, "offers")]
        assert sorted(asked) == sorted(product_ids)
        assert done[0]["synced"] + done[1]["synced"] == 60
        assert min(done[0]["synced"], done[1]["synced"]) > 0
        assert_in_step(apps[0], sandbox, product_ids)
        assert_sound(apps[0])
        assert_unclaimed(apps[0])

    def test_register_every_product_once(self, make_app, sandbox):
        apps = [hasty(make_app(), concurrency=4) for _ in range(2)]
        product_ids = [new_product(apps[0]) for _ in range(60)]
        with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(2) as threads:
            patch.setattr("aggregator.flows.claims.FIRST", 5)
            patch.setattr("aggregator.flows.claims.LARGEST", 5)
            list(threads.map(sync, apps))
        settle(apps[0])

        assert statuses(sandbox, "register") == [201] * 60
        assert statuses(sandbox, "auth") == [201]
        assert_in_step(apps[0], sandbox, product_ids)
        assert_sound(apps[0])

    def test_leave_alone_what_another_has_claimed(self, app, sandbox):
        product_ids = synced_products(app, number=10)
        make_due(app)
        mine = [UUID(id) for id in product_ids[:4]]
        edit(app, Feed, Feed.product_id.in_(mine), claimed_by="another", claimed_until=utcnow() + timedelta(seconds=80))

        assert sync(app)["synced"] == 6
        assert [feeds(app)[id].claimed_by for id in product_ids[:4]] == ["another"] * 4

    def test_take_over_what_a_dead_one_had_claimed(self, app, sandbox):
        product_ids = synced_products(app, number=10)
        sandbox.advance()
        edit(app, Feed, due_at=LONG_AGO, claimed_by="dead", claimed_until=LONG_AGO)

        assert sync(app)["synced"] == 10
        assert_in_step(app, sandbox, product_ids)


class TestAnswersThatComeLate:
    @pytest.fixture(autouse=True)
    def claim_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A pass that waits for answers does not look for more that is due: it might take back what it lost."""
        monkeypatch.setattr("aggregator.flows.claims.PAUSE_SECONDS", 60)

    @contextmanager
    def a_slow_pass(self, app: Flask, sandbox: Sandbox, endpoint: str, number: int) -> Iterator[dict]:
        """A pass whose requests have been made and not yet answered; what it did is there afterwards."""
        done: dict = {}
        thread = threading.Thread(target=lambda: done.update(sync(app)))
        with held_back(sandbox, endpoint, number) as wait:
            thread.start()
            wait()
            yield done
        thread.join()

    def test_after_the_claim_has_run_out_are_dropped(self, make_app, sandbox):
        app, other = hasty(make_app(), seconds=5), hasty(make_app(), seconds=5)
        product_ids = synced_products(app, number=5)
        sandbox.advance()
        make_due(app)
        with self.a_slow_pass(app, sandbox, "offers", 5) as done:
            edit(app, Feed, claimed_until=LONG_AGO)
            assert sync(other)["synced"] == 5
            before = [(row.id, row.price, row.first_seen_at) for row in stored(app, Offer)]

        assert done == {"dropped": 5}
        assert [(row.id, row.price, row.first_seen_at) for row in stored(app, Offer)] == before
        assert_in_step(app, sandbox, product_ids)
        assert_sound(app)

    def test_for_a_product_that_is_deleted_meanwhile_are_dropped(self, make_app, sandbox):
        app = hasty(make_app(), seconds=5)
        product_ids = synced_products(app, number=5)
        sandbox.advance()
        make_due(app)
        with self.a_slow_pass(app, sandbox, "offers", 5) as done, app.app_context():
            in_transaction(lambda: catalog.remove(UUID(product_ids[0]), datetime.now(UTC)))

        assert (done["synced"], done["dropped"]) == (4, 1)
        assert open_offers(app, product_ids[0]) == {}
        assert product_ids[0] not in feeds(app)
        assert_in_step(app, sandbox, product_ids[1:])
        assert_sound(app)

    def test_about_a_registration_of_a_product_that_is_deleted_meanwhile_are_dropped(self, make_app, sandbox):
        app = hasty(make_app(), seconds=5)
        product_ids = [new_product(app) for _ in range(3)]
        with self.a_slow_pass(app, sandbox, "register", 3) as done, app.app_context():
            in_transaction(lambda: catalog.remove(UUID(product_ids[0]), datetime.now(UTC)))

        assert done["registered"] == 2
        assert set(feeds(app)) == set(product_ids[1:])
        assert len(stored(app, Product, Product.deleted_at.is_not(None))) == 1

    def test_of_a_failure_are_dropped_as_well(self, make_app, sandbox):
        app = hasty(make_app(), seconds=5)
        synced_products(app, number=5)
        sandbox._service.offers = lambda request, product_id: sandbox._service.refusal(500, "no")
        make_due(app)
        with self.a_slow_pass(app, sandbox, "offers", 5) as done:
            edit(app, Feed, claimed_by="another")

        assert done == {"it answered 500": 1}
        assert {(feed.failures, feed.claimed_by) for feed in stored(app, Feed)} == {(0, "another")}


class TestTheFirstGeneration:
    def test_signs_up_once_registers_and_follows_offers_that_sell_out_and_come_back(self, make_app):
        with Sandbox("v1", tick=10**9) as sandbox:
            app = hasty(make_app(offers=OffersService(normalized_base_url(sandbox.url))))
            product_ids = synced_products(app, number=8)
            sold_out = back = 0
            for _ in range(8):
                was = {id: offer for product_id in product_ids for id, offer in open_offers(app, product_id).items()}
                sandbox.advance(25)
                make_due(app)
                assert sync(app)["synced"] == 8
                assert_in_step(app, sandbox, product_ids)
                assert_sound(app)
                now = {id: offer for product_id in product_ids for id, offer in open_offers(app, product_id).items()}
                sold_out += sum(was[id][1] > 0 and not now[id][1] for id in was)
                back += sum(not was[id][1] and now[id][1] > 0 for id in was)

        assert sold_out > 0
        assert back > 0
        assert statuses(sandbox, "auth") == [201]
        assert set(sandbox.registered) == set(product_ids)
        assert all(offer.upstream_id.isdigit() and offer.last_seen_at is None for offer in stored(app, Offer))
        assert stored(app, Access)[0].expires_at is None
