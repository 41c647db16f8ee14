"""Answers that depend on more than they say."""

from tests.evidence.checks import Fact, Facts, check
from tests.evidence.stack import Stack


@check("E16", "A tag covers the category that a product shows")
def renamed_category(stack: Stack) -> Facts:
    with stack.web() as shop:
        category = shop.post("/categories", json={"name": "Kettles"}).json()["id"]
        product = shop.add_product("Kettle", category_id=category)
        tag = shop.get(f"/products/{product}").headers["ETag"]
        shop.patch(f"/categories/{category}", json={"name": "Boilers"})
        again = shop.get(f"/products/{product}", headers={"If-None-Match": tag})
    yield Fact("status with the tag of the former name", again.status_code, 200)
    yield Fact("name shown", again.status_code == 200 and again.json()["category"]["name"], "Boilers")
