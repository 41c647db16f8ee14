"""What an answer of the offers service means for the product it is about, and for all others."""

from dataclasses import dataclass
from hashlib import blake2b
from time import monotonic

import structlog

from aggregator.clients import offers as contract
from aggregator.clients.offers import OffersError, ProductRefused, ProductTaken, ProductUnknown, ServiceDown
from aggregator.clients.wire import Reply, TransportError
from aggregator.flows.memory import LastAnswers
from aggregator.flows.outcomes import Batch
from aggregator.models import Endpoint
from aggregator.services.access import jittered
from aggregator.services.feeds import Claimed, registration_pause, sync_pause
from aggregator.services.sync import Answer

# So many products that were well before fail one after the other: it is the service, not the products.
TRIP_AFTER = 10
FEW = 3  # are enough where nothing else was answered in a whole pass
TAKEN = "at the offers service this id belongs to another product"
LOGGED_FAILURES = 20  # of one pass; the rest is in the database

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class Work:
    """A product and what the service is asked about it."""

    product: Claimed
    endpoint: Endpoint
    claimed_at: float
    headers: tuple[tuple[str, str], ...] = ()
    retried: bool = False  # after its token was refused
    checking: bool = False  # whether the id that a client chose is ours


class Verdicts:
    """Judges answers into a batch to be written, and watches for a service that is down altogether."""

    def __init__(self, interval: float, memory: LastAnswers) -> None:
        self.interval = interval
        self.memory = memory
        self.batch = Batch()
        self.answered = 0
        self.blamed: set[Endpoint] = set()  # calls that have failures to their name
        self.failing: set[Endpoint] = set()  # and those that failed for all when last tried
        self.recovered: set[Endpoint] = set()
        self.in_a_row: dict[Endpoint, int] = {Endpoint.REGISTER: 0, Endpoint.OFFERS: 0}
        self.last_failure = ServiceDown("")
        self.alarmed = False  # something failed that may concern more than its product
        self.told: set[Endpoint] = set()
        self.logged = 0

    def judge(self, work: Work, reply: Reply | TransportError) -> Work | None:
        """Add what the reply means to the batch; give the work back where the service has to be asked again.

        Lets TokenRefused through: that concerns everybody.
        """
        if work.endpoint is Endpoint.REGISTER:
            return self._judge_registration(work, reply)
        if work.checking:
            self._judge_ownership(work, reply)
        else:
            self._judge_offers(work, reply)
        return None

    def tripped(self, at_end: bool = False) -> tuple[Endpoint, str, float | None] | None:
        """The call that nobody should make for a while, if there is one; why, and for how many seconds.

        It is told once. At the end of a pass a few failures are enough, where there was nothing else.
        """
        for endpoint, failures in self.in_a_row.items():
            many = failures >= TRIP_AFTER or (failures and endpoint in self.failing)
            if endpoint not in self.told and (many or (at_end and failures >= FEW and not self.answered)):
                self.told.add(endpoint)
                return endpoint, self.last_failure.reason, self.last_failure.retry_after if many else None
        return None

    def fail(self, work: Work, error: OffersError) -> None:
        """Note that nothing could be learnt of the product this time."""
        product = work.product
        if work.endpoint is Endpoint.REGISTER or work.checking:
            self._not_registered(product, error)
            return
        pause = max(sync_pause(product.failures + 1, self.interval), error.retry_after or 0.0)
        self.batch.failed.append((product, error.reason, jittered(pause)))
        self._log("offers not synced", product, error)

    def _judge_offers(self, work: Work, reply: Reply | TransportError) -> None:
        product = work.product
        try:
            reply = contract.check_offers(reply)
            answer = self._answer(work, reply)
        except ProductUnknown as error:
            self._answered(work.endpoint)
            self._forgotten(product, error)
        except ServiceDown as error:
            self._failed(work, error)
            self.fail(work, error)
        else:
            self._answered(work.endpoint)
            self.batch.answers.append(answer)
            if answer.offers is not None:
                self.batch.offers += len(answer.offers.rows)
                if answer.offers.rejected:
                    self._log("offers rejected", product, answer.offers.rejected)

    def _answer(self, work: Work, reply: Reply) -> Answer:
        """What the reply says, no more of it read than has changed. Raises ServiceDown if it makes no sense."""
        product, body = work.product, reply.body
        due_in = max(self.interval - (monotonic() - work.claimed_at), 0.0)
        digest = int.from_bytes(blake2b(body, digest_size=8).digest(), "big", signed=True)
        if digest == product.digest:
            return Answer(product, digest, due_in, None)
        offers = self.memory.changes(product, body) or contract.offers_in(reply)
        self.memory.keep(product, digest, body, offers)
        return Answer(product, digest, due_in, offers)

    def _judge_registration(self, work: Work, reply: Reply | TransportError) -> Work | None:
        product = work.product
        try:
            contract.read_registration(reply)
        except ProductTaken:
            self._answered(work.endpoint)
            if not product.id_is_ours:
                return Work(product, Endpoint.OFFERS, work.claimed_at, checking=True)
            self.batch.registered.append(product)  # an earlier try got through and its answer was lost
        except ProductRefused as error:
            self._answered(work.endpoint)
            self.batch.refused.append((product, error.reason))
        except ServiceDown as error:
            self._failed(work, error)
            self._not_registered(product, error)
        else:
            self._answered(work.endpoint)
            self.batch.registered.append(product)
        return None

    def _judge_ownership(self, work: Work, reply: Reply | TransportError) -> None:
        try:
            contract.check_offers(reply)
        except ProductUnknown:
            self.batch.refused.append((work.product, TAKEN))
        except ServiceDown as error:
            self._not_registered(work.product, error)
        else:
            self.batch.registered.append(work.product)

    def _forgotten(self, product: Claimed, error: ProductUnknown) -> None:
        """Have a product registered again: at once, unless that has just been tried in vain."""
        pause = jittered(registration_pause(product.attempts)) if product.attempts else 0.0
        self.batch.not_registered.append((product, error.reason, pause))
        self._log("product forgotten by the service", product, error)

    def _not_registered(self, product: Claimed, error: OffersError) -> None:
        pause = max(registration_pause(product.attempts + 1), error.retry_after or 0.0)
        self.batch.not_registered.append((product, error.reason, jittered(pause)))
        self._log("product not registered", product, error)

    def _answered(self, endpoint: Endpoint) -> None:
        self.answered += 1
        self.in_a_row[endpoint] = 0
        if self.blamed:
            self.recovered |= self.blamed & {endpoint, Endpoint.AUTH}
            self.blamed -= self.recovered
            self.failing -= self.recovered

    def _failed(self, work: Work, error: ServiceDown) -> None:
        # A product that has been failing by itself says nothing about the others.
        product = work.product
        tries = product.failures if work.endpoint is Endpoint.OFFERS else product.attempts // 2
        if not tries or work.endpoint in self.failing:
            self.in_a_row[work.endpoint] += 1
            self.alarmed = True
            self.last_failure = error

    def _log(self, event: str, product: Claimed, reason: object) -> None:
        self.logged += 1
        if self.logged <= LOGGED_FAILURES:
            log.warning(event, product_id=product.product_id, reason=str(reason))
