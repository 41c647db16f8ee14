"""Errors that programs can tell apart."""

import requests

from tests.evidence.checks import Fact, Facts, check
from tests.evidence.stack import Stack

MADE_UP = "7b2f0c52-5f0e-4f57-9d0c-1f6d3c1b8a11"


@check("H28", "Each error has a code, and a type that leads to a page about it")
def codes_of_errors(stack: Stack) -> Facts:
    with stack.web() as shop:
        lamp = shop.add_product("Lamp", price=500, stock=1)
        filled = shop.post("/categories", json={"name": "Lights"}).json()["id"]
        shop.add_product("Torch", category_id=filled)
        line = {"items": [{"product_id": lamp, "quantity": 1}]}
        answers = {
            "name_taken": shop.post("/products", json={"name": "Lamp", "description": ""}),
            "id_taken": shop.post("/products", json={"id": lamp, "name": "Other", "description": ""}),
            "validation_failed": shop.post("/products", json={}),
            "malformed_body": shop.post("/products", data=b"{", headers={"Content-Type": "application/json"}),
            "unsupported_media_type": shop.post("/products", data=b"{}", headers={"Content-Type": "text/x"}),
            "category_not_empty": shop.delete(f"/categories/{filled}"),
            "category_circle": shop.patch(f"/categories/{filled}", json={"parent_id": filled}),
            "reference_gone": shop.patch(f"/products/{lamp}", json={"category_id": MADE_UP}),
            "version_conflict": shop.patch(f"/products/{lamp}", json={"stock": 1}, headers={"If-Match": '"0"'}),
            "total_changed": shop.post("/orders", json=line | {"expected_total": 1}),
            "insufficient_stock": shop.post("/orders", json={"items": [{"product_id": lamp, "quantity": 9}]}),
            "not_found": shop.get(f"/products/{MADE_UP}"),
            "method_not_allowed": shop.post("/offers"),
            "invalid_cursor": shop.get("/products?cursor=x"),
            "token_invalid": shop.get("/auth/me", headers={"Authorization": "Bearer x"}),
            "not_authenticated": requests.get(f"{shop.url}/api/v1/auth/me", timeout=10),
            "last_admin": shop.patch(f"/users/{shop.get('/auth/me').json()['id']}", json={"active": False}),
        }
        for code, answer in answers.items():
            body = answer.json()
            yield Fact(f"code of a {answer.status_code}", body.get("code"), code)
            page = requests.get(requests.compat.urljoin(shop.url, body["type"]), timeout=10)
            yield Fact(f"the page of {code}", (page.status_code, page.headers["Content-Type"][:9]), (200, "text/html"))
        document = requests.get(f"{shop.url}/openapi.json", timeout=10).json()
        yield Fact("events in the document", len(document["webhooks"]), 6)
