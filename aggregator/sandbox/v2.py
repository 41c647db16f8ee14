"""The second generation: one short-lived JWT at a time, UUIDs, errors in the manner of FastAPI."""

import json
import math
import secrets
from collections.abc import Callable
from typing import Any
from uuid import UUID

from aggregator.sandbox.service import STRANGER, Registration, Service
from aggregator.sandbox.tokens import make_jwt
from aggregator.sandbox.wire import Answer, Request, json_answer

ACCOUNT = "the account of the refresh token"
MISSING = ("field required", "value_error.missing")
NOT_A_DICT = ("value is not a valid dict", "type_error.dict")
NOT_TEXT = ("str type expected", "type_error.str")
NOT_A_UUID = ("value is not a valid uuid", "type_error.uuid")
NULL = ("none is not an allowed value", "type_error.none.not_allowed")

Fault = tuple[list[str | int], tuple[str, str]]


class Unprocessable(Exception):
    """The request is not what the service's schema asks for."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__()
        detail = [{"loc": where, "msg": text, "type": kind} for where, (text, kind) in faults]
        self.answer = json_answer(422, {"detail": detail})


class SecondGeneration(Service):
    """The service as it has been since 2023."""

    generation = "v2"

    def __init__(
        self,
        seed: int,
        tick: Callable[[], int],
        now: Callable[[], float],
        refresh_token: str,
        token_ttl: float,
    ) -> None:
        super().__init__(seed, tick)
        self.now = now
        self.refresh_token = refresh_token
        self.token_ttl = token_ttl
        self._secret = secrets.token_bytes(32)
        self._token = ""
        self._expires: float = 0

    def auth(self, request: Request) -> Answer:
        given = request.headers.get("bearer")
        if given is None:
            return Unprocessable((["header", "Bearer"], MISSING)).answer
        if given != self.refresh_token:
            return self.refusal(401, "Bad authentication")
        with self.lock:
            if self._token and self.now() < self._expires:
                return self.refusal(400, "Cannot generate access token because another is valid")
            self._token = self._new_token()
            return json_answer(201, {"access_token": self._token})

    def register(self, request: Request) -> Answer:
        if not self._may_enter(request):
            return self.refusal(401, "Access token missing or invalid")
        try:
            product = read_product(request)
        except Unprocessable as unprocessable:
            return unprocessable.answer
        with self.lock:
            if (ACCOUNT, product.id) in self.products or (STRANGER, product.id) in self.products:
                return self.refusal(409, "Product ID already registered")
            self.products[ACCOUNT, product.id] = product
        return json_answer(201, {"id": product.id})

    def offers(self, request: Request, product_id: str) -> Answer:
        if not self._may_enter(request):
            return self.refusal(401, "Access token missing or invalid")
        try:
            known_as = str(UUID(product_id))
        except ValueError:
            return Unprocessable((["path", "product_id"], NOT_A_UUID)).answer
        product = self.products.get((ACCOUNT, known_as))
        if product is None:
            return self.refusal(404, "Product does not exist")
        return self.offers_answer(product)

    def refusal(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
        return json_answer(status, {"detail": text}, headers)

    def forget_token(self) -> None:
        with self.lock:
            self._token = ""

    def expire_token(self) -> None:
        with self.lock:
            self._expires = 0

    def _new_token(self) -> str:
        expires = self.now() + self.token_ttl
        # Whole seconds, never fewer than promised; a time to live of part of a second is kept as it is.
        self._expires = math.ceil(expires) if float(self.token_ttl).is_integer() else expires
        # Two tokens of the same second must differ, or a forgotten one would come back to life.
        return make_jwt({"expires": self._expires, "jti": secrets.token_hex(8)}, self._secret)

    def _may_enter(self, request: Request) -> bool:
        given = request.headers.get("bearer")
        with self.lock:
            return bool(given) and given == self._token and self.now() < self._expires


def read_product(request: Request) -> Registration:
    """The product in the body of a registration; raises Unprocessable with all that is wrong with it."""
    content = _content(request)
    faults: list[Fault] = []
    for name in ("id", "name", "description"):
        if name not in content:
            faults.append((["body", name], MISSING))
        elif content[name] is None:
            faults.append((["body", name], NULL))
        elif name == "id" and not _is_uuid(content[name]):
            faults.append((["body", name], NOT_A_UUID))
        elif not isinstance(content[name], str):
            faults.append((["body", name], NOT_TEXT))
    if faults:
        raise Unprocessable(*faults)
    return Registration(str(UUID(content["id"])), content["name"], content["description"])


def _content(request: Request) -> dict[str, Any]:
    if not request.body:
        raise Unprocessable((["body"], MISSING))
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (media_type == "application/json" or media_type.endswith("+json")):
        raise Unprocessable((["body"], NOT_A_DICT))
    try:
        content = json.loads(request.body)
    except json.JSONDecodeError as error:
        raise Unprocessable((["body", error.pos], (str(error), "value_error.jsondecode"))) from error
    except (ValueError, RecursionError) as error:
        raise Unprocessable((["body"], ("body cannot be read", "value_error.jsondecode"))) from error
    if not isinstance(content, dict):
        raise Unprocessable((["body"], NOT_A_DICT))
    return content


def _is_uuid(given: object) -> bool:
    try:
        UUID(given if isinstance(given, str) else "")
    except ValueError:
        return False
    return True
