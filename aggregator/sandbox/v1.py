"""The first generation: one permanent UUID token per account, whole-number ids, errors with a code."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from aggregator.sandbox.service import Registration, Service
from aggregator.sandbox.tokens import is_permanent_token, make_permanent_token
from aggregator.sandbox.wire import PHRASES, Answer, Request, json_answer


class FirstGeneration(Service):
    """The service as it was from 2019 to 2022; every token is an account with products of its own."""

    generation = "v1"

    def __init__(self, seed: int, tick: Callable[[], int]) -> None:
        super().__init__(seed, tick)
        self._forgotten = 0

    @property
    def _key(self) -> str:
        # A permanent token outlives the process that gave it out, so it is recognised, not remembered.
        return f"accounts {self.seed} {self._forgotten}"

    def auth(self, request: Request) -> Answer:
        return json_answer(201, {"access_token": make_permanent_token(self._key)})

    def register(self, request: Request) -> Answer:
        account = self._account(request)
        if account is None:
            return self.refusal(401, "Access token missing or invalid")
        product = read_product(request)
        if product is None:
            return self.refusal(400, "id, name and description are required")
        with self.lock:
            self.products[account, product.id] = product
        return json_answer(201, {"id": product.id})

    def offers(self, request: Request, product_id: str) -> Answer:
        account = self._account(request)
        if account is None:
            return self.refusal(401, "Access token missing or invalid")
        product = self.products.get((account, product_id))
        if product is None:
            return self.refusal(404, "Product does not exist")
        return self.offers_answer(product)

    def refusal(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
        code = PHRASES[status].upper().replace(" ", "_")
        return json_answer(status, {"code": code, "msg": text}, headers)

    def forget_token(self) -> None:
        with self.lock:
            self._forgotten += 1

    def expire_token(self) -> None:
        """Nothing happens: these tokens are good for ever."""

    def _account(self, request: Request) -> str | None:
        token = request.headers.get("bearer", "")
        return token if is_permanent_token(token, self._key) else None


def read_product(request: Request) -> Registration | None:
    """The product in the body of a registration, JSON or form; None when something is missing."""
    content = _content(request)
    product_id, name, description = (content.get(key) for key in ("id", "name", "description"))
    if isinstance(product_id, int) and not isinstance(product_id, bool):
        product_id = str(product_id)
    if not (isinstance(product_id, str) and product_id and isinstance(name, str) and isinstance(description, str)):
        return None
    return Registration(product_id, name, description)


def _content(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        content = json.loads(request.body)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
