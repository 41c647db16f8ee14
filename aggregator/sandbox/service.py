"""What both generations of the service share: the three calls, the registered products, the offers."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from urllib.parse import unquote

from aggregator.sandbox.list_prices import list_price
from aggregator.sandbox.market import CALM, Habits, Row, offers_at
from aggregator.sandbox.wire import Answer, Request, json_answer

PREFIX = "/api/v1"
# Nobody can sign in as this account: its products are known to the service but not to any client.
STRANGER = "somebody else"


@dataclass(frozen=True, slots=True)
class Route:
    """Which of the three calls a request is; without an endpoint it is none of them."""

    endpoint: str = ""
    product_id: str | None = None
    allowed: str = ""  # The method that would have been right.


@dataclass(frozen=True, slots=True)
class Registration:
    """A product the service has been told about."""

    id: str
    name: str
    description: str


def route_of(request: Request) -> Route:
    """The call that the method and the path of a request name."""
    parts = request.path.removeprefix(PREFIX).split("/")
    if not request.path.startswith(f"{PREFIX}/"):
        return Route()
    if parts == ["", "auth"]:
        found = Route("auth", allowed="POST")
    elif parts == ["", "products", "register"]:
        found = Route("register", product_id_in(request.body), "POST")
    elif len(parts) == 4 and parts[1] == "products" and parts[2] and parts[3] == "offers":
        found = Route("offers", unquote(parts[2]), "GET")
    else:
        return Route()
    return found if request.method == found.allowed else Route(allowed=found.allowed)


def product_id_in(body: bytes) -> str | None:
    """The id in the JSON of a registration, as it was written; None when there is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    given = content.get("id") if isinstance(content, dict) else None
    return None if given is None else str(given)


class Service(ABC):
    """One generation of the service; what it knows lives in memory and dies with it."""

    generation: str

    def __init__(self, seed: int, tick: Callable[[], int]) -> None:
        self.seed = seed
        self.tick = tick
        self.habits: Habits = CALM
        self.lock = Lock()
        self.products: dict[tuple[str, str], Registration] = {}  # By account and id.

    def answer(self, route: Route, request: Request) -> Answer:
        """What the service says to a request when nothing goes wrong."""
        if route.endpoint == "auth":
            return self.auth(request)
        if route.endpoint == "register":
            return self.register(request)
        if route.endpoint == "offers":
            return self.offers(request, route.product_id or "")
        if route.allowed:
            return self.refusal(405, "Method Not Allowed", (("Allow", route.allowed),))
        return self.refusal(404, "Not Found")

    def offers_of(self, product_id: str) -> list[Row]:
        """The offers of a product at this moment, whether it is registered or not."""
        return self._offers(self.registered().get(product_id) or Registration(product_id, "", ""))

    def offers_answer(self, product: Registration) -> Answer:
        return json_answer(200, self._offers(product))

    def _offers(self, product: Registration) -> list[Row]:
        base = list_price(product.name, product.description)
        return offers_at(self.seed, product.id, self.tick(), self.generation, base, self.habits)

    def forget_product(self, product_id: str) -> None:
        """Know nothing of the product any more, whoever registered it."""
        with self.lock:
            self.products = {key: known for key, known in self.products.items() if key[1] != product_id}

    def add_foreign_product(self, product_id: str) -> None:
        """Let somebody else have registered the product."""
        with self.lock:
            self.products[STRANGER, product_id] = Registration(product_id, "Foreign", "")

    def registered(self) -> dict[str, Registration]:
        """The products that clients of this sandbox have registered, by id."""
        with self.lock:
            return {key[1]: known for key, known in self.products.items() if key[0] != STRANGER}

    @abstractmethod
    def auth(self, request: Request) -> Answer: ...

    @abstractmethod
    def register(self, request: Request) -> Answer: ...

    @abstractmethod
    def offers(self, request: Request, product_id: str) -> Answer: ...

    @abstractmethod
    def refusal(self, status: int, text: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
        """An error in the form of the generation."""

    @abstractmethod
    def forget_token(self) -> None:
        """Accept none of the access tokens given out so far."""

    @abstractmethod
    def expire_token(self) -> None:
        """Let the time of the access token be over, where it has one."""
