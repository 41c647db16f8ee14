"""Categories, products and users come and go while others refer to them: every answer says what is the matter."""

import io
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from random import Random
from threading import Lock
from uuid import UUID, uuid4

import pytest
from flask import Flask

from aggregator.database import transaction
from aggregator.models import Category, Role
from aggregator.services import categories
from tests.builders import bearer, make_user, sign_in, stored
from tests.flows.passes import assert_audited
from tests.pictures import picture

THREADS = 4
OTHERS = 3
KEPT = 4  # things of a kind that there are at a time, so that requests meet
ABSENT = str(uuid4())


@dataclass
class Shop:
    """What there may be at this moment, and what has been answered."""

    app: Flask
    admin: str
    picture: bytes
    ids: dict[str, list[str]] = field(default_factory=dict)
    seen: Counter[tuple[str, int]] = field(default_factory=Counter)
    lock: Lock = field(default_factory=Lock)

    def call(self, name: str, method: str, path: str, token: str | None = None, **options: object) -> object:
        headers = bearer(token or self.admin) | options.pop("headers", {})  # type: ignore[operator]
        response = self.app.test_client().open(f"/api/v1{path}", method=method, headers=headers, **options)
        with self.lock:
            self.seen[name, response.status_code] += 1
        return response.json if response.status_code == 201 else None

    def keep(self, kind: str, made: object) -> None:
        if isinstance(made, dict) and "id" in made:
            with self.lock:
                self.ids.setdefault(kind, []).append(made["id"])

    def one(self, kind: str, random: Random) -> str:
        with self.lock:
            return random.choice(self.ids.get(kind) or [ABSENT])

    def take(self, kind: str, random: Random) -> str | None:
        """One that is to go, where there are enough."""
        with self.lock:
            ids = self.ids.setdefault(kind, [])
            return ids.pop(random.randrange(len(ids))) if len(ids) > KEPT else None


class Visitor:
    """Somebody who does one thing after another, as an admin or as a customer."""

    def __init__(self, shop: Shop, number: int) -> None:
        self.shop, self.random = shop, Random(number)
        self.others = [_signed_in(shop.app) for _ in range(OTHERS)]
        self.user_id, self.token = _signed_in(shop.app)
        self.hooks: list[str] = []

    def act(self) -> None:
        self.random.choice(ACTIONS)(self)

    def _one(self, kind: str) -> str:
        return self.shop.one(kind, self.random)

    def _post(self, kind: str, path: str, body: object, token: str | None = None, **options: object) -> None:
        self.shop.keep(kind, self.shop.call(f"add {kind}", "POST", path, token, json=body, **options))

    def add_category(self) -> None:
        number = self.random.randrange(30)
        parent = {"parent_id": self._one("category")} if self.random.random() < 0.5 else {}
        self._post("category", "/categories", {"name": f"Category {number}"} | parent)

    def move_category(self) -> None:
        moved = {"parent_id": self._one("category")}
        self.shop.call("move category", "PATCH", f"/categories/{self._one('category')}", json=moved)

    def remove_category(self) -> None:
        if category := self.shop.take("category", self.random):
            self.shop.call("remove category", "DELETE", f"/categories/{category}")

    def add_product(self) -> None:
        body = {"name": f"Product {self.random.randrange(40)}", "description": "", "price": 100, "stock": 5}
        headers = {"Idempotency-Key": str(self.random.randrange(10**4))}
        self._post("product", "/products", body | {"category_id": self._one("category")}, headers=headers)

    def change_product(self) -> None:
        body = {"category_id": self._one("category"), "name": f"Product {self.random.randrange(40)}"}
        self.shop.call("change product", "PATCH", f"/products/{self._one('product')}", json=body)

    def remove_product(self) -> None:
        if product := self.shop.take("product", self.random):
            self.shop.call("remove product", "DELETE", f"/products/{product}")

    def import_products(self) -> None:
        numbers = [self.random.randrange(40) for _ in range(3)]
        rows = "".join(f"Product {number},category-{self.random.randrange(30)}\n" for number in numbers)
        query = {"all_or_nothing": self.random.choice(("true", "false")), "dry_run": "false"}
        options = {"data": f"name,category\n{rows}", "content_type": "text/csv", "query_string": query}
        self.shop.call("import", "POST", "/products/import", **options)

    def add_image(self) -> None:
        options = {"data": {"image": (io.BytesIO(self.shop.picture), "a.png")}}
        self.shop.call("add image", "POST", f"/products/{self._one('product')}/images", **options)

    def add_alert(self) -> None:
        kind = self.random.choice(("product", "category"))
        body = {f"{kind}_id": self._one(kind), "kind": "any_change"}
        self._post("alert", "/alerts", body, self.token)

    def fill_cart(self) -> None:
        body = {"product_id": self._one("product"), "quantity": 1}
        self.shop.call("fill cart", "POST", "/cart/items", self.token, json=body)

    def order(self) -> None:
        if self.random.random() < 0.5:
            self.shop.call("check out", "POST", "/cart/checkout", self.token)
        else:
            items = [{"product_id": self._one("product"), "quantity": 1}]
            self._post("order", "/orders", {"items": items}, self.token)

    def cancel_order(self) -> None:
        self.shop.call("cancel order", "POST", f"/orders/{self._one('order')}/cancel")

    def change_webhooks(self) -> None:
        if len(self.hooks) > 2:
            hook = self.hooks.pop()
            self.shop.call("test webhook", "POST", f"/webhooks/{hook}/test", self.token)
            self.shop.call("remove webhook", "DELETE", f"/webhooks/{hook}", self.token)
        else:
            body = {"url": "https://shop.example.com/hook", "events": ["order.placed", "product.created"]}
            made = self.shop.call("add webhook", "POST", "/webhooks", self.token, json=body)
            self.hooks += [made["id"]] if isinstance(made, dict) and "id" in made else []

    def register(self) -> None:
        number = self.random.randrange(10**3)
        body = {"username": f"name-{number}", "email": f"name-{number}@example.com", "password": "a lamp in the hall"}
        self.shop.call("register", "POST", "/auth/register", json=body)

    def deactivate(self) -> None:
        """Deactivate this user, and go on as another one where there are any left."""
        self.shop.call("deactivate", "PATCH", f"/users/{self.user_id}", json={"active": False})
        if self.others:
            (self.user_id, self.token), self.hooks = self.others.pop(), []


def _signed_in(app: Flask) -> tuple[UUID, str]:
    user_id = make_user(app)
    return user_id, sign_in(app, user_id)["access_token"]


ACTIONS: list[Callable[[Visitor], None]] = [
    *(Visitor.add_category, Visitor.move_category, Visitor.remove_category, Visitor.remove_category),
    *(Visitor.add_product, Visitor.add_product, Visitor.change_product, Visitor.remove_product),
    *(Visitor.import_products, Visitor.add_image, Visitor.add_alert, Visitor.fill_cart, Visitor.order),
    *(Visitor.cancel_order, Visitor.change_webhooks, Visitor.register, Visitor.deactivate),
]


def run(make_app: Callable[..., Flask], rounds: int) -> Counter[tuple[str, int]]:
    """What so many requests are answered with, several at once."""
    app = make_app(registrations_per_address=10**6)
    shop = Shop(app, sign_in(app, make_user(app, Role.ADMIN))["access_token"], picture())
    visitors = [Visitor(shop, number) for number in range(THREADS)]

    def work(visitor: Visitor) -> None:
        for _ in range(rounds // THREADS):
            visitor.act()

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, visitors))
    failed = {answer: count for answer, count in shop.seen.items() if answer[1] >= 500 and answer[1] != 503}
    assert failed == {}, shop.seen
    assert_audited(app)
    with app.app_context(), transaction():
        tree = categories.ancestors()  # which would not end where there is a circle
    assert tree.keys() == {category.id for category in stored(app, Category)}
    return shop.seen


def test_every_answer_is_one_of_words(make_app):
    seen = run(make_app, 240)

    assert {name for name, status in seen if status == 422} >= {"add product"}


@pytest.mark.evidence
def test_every_answer_is_one_of_words_for_long(make_app):
    seen = run(make_app, 20_000)

    assert {status for _, status in seen} <= {200, 201, 204, 401, 404, 409, 422, 503}
    assert sum(count for (name, _), count in seen.items() if "product" in name) >= 4_000
