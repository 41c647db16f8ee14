"""What the offers service answers when it is in trouble, and what is made of it."""

import json
import time

from aggregator.sandbox.wire import Answer
from tests.evidence.checks import Fact, Facts, check, within
from tests.evidence.stack import Shop, Stack

OFFER = "d6ecc882-20a3-d000-3a28-00000000000a"


def _all(shop: Shop, registration: str) -> int:
    return len(shop.get("/products", params={"registration": registration, "page_size": 100}).json())


def _in_step(stack: Stack, shop: Shop) -> int:
    """How many products show the lowest price that the service asks now."""
    shown = shop.get("/products", params={"page_size": 100}).json()
    return sum(
        product["offers_up_to_date"] and product["lowest_price"] == min(row["price"] for row in rows)
        for product in shown
        if (rows := stack.sandbox.offers_of(product["id"]))
    )


@check("A1", "A service that denies all products for a while costs none of them its registration")
def denied(stack: Stack) -> Facts:
    lines = "".join(json.dumps({"name": f"Imported {number}"}) + "\n" for number in range(20))
    stack.flask("products", "import", stack.write("products.jsonl", lines))
    stack.flask("products", "add-samples", "10")
    with stack.web() as shop, stack.worker():
        yield Fact("products in step before", within(30, lambda: _in_step(stack, shop) == 30), True)
        stack.sandbox.faults = ["404@offers", "409@register"]
        stack.sandbox.advance()
        time.sleep(8)
        yield Fact("products refused meanwhile", _all(shop, "refused"), 0)
        problems = within(6, lambda: [word for word in shop.status()["problems"] if "offers" in word])
        yield Fact("problems named meanwhile", bool(problems), True)
        stack.sandbox.faults = []
        yield Fact("products in step within two minutes", within(120, lambda: _in_step(stack, shop) == 30), True)
        yield Fact("problems afterwards", within(20, lambda: not shop.status()["problems"]), True)


@check("B4", "A price that cannot be read changes nothing, and everybody is told of it")
def rejected(stack: Stack) -> Facts:
    def listed(price: str) -> None:
        rows = f'[{{"id":"{OFFER}","price":{price},"items_in_stock":5}}]'.encode()
        stack.sandbox._service.offers_answer = lambda product_id: Answer(200, rows)  # type: ignore[method-assign]

    listed("1000")
    with stack.web() as shop:
        product = shop.add_product("Kettle")
        stack.flask("offers", "sync")
        before = shop.get(f"/products/{product}").json()["offers"][0]
        listed('"2100"')
        runs = [stack.flask("offers", "sync", "--product", product) for _ in range(2)]
        time.sleep(5.5)  # what /status says is kept for five seconds
        yield Fact("the offer meanwhile", shop.get(f"/products/{product}").json()["offers"], [before])
        yield Fact("exit codes of the command", [run.returncode for run in runs], [1, 1])
        yield Fact("rows it says were rejected", ["rejected rows: 1" in run.stdout for run in runs], [True, True])
        yield Fact("rows in /status", shop.status()["rejected_rows"], 1)
        listed("2100.0")
        stack.flask("offers", "sync", "--product", product)
        time.sleep(5.5)
        yield Fact("price that is whole", shop.get(f"/products/{product}").json()["lowest_price"], 2100)
        yield Fact("rows in /status afterwards", shop.status()["rejected_rows"], 0)


@check("B5", "A command that could not do its work says so by its exit code, and the log in one line")
def exit_codes(stack: Stack) -> Facts:
    with stack.web() as shop:
        for number in range(3):
            shop.add_product(f"Lamp {number}")
        stack.sandbox.faults = ["401@auth"]
        stack.sandbox.expire_token()
        time.sleep(1.1)
        stack.sandbox.faults = ["503@offers"]
        runs = [stack.flask(*command) for command in (("offers", "sync"), ("jobs", "run", "sync-offers"))]
    yield Fact("exit codes with the service down", [run.returncode for run in runs], [1, 1])
    errors = [line for run in runs for line in run.stderr.splitlines() if '"level":"error"' in line]
    yield Fact("lines at level error", len(errors), 1)


@check("D15", "An informational answer is not the final one")
def early_hints(stack: Stack) -> Facts:
    stack.sandbox.faults = ["informational=103", "informational=100,103@auth"]
    with stack.web() as shop:
        answer = shop.post("/products", json={"name": "Lamp", "description": ""}).json()
        done = stack.flask("offers", "sync")
    yield Fact("registration by the web", answer["registration"]["status"], "registered")
    yield Fact("what the worker's client did", "synced: 1" in done.stdout, True)
