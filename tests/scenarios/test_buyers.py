"""Many buyers at once, on each database: what there is gets sold, to the last piece and not one more."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Barrier, Event, Thread
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests
from flask import Flask

from aggregator import database
from aggregator.models import Order, OrderItem, OrderStatus, Product, Role, StockMovement
from aggregator.services import stock
from tests.builders import bearer, fill_cart, make_product, make_user, sign_in, stored
from tests.builders import sync as make_offers
from tests.flows.passes import assert_audited
from tests.scenarios.processes import answers, environment, eventually, web, worker

Answer = tuple[int, Any]
Send = Callable[..., Answer]
TRIES = 60  # of a request that is answered with "not now"


def by_test_client(app: Flask) -> Send:
    """Sends requests to the app in this process."""

    def send(method: str, path: str, token: str, **options: Any) -> Answer:
        headers = bearer(token) | options.pop("headers", {})
        response = app.test_client().open(f"/api/v1{path}", method=method, headers=headers, **options)
        return response.status_code, response.json if response.data else None

    return send


def by_network(url: str) -> Send:
    """Sends requests to processes that listen at url."""

    def send(method: str, path: str, token: str, **options: Any) -> Answer:
        headers = bearer(token) | options.pop("headers", {})
        response = requests.request(method, f"{url}/api/v1{path}", headers=headers, timeout=30, **options)
        return response.status_code, response.json() if response.content else None

    return send


@dataclass
class Buyer:
    """Somebody who orders, thinks better of it, and repeats what has got no answer; keeps all that was answered."""

    send: Send
    token: str
    products: list[UUID]
    random: random.Random
    orders: dict[str, str] = field(default_factory=dict)  # key: id
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)

    def call(self, name: str, method: str, path: str, **options: Any) -> Answer:
        """An answer that says something; whoever is told to come back later comes back."""
        for _ in range(TRIES):
            status, body = self.send(method, path, self.token, **options)
            if status != 503:
                break
        self.seen[name, status] += 1
        return status, body

    def lines(self) -> list[dict[str, Any]]:
        """Up to three products, in any order."""
        chosen = self.random.sample(self.products, self.random.randint(1, min(3, len(self.products))))
        return [{"product_id": str(id), "quantity": self.random.randint(1, 2)} for id in chosen]

    def buy(self, lines: list[dict[str, Any]]) -> str | None:
        """The id of an order of these lines, None where there is not enough; every third order is sent twice."""
        key = str(uuid4())
        order_id = None
        for _ in range(self.random.choice((1, 1, 2))):
            request = {"json": {"items": lines}, "headers": {"Idempotency-Key": key}}
            status, body = self.call("buy", "POST", "/orders", **request)
            if status == 201:
                assert body["id"] == self.orders.setdefault(key, body["id"])
                order_id = body["id"]
        return order_id

    def buy_by_cart(self) -> None:
        line = self.lines()[0]
        if self.call("add", "POST", "/cart/items", json=line)[0] == 201:
            key = str(uuid4())
            status, body = self.call("checkout", "POST", "/cart/checkout", headers={"Idempotency-Key": key})
            if status == 201:
                self.orders[key] = body["id"]
        if self.random.random() < 0.5:
            self.call("empty", "DELETE", "/cart")

    def be_fickle(self, rounds: int) -> None:
        """Order, change one's mind, cancel, and order again."""
        for _ in range(rounds):
            if self.random.random() < 0.3:
                self.buy_by_cart()
            elif order_id := self.buy(self.lines()):
                if self.random.random() < 0.4:
                    self.call("edit", "PATCH", f"/orders/{order_id}", json={"items": self.lines()})
                if self.random.random() < 0.6:
                    self.call("cancel", "POST", f"/orders/{order_id}/cancel")

    def buy_all(self) -> None:
        """Order piece by piece until there is nothing left of anything."""
        for product in self.random.sample(self.products, len(self.products)):
            while self.buy([{"product_id": str(product), "quantity": 1}]):
                pass


@contextmanager
def over_and_over(work: Callable[[], None]) -> Iterator[None]:
    """Does something again and again for as long as the context lasts, and fails where that fails."""
    stop, failures = Event(), []

    def repeat() -> None:
        try:
            while not stop.wait(0.02):
                work()
        except Exception as error:
            failures.append(error)

    thread = Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
    assert failures == []


def crowd(app: Flask, send: Send, count: int, products: list[UUID]) -> list[Buyer]:
    """So many buyers, each with an account."""
    tokens = [sign_in(app, make_user(app))["access_token"] for _ in range(count)]
    return [Buyer(send, token, products, random.Random(number)) for number, token in enumerate(tokens)]


def let_loose(buyers: list[Buyer], rounds: int) -> None:
    """All at once: first they are fickle, then they buy whatever there is."""
    with ThreadPoolExecutor(len(buyers)) as threads:
        list(threads.map(lambda buyer: buyer.be_fickle(rounds), buyers))
        list(threads.map(lambda buyer: buyer.buy_all(), buyers))


def assert_sold_out(app: Flask, buyers: list[Buyer], initial: Mapping[UUID, int]) -> None:
    """Every piece is in one order, every key has one, and nobody was told anything else than yes or no."""
    seen = sum((buyer.seen for buyer in buyers), Counter())
    assert {status for _, status in seen} <= {200, 201, 204, 409, 422}, seen
    assert {name for name, status in seen if status == 422} <= {"checkout"}, seen
    orders = {order.id: order for order in stored(app, Order)}
    known = [order_id for buyer in buyers for order_id in buyer.orders.values()]
    assert len(known) == len(set(known)) == len(orders), "each key one order, and no order without a key"
    assert {str(order_id) for order_id in orders} == set(known)
    sold: Counter[UUID] = Counter()
    for item in stored(app, OrderItem):
        if orders[item.order_id].status is not OrderStatus.CANCELLED:
            sold[item.product_id] += item.quantity
    assert sold == initial
    assert {product.stock for product in stored(app, Product) if product.id in initial} == {0}
    assert_audited(app)


def a_market(app: Flask, product: UUID) -> Callable[[], None]:
    """What the sync does with a product whose offers change each time."""
    prices = iter(range(100, 10**6))
    return lambda: make_offers(app, product, {"a": (next(prices), 3)})


def an_editor(send: Send, token: str, product: UUID) -> Callable[[], None]:
    """What an admin does who edits a product; its stock is what it is when the edit is written."""
    numbers = iter(range(10**6))

    def edit() -> None:
        status, _ = send("PATCH", f"/products/{product}", token, json={"description": str(next(numbers))})
        assert status in (200, 503)

    return edit


def sell(app: Flask, send: Send, buyers: int, stocks: list[int], rounds: int, *others: Callable[[], None]) -> None:
    """Let a crowd loose on a shop in which an admin edits, and others do what they do; all of it must be right."""
    initial = {make_product(app, price=100 + number, stock=stock): stock for number, stock in enumerate(stocks)}
    product, *_ = initial
    admin = sign_in(app, make_user(app, Role.ADMIN))["access_token"]
    people = crowd(app, send, buyers, list(initial))
    with ExitStack() as stack:
        for work in (an_editor(send, admin, product), *others):
            stack.enter_context(over_and_over(work))
        let_loose(people, rounds)
    assert_sold_out(app, people, initial)
    kinds = {movement.kind.value for movement in stored(app, StockMovement)}
    assert kinds >= {"initial", "sale", "edit", "cancel"}


def test_what_there_is_gets_sold_to_the_last_piece(app):
    sell(app, by_test_client(app), 12, [30, 20, 12], 4, a_market(app, make_product(app)))


@pytest.mark.evidence
def test_what_there_is_gets_sold_to_64_buyers(app):
    sell(app, by_test_client(app), 64, [150, 90, 40, 64, 200], 6, a_market(app, make_product(app)))


@pytest.mark.evidence
def test_what_there_is_gets_sold_by_real_processes(app, database_url, sandbox, tmp_path):
    key = app.config["JWT_SECRET_KEY"]  # who signs in here is signed in there
    env = environment(database_url, sandbox.url, SYNC_INTERVAL_SECONDS="1", JWT_SECRET_KEY=key)
    with ExitStack() as stack:
        site = stack.enter_context(web(env, tmp_path / "web.log", workers=3))
        stack.enter_context(worker(env, tmp_path / "worker.log"))
        eventually(lambda: answers(site.url))
        sell(app, by_network(site.url), 64, [150, 90, 40, 64, 200], 6, sandbox.advance)
        assert "Traceback" not in site.said


def all_at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What so many threads come to that begin at the same moment."""
    barrier = Barrier(count)

    def run(number: int) -> Any:
        barrier.wait(10)
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(run, range(count)))


def test_orders_of_the_same_things_in_opposite_order_never_deadlock(app, monkeypatch):
    monkeypatch.setattr(database, "TRIES", 1)  # a deadlock would be survived otherwise, and nobody would see it
    products = [str(make_product(app, price=100, stock=500)) for _ in range(6)]
    send, tokens = by_test_client(app), [sign_in(app, make_user(app))["access_token"] for _ in range(4)]

    def buy(number: int) -> list[int]:
        there_or_back = products if number % 2 else products[::-1]
        items = [{"product_id": product, "quantity": 1} for product in there_or_back]
        return [send("POST", "/orders", tokens[number], json={"items": items})[0] for _ in range(12)]

    assert {status for statuses in all_at_once(4, buy) for status in statuses} == {201}
    assert {product.stock for product in stored(app, Product)} == {500 - 48}


def test_a_cart_is_ordered_once_however_many_check_it_out(app):
    send = by_test_client(app)
    for _ in range(5):
        user, product = make_user(app), make_product(app, price=100, stock=50)
        fill_cart(app, user, {product: 2})
        token = sign_in(app, user)["access_token"]

        came = all_at_once(4, lambda _, token=token: send("POST", "/cart/checkout", token)[0])

        assert sorted(came) == [201, 422, 422, 422]
        assert stored(app, Product, Product.id == product)[0].stock == 48


def test_what_is_put_into_a_cart_while_it_is_ordered_is_neither_lost_nor_ordered_twice(app):
    user, product = make_user(app), make_product(app, price=100, stock=500)
    send, token = by_test_client(app), sign_in(app, user)["access_token"]
    line = {"product_id": str(product), "quantity": 1}

    def shop(number: int) -> list[int]:
        if number % 2:
            return [send("POST", "/cart/items", token, json=line)[0] for _ in range(10)]
        return [send("POST", "/cart/checkout", token)[0] for _ in range(10)]

    added = [status for statuses in all_at_once(4, shop)[1::2] for status in statuses]

    assert added == [201] * 20
    in_cart = send("GET", "/cart", token)[1]["count"]
    assert in_cart + sum(item.quantity for item in stored(app, OrderItem)) == 20
    assert_audited(app)


@pytest.mark.parametrize("other", ["cancel", "edit", "status"])
def test_an_order_is_cancelled_once_whoever_else_wants_something_of_it(app, other):
    send, user = by_test_client(app), make_user(app)
    product = make_product(app, price=100, stock=10)
    token = sign_in(app, user)["access_token"]
    admin = sign_in(app, make_user(app, Role.ADMIN))["access_token"]
    line = {"product_id": str(product), "quantity": 4}
    for _ in range(4):
        order = send("POST", "/orders", token, json={"items": [line]})[1]
        path = f"/orders/{order['id']}"
        others = {
            "cancel": lambda path=path: send("POST", f"{path}/cancel", admin),
            "edit": lambda path=path: send("PATCH", path, token, json={"items": [line | {"quantity": 9}]}),
            "status": lambda path=path: send("PATCH", path, admin, json={"status": "paid"}),
        }

        its, another = lambda path=path: send("POST", f"{path}/cancel", token), others[other]

        came = [status for status, _ in all_at_once(3, lambda n, its=its, another=another: (another if n else its)())]

        assert set(came) <= {200, 409}
        assert came.count(200) == 1 if other == "cancel" else came[0] == 200
        assert stored(app, Product)[0].stock == 10
    assert_audited(app)


@pytest.mark.parametrize("other", ["cancel", "edit"])
def test_an_order_that_is_being_edited_is_nobody_elses_until_that_is_done(app, monkeypatch, other):
    send, user = by_test_client(app), make_user(app)
    product = make_product(app, price=100, stock=10)
    token, line = sign_in(app, user)["access_token"], {"product_id": str(product), "quantity": 4}
    path = f"/orders/{send('POST', '/orders', token, json={'items': [line]})[1]['id']}"
    has_read, other_is_done, move = Event(), Event(), stock.move

    def slowly(quantities: Mapping[UUID, int], *held: Mapping[UUID, int]) -> Any:
        if not has_read.is_set():
            has_read.set()
            other_is_done.wait(0.3)  # which it cannot be before this transaction is over
        return move(quantities, *held)

    def interfere() -> int:
        assert has_read.wait(10)
        more = {"json": {"items": [line | {"quantity": 5}]}}
        of_others = {"cancel": ("POST", f"{path}/cancel", token), "edit": ("PATCH", path, token)}
        status, _ = send(*of_others[other], **(more if other == "edit" else {}))
        other_is_done.set()
        return status

    monkeypatch.setattr(stock, "move", slowly)
    with ThreadPoolExecutor(1) as thread:
        came = thread.submit(interfere)
        assert send("PATCH", path, token, json={"items": [line | {"quantity": 9}]})[0] == 200
        assert came.result() == 200

    assert stored(app, Product)[0].stock == (10 if other == "cancel" else 5)
    assert_audited(app)


def test_an_edit_of_the_stock_and_a_sale_do_not_lose_one_another(app):
    send, product = by_test_client(app), make_product(app, price=100, stock=100)
    buyer, admin = (sign_in(app, make_user(app, role))["access_token"] for role in (Role.CUSTOMER, Role.ADMIN))
    line = {"product_id": str(product), "quantity": 1}

    def work(number: int) -> list[int]:
        if number:
            return [send("POST", "/orders", buyer, json={"items": [line]})[0] for _ in range(10)]
        return [send("PATCH", f"/products/{product}", admin, json={"stock": 100 + n})[0] for n in range(10)]

    came = all_at_once(3, work)

    assert {status for statuses in came for status in statuses} == {200, 201}
    assert_audited(app)
