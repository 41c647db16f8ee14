"""The sync: claim what is due, ask the offers service, write what it says; over and over until all is done.

Three things go on at once: this thread carries answers and reads them, one thread of the database claims the
next products and writes the last answers, and the offers service works on the requests that are under way.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from time import monotonic
from typing import TypeVar
from uuid import UUID, uuid4

from flask import Flask

from aggregator.clients.many import ManyRequests
from aggregator.clients.offers import AccessToken, OffersError, TokenRefused
from aggregator.clients.wire import Reply, Request, TransportError
from aggregator.clock import utcnow
from aggregator.flows import circuits
from aggregator.flows.access import TokenSource
from aggregator.flows.claims import Claim, Claims, needs_registration
from aggregator.flows.forgotten import Forgotten
from aggregator.flows.memory import LastAnswers
from aggregator.flows.outcomes import Batch, write
from aggregator.flows.verdicts import Verdicts
from aggregator.flows.waves import Runs, Work
from aggregator.models import Endpoint
from aggregator.services import feeds

WRITES_BEHIND = 3
FETCH_SECONDS = feeds.CLAIM_SECONDS - 20.0  # an answer must still find its claim
STOP_SECONDS = 5.0  # for what is under way when the worker is told to stop

T = TypeVar("T")


@dataclass(frozen=True)
class SyncSettings:
    """How to sync: every so many seconds, so many requests at once, and with what is known from before."""

    interval: float
    requests: ManyRequests
    memory: LastAnswers
    runs: Runs


class Sync:
    """One pass over all that is due, or over one product. run() it once."""

    def __init__(
        self,
        app: Flask,
        tokens: TokenSource,
        settings: SyncSettings,
        stop: Event | None = None,
        only: UUID | None = None,
        progress: Callable[[int], None] = lambda products: None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.app = app
        self.tokens = tokens
        self.settings = settings
        self.stop = stop or Event()
        self.progress = progress
        self.alive = alive
        self.done: Counter[str] = Counter()
        self.problem: str | None = None  # what ended the pass early
        # Of SQLite's writers only one can work; PostgreSQL's need not wait for each other.
        threads = 1 if app.config["SQLALCHEMY_DATABASE_URI"].get_backend_name() == "sqlite" else 2
        self.database = ThreadPoolExecutor(threads, thread_name_prefix="sync-database")
        self.claims = Claims(self._submit, tokens.service.fingerprint, only)
        self.queue: deque[Work] = deque()
        self.forgotten = Forgotten(self._submit)
        self.under_way: set[Work] = set()
        self.verdicts = Verdicts(settings.interval, settings.memory, settings.runs, tokens.service.fingerprint)
        self.writes: deque[Future[Counter[str]]] = deque()
        self.token: AccessToken | None = None
        self.refused: AccessToken | None = None  # the one that the token was got in place of
        self.answered_before = 0  # the token was taken into use
        self.closed: set[Endpoint] = set()  # calls that fail for all
        self.halted = False
        self.headers: tuple[tuple[str, str], ...] = ()
        self.request_id = f"sync-{uuid4()}"
        self.stopping_at: float | None = None

    def run(self) -> Counter[str]:
        """Work off all that is due, and count what was done."""
        try:
            for ended in self.settings.requests.exchange(self._requests()):
                if ended is not None:
                    self._take(*ended)
                elif self._out_of_time():
                    break
                if self.verdicts.batch.is_full or (ended is None and self.verdicts.batch.is_old):
                    self.alive()
                    self._write_behind()
            self._give_back_the_rest()
            while tripped := self.verdicts.tripped(at_end=True):
                self._trip(tripped)
            self.verdicts.believe_the_rest()
            self._write_behind(wait=True)
        finally:
            self.database.shutdown()
        return self.done

    def _requests(self) -> Iterator[tuple[Work, Request] | None]:
        while True:
            if self.stop.is_set():
                self._halt("stopped")
            self.queue.extendleft(self.forgotten.named(wait=not self.under_way))
            if not self.queue:
                self._claim()
            if self.forgotten.are_many:
                yield None  # see first whether the service takes them again
            elif self.queue:
                work = self.queue.popleft()
                if work.endpoint in self.closed or monotonic() - work.claimed_at > FETCH_SECONDS:
                    self.verdicts.batch.released.append(work.product)
                    continue
                self.under_way.add(work)
                yield work, self._request(work)
            elif self.under_way or self.forgotten.any or not self.claims.exhausted:
                yield None
            else:
                return

    def _claim(self) -> None:
        """Queue the next claim, if there is one by now."""
        self.alive()
        claim = self.claims.next(busy=bool(self.under_way))
        if claim is None:
            return
        self.verdicts.blamed |= claim.blamed
        self.verdicts.failing |= claim.failing
        self.verdicts.paused = claim.paused
        self.queue.extend(self._work(claim))
        if self.halted:
            self._give_back_queue()
            return
        if self.token is None or self.token.expires_soon(utcnow()):
            try:
                self._use(self.tokens.token())
            except OffersError as error:
                self._halt(error.reason)

    def _work(self, claim: Claim) -> Iterator[Work]:
        fingerprint = self.tokens.service.fingerprint
        for product in claim.products:
            register = needs_registration(product, fingerprint)
            yield Work(product, Endpoint.REGISTER if register else Endpoint.OFFERS, claim.claimed_at)

    def _use(self, token: AccessToken) -> None:
        if self.token is None or token.value != self.token.value:
            self.headers = self.tokens.service.headers(token.value, self.request_id)
            self.refused = None
        self.answered_before = self.verdicts.answered
        self.token = token

    def _request(self, work: Work) -> Request:
        service, product = self.tokens.service, work.product
        work.headers = self.headers
        if work.endpoint is Endpoint.REGISTER:
            return service.register_request(self.headers, product.product_id, product.name, product.description)
        return service.offers_request(self.headers, product.product_id)

    def _take(self, work: Work, reply: Reply | TransportError) -> None:
        """Judge an answer, and see to what concerns more than its product."""
        self.under_way.discard(work)
        try:
            again = self.verdicts.judge(work, reply)
        except TokenRefused as error:
            self._token_refused(work, error)
        else:
            if again and again.forgotten:
                self.forgotten.add(again)
            elif again:
                self.queue.append(again)
        if self.verdicts.alarmed:
            self.verdicts.alarmed = False
            if tripped := self.verdicts.tripped():
                self._trip(tripped)
        for endpoints, note in (
            (self.verdicts.recovered, circuits.close_circuits),
            (self.verdicts.believed, circuits.believe),
        ):
            if endpoints:
                self.writes.append(self._submit(_noted, note, endpoints.copy()))
                endpoints.clear()

    def _trip(self, tripped: tuple[Endpoint, str, float | None]) -> None:
        """Keep everybody from a call that fails for all; the other call goes on."""
        endpoint, self.problem, _ = tripped
        self.closed.add(endpoint)
        self.writes.append(self._submit(_noted, circuits.open_circuit, *tripped))

    def _token_refused(self, work: Work, error: TokenRefused) -> None:
        assert self.token is not None
        if self.halted:
            self.verdicts.batch.released.append(work.product)
            return
        works = self.verdicts.answered > self.answered_before
        confirmed = self.refused is not None and self.token.confirms(self.refused)
        if confirmed or (work.retried and works):
            self.verdicts.refuse(work, error)  # the token is good: it is the product that is refused
            return
        is_permanent = self.token.expires_at is None
        if is_permanent and not work.retried:
            work.retried = True
            self.queue.append(work)  # there is no other token: see what the others are answered first
            return
        self.queue.appendleft(work)
        try:
            if work.retried and work.headers is self.headers and not is_permanent:
                self.tokens.refused_again(self.token, self.refused or self.token)
                raise error
            work.retried = True
            if work.headers is self.headers:
                refused = self.token
                self._use(self.tokens.replacement(refused))
                # Other headers even for the same token: what is under way with the old ones asks for none again.
                self.headers = self.tokens.service.headers(self.token.value, self.request_id)
                self.refused = refused
        except OffersError as problem:
            self._halt(problem.reason)

    def _halt(self, problem: str) -> None:
        """Take on nothing more, and finish what is under way."""
        if not self.halted:
            self.halted, self.problem = True, problem
        self.claims.stop()
        self._give_back_queue()

    def _give_back_queue(self) -> None:
        self.queue.extend(self.forgotten.take())
        self.verdicts.batch.released += [work.product for work in self.queue]
        self.queue.clear()

    def _out_of_time(self) -> bool:
        """Whether the pass was told to stop, and what was under way has had its time."""
        if self.stop.is_set() and self.stopping_at is None:
            self.stopping_at = monotonic()
        return self.stopping_at is not None and monotonic() - self.stopping_at > STOP_SECONDS

    def _give_back_the_rest(self) -> None:
        """Release what was claimed and never answered, so that others need not wait for the claim to end."""
        self._give_back_queue()
        self.verdicts.batch.released += [work.product for work in self.under_way]
        self.claims.stop()
        while claim := self.claims.next(busy=False):
            self.verdicts.batch.released += claim.products

    def _write_behind(self, wait: bool = False) -> None:
        """Have the database's thread write the batch; wait for it where it lags too far behind."""
        if self.verdicts.batch.products:
            batch, self.verdicts.batch = self.verdicts.batch, Batch()
            self.writes.append(self._submit(write, batch, self.tokens.service.fingerprint))
        while self.writes and (wait or len(self.writes) > WRITES_BEHIND or self.writes[0].done()):
            done = self.writes.popleft().result()
            self.done += done
            self.progress(done["synced"] + done["failed"] + done["registered"])

    def _submit(self, work: Callable[..., T], *args: object) -> Future[T]:
        return self.database.submit(self._in_app, work, *args)

    def _in_app(self, work: Callable[..., T], *args: object) -> T:
        with self.app.app_context():
            return work(*args)


def _noted(note: Callable[..., None], *what: object) -> Counter[str]:
    """Note what concerns everybody; no product is done by it."""
    note(*what)
    return Counter()
