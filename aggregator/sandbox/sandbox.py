"""The sandbox: the service, its faults and its server as one object."""

import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aggregator.sandbox.damage import answer_ahead, spoil
from aggregator.sandbox.faults import Fault, Plan
from aggregator.sandbox.market import CALM, LIVELY, Row
from aggregator.sandbox.server import Reply, Server
from aggregator.sandbox.service import Registration, Route, Service, route_of
from aggregator.sandbox.v1 import FirstGeneration
from aggregator.sandbox.v2 import SecondGeneration
from aggregator.sandbox.wire import Answer, Request

DEFAULT_REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105 - It opens nothing but this sandbox.
GENERATIONS = ("v1", "v2")
# What the client hears nothing of has no status.
SILENT = ("timeout", "reset")


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the sandbox saw it; status 0 means that no answer was sent."""

    method: str
    path: str
    status: int
    product_id: str | None
    request_id: str | None
    at: float
    fault: str | None = None


def _refuse_nonsense(generation: str, port: int, tick: float, latency_ms: float, token_ttl: float) -> None:
    if generation not in GENERATIONS:
        raise ValueError(f"There is no generation {generation!r}: choose {' or '.join(GENERATIONS)}.")
    if not 0 <= port <= 65535:
        raise ValueError("A port is a number from 0 to 65535.")
    if tick <= 0:
        raise ValueError("A tick must be longer than 0 seconds.")
    if latency_ms < 0 or token_ttl < 0:
        raise ValueError("Neither the latency nor a token's time to live can be negative.")


class Sandbox:
    """An offers service of one's own, running between `start` and `stop` or inside a `with` block."""

    def __init__(
        self,
        generation: str = "v2",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        seed: int = 0,
        tick: float = 60,
        latency_ms: float = 0,
        faults: Iterable[str] = (),
        refresh_token: str = DEFAULT_REFRESH_TOKEN,
        token_ttl: float = 300,
        clock: Callable[[], float] = time.time,
        lively: bool = False,
        verbose: bool = False,
        record: bool = True,
    ) -> None:
        """Raises ValueError for options that make no sense; nothing listens before `start`."""
        _refuse_nonsense(generation, port, tick, latency_ms, token_ttl)
        self.generation = generation
        self.seed = seed
        self.tick = tick
        self.latency_ms = latency_ms
        self.refresh_token = refresh_token
        self.token_ttl = token_ttl
        self.lively = lively
        self.calls: list[Call] = []
        self._clock, self._verbose, self._record = clock, verbose, record
        self._ahead = 0  # Ticks by which the market is ahead of the clock.
        self._service = self._new_service()
        self.faults = faults
        self._server = Server(host, port, self._respond)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens, without /api/v1."""
        return f"http://{self._server.host}:{self._server.port}"

    @property
    def faults(self) -> tuple[str, ...]:
        """The faults in force, as they were written; assign others at any time."""
        return tuple(fault.spec for fault in self._plan.faults)

    @faults.setter
    def faults(self, specs: Iterable[str]) -> None:
        self._plan = Plan(self.seed, [specs] if isinstance(specs, str) else specs)

    @property
    def registered(self) -> dict[str, Registration]:
        """The products it knows at this moment, by id."""
        return self._service.registered()

    def start(self) -> None:
        """Listen, after a stop on the same port as before; raises OSError when that is not possible."""
        self._server.start()

    def stop(self) -> None:
        """Refuse connections and end those there are; what it knows is kept."""
        self._server.stop()

    def restart(self, *, forget: bool = False) -> None:
        """Stop and start again; `forget` as a new process would: the products and the v2 token."""
        self.stop()
        if forget:
            self._service = self._new_service()
        self.start()

    def offers_of(self, product_id: str) -> list[Row]:
        """What it would answer now for this product when nothing goes wrong."""
        return self._service.offers_of(str(product_id))

    def tick_number(self) -> int:
        """The number of the present tick of the market."""
        return int(self._clock() // self.tick) + self._ahead

    def advance(self, ticks: int = 1) -> None:
        """Let the market be so many ticks further at once; tokens do not age by it."""
        self._ahead += ticks

    def forget_token(self) -> None:
        """Refuse every access token given out so far, v1's permanent ones too."""
        self._service.forget_token()

    def expire_token(self) -> None:
        """Let the access token's time be over; v1's never is."""
        self._service.expire_token()

    def forget_product(self, product_id: str) -> None:
        """Answer 404 for this product until it is registered again."""
        self._service.forget_product(str(product_id))

    def add_foreign_product(self, product_id: str) -> None:
        """Let somebody else own this id: in v2 registering it is a 409 and its offers are a 404."""
        self._service.add_foreign_product(str(product_id))

    def _new_service(self) -> Service:
        service: Service = (
            FirstGeneration(self.seed, self.tick_number)
            if self.generation == "v1"
            else SecondGeneration(self.seed, self.tick_number, self._clock, self.refresh_token, self.token_ttl)
        )
        service.habits = LIVELY if self.lively else CALM
        return service

    def _respond(self, request: Request) -> Reply:
        started = time.monotonic()
        if self.latency_ms:
            time.sleep(self.latency_ms / 1000)
        route = route_of(request)
        fault = self._plan.fault_for(route)
        answer = self._answer(route, request, fault)
        # Noted before the answer leaves, so that who has the answer finds the call in the list.
        self._note(request, route, answer, fault, started)
        return Reply(answer, fault if fault is not None and fault.stage == "wire" else None)

    def _answer(self, route: Route, request: Request, fault: Fault | None) -> Answer:
        if fault is not None and fault.stage == "ahead":
            return answer_ahead(fault, self._service)
        answer = self._service.answer(route, request)
        if fault is not None and fault.stage == "body":
            return spoil(fault, route, answer, self._service)
        return answer

    def _note(self, request: Request, route: Route, answer: Answer, fault: Fault | None, started: float) -> None:
        spec = fault.spec if fault is not None else None
        status = 0 if fault is not None and fault.kind in SILENT else answer.status
        if self._record:
            request_id = request.headers.get("x-request-id")
            call = Call(request.method, request.path, status, route.product_id, request_id, self._clock(), spec)
            self.calls.append(call)
        if self._verbose:
            took = 1000 * (time.monotonic() - started)
            line = f"{request.method} {request.path} {status} {took:.1f} ms {spec or ''}".rstrip()
            print(line, file=sys.stderr, flush=True)
