"""Accounts and orders: what strangers, other requests and other keyboards do to them."""

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.evidence.checks import Fact, Facts, check, within
from tests.evidence.stack import Shop, Stack

ROUNDS = 150
OWNER = {"username": "owner", "email": "owner@example.com", "password": "Z\u00fcrich-Caf\u00e9 77 quay"}
TYPED_ELSEWHERE = "Zu\u0308rich-Cafe\u0301 77 quay"


def from_address(address: str, **headers: str) -> dict[str, str]:
    return {"X-Forwarded-For": address, **headers}


def login(shop: Shop, address: str, password: str, **headers: str) -> Any:
    body = {"username": OWNER["username"], "password": password}
    return shop.post("/auth/login", headers={"Authorization": "", **from_address(address, **headers)}, json=body)


def register(shop: Shop) -> str:
    """The owner's account, and a header of theirs."""
    shop.post("/auth/register", headers=None, json=OWNER)
    answer = shop.post("/auth/login", headers=None, json={k: OWNER[k] for k in ("username", "password")})
    return f"Bearer {answer.json()['access_token']}"


@check("F18", "A password and a name are the same in every form of Unicode")
def forms(stack: Stack) -> Facts:
    with stack.web() as shop:
        register(shop)
        yield Fact("the password in another form", login(shop, "192.0.2.1", TYPED_ELSEWHERE).status_code, 200)
        yield Fact("another password", login(shop, "192.0.2.1", "Zurich-Cafe 77 quay").status_code, 401)
        shop.add_product("Caf\u00e9")
        again = shop.post("/products", json={"name": "Cafe\u0301", "description": ""})
        yield Fact("a name in another form", (again.status_code, again.json().get("code")), (409, "name_taken"))
        file = json.dumps({"name": "Cafe\u0301", "stock": 3}) + "\n"
        form = {"headers": {"Content-Type": "application/x-ndjson"}, "data": file.encode()}
        yield Fact("an import by that name", shop.post("/products/import", **form).json()["updated"], 1)


@check("J32", "What is deleted while something else begins to refer to it is answered in words")
def vanishing(stack: Stack) -> Facts:
    seen: Counter[int] = Counter()

    def call(request: Callable[[], Any]) -> Any:
        answer = request()
        seen[answer.status_code] += 1
        return answer.json() if answer.status_code == 201 else {}

    def one_round(shop: Shop, number: int, both: ThreadPoolExecutor) -> None:
        category = call(lambda: shop.post("/categories", json={"name": f"Category {number}"}))["id"]
        product = {"name": f"Product {number}", "description": "", "category_id": category}
        alert = {"category_id": category, "kind": "any_change"}
        requests = [
            lambda: shop.post("/products", json=product),
            lambda: shop.post("/products", json=product),
            lambda: shop.delete(f"/categories/{category}"),
            lambda: shop.post("/categories", json={"name": f"Part {number}", "parent_id": category}),
            lambda: shop.post("/alerts", json=alert),
        ]
        list(both.map(call, requests))

    with stack.web(workers=2) as shop, ThreadPoolExecutor(5) as threads:
        for number in range(ROUNDS):
            one_round(shop, number, threads)
    yield Fact("answers of 500", seen[500], 0)
    yield Fact("statuses", set(seen) <= {200, 201, 204, 404, 409, 422, 503})
    yield Fact("flask audit", stack.audit().returncode, 0)


@check("J34", "Strangers who guess do not keep an owner out")
def strangers(stack: Stack) -> Facts:
    with stack.web(TRUSTED_PROXIES="1") as shop:
        register(shop)
        device = login(shop, "192.0.2.7", OWNER["password"]).json()["refresh_token"]
        tried = [login(shop, "198.51.100.6", "wrong").status_code for _ in range(12)]
        yield Fact("tries of a stranger", tried, [401] * 10 + [429] * 2)
        yield Fact("the owner from a new network", login(shop, "192.0.2.8", OWNER["password"]).status_code, 200)
        many = Counter(login(shop, f"203.0.113.{number}", "wrong").status_code for number in range(140))
        yield Fact("tries from 140 networks that were checked", many[401], _few)
        yield Fact("the owner where they were before", login(shop, "192.0.2.7", OWNER["password"]).status_code, 200)
        bearer = {"Authorization": f"Bearer {device}"}
        with_device = login(shop, "198.51.100.6", OWNER["password"], **bearer)
        yield Fact("the owner's device in the stranger's network", with_device.status_code, 200)


def _few(count: int) -> bool:
    """at most 100, and one for each five seconds since"""
    return count <= 130


@check("J38", "Orders have limits, and an unpaid one gives its stock back")
def limits(stack: Stack) -> Facts:
    env = {"ORDERS_PER_HOUR": "3", "ORDER_PAYMENT_MINUTES": "1", "ORDER_PIECES": "50"}
    with stack.web(**env) as shop:
        product = shop.add_product("Lamp", price=100, stock=1_000)
        headers = {"Authorization": register(shop)}

        def order(quantity: int) -> Any:
            items = {"items": [{"product_id": product, "quantity": quantity}]}
            return shop.post("/orders", headers=headers, json=items)

        yield Fact("an order of too many pieces", order(51).status_code, 409)
        answers = [order(10) for _ in range(4)]
        yield Fact("four orders where three are allowed", [each.status_code for each in answers], [201, 201, 201, 429])
        yield Fact("Retry-After", "Retry-After" in answers[3].headers)
        paid = answers[0].json()["id"]
        shop.patch(f"/orders/{paid}", json={"status": "paid"})
        with stack.worker(**env):
            within(100, lambda: shop.get(f"/products/{product}").json()["stock"] == 990, pause=1.0)
        yield Fact("stock after a minute", shop.get(f"/products/{product}").json()["stock"], 990)
        mine = shop.get(f"/orders/{answers[1].json()['id']}", headers=headers).json()["history"]
        yield Fact("by whom it was cancelled", [event["by"] for event in mine], ["owner", "system"])
        told = shop.get(f"/orders/{paid}", headers=headers).json()["history"]
        yield Fact("who has paid it, as the owner sees it", [event["by"] for event in told], ["owner", "admin"])
    yield Fact("flask audit", stack.audit().returncode, 0)
