"""Passes of the sync, and what must be true of the database after each of them."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Semaphore, Thread
from uuid import UUID

from flask import Flask

from aggregator.clients.many import ManyRequests
from aggregator.clients.single import SingleRequests
from aggregator.extensions import sync_settings, tokens
from aggregator.flows.access import TokenSource
from aggregator.flows.sync import Sync
from aggregator.models import (
    Access,
    Circuit,
    Endpoint,
    Feed,
    Offer,
    PricePoint,
    ProductPricePoint,
    Registration,
)
from aggregator.sandbox import Call, Sandbox
from aggregator.services import audit
from tests.builders import LONG_AGO, edit, stored

STANDSTILL = 10**9  # seconds of a tick
SECONDS = 1.0  # for a call: an answer takes some milliseconds, but other tests may have the processor


def hasty(app: Flask, concurrency: int = 8, seconds: float = SECONDS) -> Flask:
    """The app, with little patience for the offers service."""
    app.extensions["many"] = ManyRequests(concurrency, seconds)
    app.extensions["single"] = SingleRequests(seconds)
    return app


def a_sync(app: Flask, stop: Event | None = None, only: UUID | None = None) -> Sync:
    """A pass that is about to begin."""
    with app.app_context():
        return Sync(app, tokens(), sync_settings(), stop, only)


def sync(app: Flask, stop: Event | None = None, only: UUID | None = None) -> Counter[str]:
    """What a pass did; a problem that ended it early is the key of a 1."""
    work = a_sync(app, stop, only)
    with app.app_context():
        done = +work.run()
    return done + Counter({work.problem: 1} if work.problem else {})


def settle(app: Flask) -> None:
    """Pass after pass until nothing is due any more."""
    for _ in range(20):
        if not sync(app):
            return
    raise AssertionError("it never comes to an end")


@contextmanager
def held_back(sandbox: Sandbox, endpoint: str, number: int) -> Iterator[Callable[[], None]]:
    """Holds back the answers to the first calls of an endpoint; what it gives waits until they are all there."""
    answer, there, free, arrived = sandbox._service.answer, Semaphore(0), Semaphore(number), Event()

    def slowly(route, request):
        result = answer(route, request)
        if route.endpoint == endpoint and free.acquire(blocking=False):
            there.release()
            arrived.wait(10)
        return result

    def wait() -> None:
        for _ in range(number):
            assert there.acquire(timeout=10), "the calls are not made"

    sandbox._service.answer = slowly
    try:
        yield wait
    finally:
        arrived.set()
        sandbox._service.answer = answer


def stop_when(condition: Callable[[], object]) -> Event:
    """A stop that is set as soon as the condition is true; stop.at is when."""
    stop = Event()

    def watch() -> None:
        deadline = time.monotonic() + 10
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.005)
        stop.at = time.monotonic()
        stop.set()

    Thread(target=watch, daemon=True).start()
    return stop


def token_source(app: Flask, holder: str = "tester", patience: float = 2.0) -> TokenSource:
    """A way to the token that a process of that name has."""
    with app.app_context():
        source = tokens()
    return TokenSource(source.service, source.send, holder, source.box, patience)


def make_due(app: Flask, *where: object) -> None:
    """Let the products be due again, whoever works on them."""
    edit(app, Feed, *where, due_at=LONG_AGO, claimed_by=None, claimed_until=None)


def end_pauses(app: Flask) -> None:
    """Let the time of all circuits be over; that they were open is still known."""
    edit(app, Circuit, Circuit.retry_at.is_not(None), retry_at=LONG_AGO)


def circuits(app: Flask) -> dict[Endpoint, tuple[int, str | None]]:
    """The calls that have failed, how often in a row, and why."""
    return {row.endpoint: (row.failures, row.reason) for row in stored(app, Circuit) if row.failures}


def the_access(app: Flask) -> Access:
    (row,) = stored(app, Access)
    return row


def the_token(app: Flask) -> str | None:
    """The access token in the database, decrypted."""
    token = the_access(app).token
    return token and app.extensions["offers_box"].open(token)


def feeds(app: Flask) -> dict[str, Feed]:
    return {str(feed.product_id): feed for feed in stored(app, Feed)}


def calls(sandbox: Sandbox, word: str = "") -> list[Call]:
    """The calls of one kind: auth, register or offers."""
    return [call for call in sandbox.calls if call.path.endswith(word)]


def statuses(sandbox: Sandbox, word: str) -> list[int]:
    return [call.status for call in calls(sandbox, word)]


def open_offers(app: Flask, product_id: object) -> dict[str, tuple[int, int]]:
    """The open offers of a product as they are stored, {id: (price, stock)}."""
    found = stored(app, Offer, Offer.product_id == UUID(str(product_id)), Offer.last_seen_at.is_(None))
    return {offer.upstream_id: (offer.price, offer.items_in_stock) for offer in found}


def market(sandbox: Sandbox, product_id: object) -> dict[str, tuple[int, int]]:
    """The offers of a product as the service lists them now."""
    return {
        str(row["id"]): (int(row["price"]), int(row["items_in_stock"])) for row in sandbox.offers_of(str(product_id))
    }


def assert_in_step(app: Flask, sandbox: Sandbox, product_ids: Iterable[object]) -> None:
    """Each of the products is registered, and has the offers that the service lists, no more and no fewer."""
    product_ids = [str(product_id) for product_id in product_ids]
    now_feeds = feeds(app)
    assert {now_feeds[product_id].status for product_id in product_ids} <= {Registration.REGISTERED}
    assert {i: open_offers(app, i) for i in product_ids} == {i: market(sandbox, i) for i in product_ids}
    assert [now_feeds[product_id].failure for product_id in product_ids] == [None] * len(product_ids)


def assert_sound(app: Flask) -> None:
    """Offers, histories and summaries tell one story."""
    offers, points = stored(app, Offer), stored(app, PricePoint)
    latest: dict[int, PricePoint] = {}
    for point in points:  # in the order of offer and moment, which are their key
        assert point.offer_id not in latest or latest[point.offer_id].price != point.price, "a point without a change"
        latest[point.offer_id] = point
    for offer in offers:
        asked = offer.price if offer.items_in_stock and offer.last_seen_at is None else None
        # An offer that never had anything in stock has no history.
        last = latest.pop(offer.id).price if offer.id in latest else None
        assert last == asked, "the last price point is the price"
        assert (offer.sold_out_at is None) == (offer.items_in_stock > 0)
    assert not latest, "a point of no offer"
    summaries = {(row.product_id): row for row in stored(app, ProductPricePoint)}  # the last one of each stays
    for feed in stored(app, Feed):
        its = [o for o in offers if o.product_id == feed.product_id and o.last_seen_at is None]
        lowest = min((o.price for o in its if o.items_in_stock), default=None)
        assert (feed.lowest_price, feed.offer_count) == (lowest, len(its)), "the summary is that of the open offers"
        if feed.product_id in summaries:
            last = summaries[feed.product_id]
            assert (last.lowest_price, last.offer_count) == (lowest, len(its)), "and so is the last of its history"


def assert_audited(app: Flask) -> None:
    """Nothing in the data is as it must never be."""
    with app.app_context():
        assert [str(violation) for rule in audit.RULES for violation in audit.violations(rule)] == []


def assert_unclaimed(app: Flask) -> None:
    """Nobody works on anything."""
    assert [feed.claimed_by for feed in stored(app, Feed) if feed.claimed_by] == []
