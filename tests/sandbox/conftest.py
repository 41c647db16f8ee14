"""A sandbox on a free port, and a client that speaks to it as the contract says."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import pytest
import requests

from aggregator.sandbox import Sandbox


@dataclass
class Client:
    """The three calls of the service; `token` goes along as the header named Bearer."""

    sandbox: Sandbox
    session: requests.Session
    token: str = ""

    def auth(self, **headers: str) -> requests.Response:
        return self.session.post(f"{self.sandbox.url}/api/v1/auth", headers=headers, timeout=5)

    def sign_in(self) -> "Client":
        self.token = self.auth(Bearer=self.sandbox.refresh_token).json()["access_token"]
        return self

    def register(self, product_id: object = None, **changes: object) -> requests.Response:
        product = {"id": str(product_id or uuid4()), "name": "Lamp", "description": "", **changes}
        return self.post({name: value for name, value in product.items() if value != "left out"})

    def post(self, product: object) -> requests.Response:
        url = f"{self.sandbox.url}/api/v1/products/register"
        return self.session.post(url, json=product, headers=self.headers, timeout=5)

    def offers(self, product_id: object) -> requests.Response:
        url = f"{self.sandbox.url}/api/v1/products/{product_id}/offers"
        return self.session.get(url, headers=self.headers, timeout=5, allow_redirects=False)

    @property
    def headers(self) -> dict[str, str]:
        return {"Bearer": self.token} if self.token else {}


class Clock:
    """A clock that stands until told otherwise."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def start(clock: Clock) -> Iterator[object]:
    """Starts sandboxes; returns a client signed in to each."""
    started: list[Client] = []

    def start(**options: object) -> Client:
        sandbox = Sandbox(**{"clock": clock, **options})
        sandbox.start()
        started.append(Client(sandbox, requests.Session()))
        return started[-1]

    yield start
    for client in started:
        client.session.close()
        client.sandbox.stop()


@pytest.fixture
def client(start) -> Client:
    """A client of a second-generation sandbox without faults, signed in."""
    return start().sign_in()


@pytest.fixture
def product_id(client) -> str:
    """A product that is registered there."""
    return client.register().json()["id"]
