"""What an answer of the offers service means for the product it is about, and for all others."""

from collections.abc import Callable
from hashlib import blake2b
from time import monotonic

import structlog

from aggregator.clients import offers as contract
from aggregator.clients.offers import OffersError, ProductRefused, ProductTaken, ProductUnknown, ServiceDown
from aggregator.clients.wire import Reply, TransportError
from aggregator.flows.memory import LastAnswers
from aggregator.flows.outcomes import Batch, Rejected
from aggregator.flows.waves import FEW, Runs, Suspect, Suspects, Work
from aggregator.models import Endpoint, Registration
from aggregator.services.access import Blame, jittered
from aggregator.services.feeds import Claimed, refusal_pause, registration_pause, sync_pause
from aggregator.services.sync import Answer

# So many products that were well before fail one after the other: it is the service, not the products.
TRIP_AFTER = 10
BELIEVED_AFTER = 4  # pauses, some 75 seconds: refusals that go on for longer are what the service means
BELIEVED_TRIES = 3  # of one product
TAKEN = "at the offers service this id belongs to another product"
EMPTY = "empty lists of offers"
CONTRADICTS = "it has the product registered, and does not know its offers"
LOGGED_FAILURES = 20  # of one pass; the rest is in the database
# Another reading of the same bytes is news: a new one here has each product's answer read once more.
READING = b"2"

log = structlog.get_logger(__name__)


class Verdicts:
    """Judges answers into a batch to be written, and watches for a service that is down altogether."""

    def __init__(self, interval: float, memory: LastAnswers, runs: Runs, fingerprint: str) -> None:
        self.interval = interval
        self.memory = memory
        self.runs = runs
        self.fingerprint = fingerprint
        self.batch = Batch()
        self.rejected = Rejected()
        self.answered = 0  # whatever the answers said: the token is good
        self.well = 0  # answers that were as they should be
        self.blamed: dict[Endpoint, Blame] = {}  # calls that have failures to their name
        self.failing: set[Endpoint] = set()  # and those that failed for all when last tried
        self.paused: set[Endpoint] = set()  # and those that nobody makes now
        self.recovered: set[Endpoint] = set()
        self.believed: set[Endpoint] = set()  # calls whose bad news has lasted, and is taken for what it says
        self.in_a_row: dict[Endpoint, int] = {Endpoint.REGISTER: 0, Endpoint.OFFERS: 0}
        self.suspects = {Endpoint.REGISTER: Suspects(), Endpoint.OFFERS: Suspects()}
        self.last_failure: OffersError = ServiceDown("")
        self.alarmed = False  # something failed that may concern more than its product
        self.told: set[Endpoint] = set()
        self.logged = 0

    def judge(self, work: Work, reply: Reply | TransportError) -> Work | None:
        """Add what the reply means to the batch; give the work back where the service has to be asked again.

        Lets TokenRefused through: that concerns everybody.
        """
        if work.checking:
            self._judge_ownership(work, reply)
            return None
        return (self._judge_registration if work.endpoint is Endpoint.REGISTER else self._judge_offers)(work, reply)

    def tripped(self, at_end: bool = False) -> tuple[Endpoint, str, float | None] | None:
        """The call that nobody should make for a while, if there is one; why, and for how many seconds.

        It is told once. At the end of a pass a few failures are enough, where there was nothing else.
        """
        for endpoint, failures in self.in_a_row.items():
            if endpoint in self.told:
                continue
            many = failures >= TRIP_AFTER or (failures and endpoint in self.failing)
            if many or (at_end and failures >= FEW and not self.well):
                self._give_up(endpoint)
                return endpoint, self.last_failure.reason, self.last_failure.retry_after if many else None
            suspects = self.suspects[endpoint]
            wave = suspects.are_a_wave or (suspects.held and endpoint in self.failing)
            if wave or (at_end and suspects.are_most(self.runs.length(endpoint))):
                reason = suspects.held[-1].error.reason
                self._give_up(endpoint)
                return endpoint, f"{reason}, of many products at once", None
        return None

    def believe_the_rest(self) -> None:
        """Take what was held back for what it says: the pass is over, and it was no wave."""
        for suspects in self.suspects.values():
            for suspect in suspects.take():
                suspect.believe()

    def refuse(self, work: Work, error: OffersError) -> None:
        """Note that the service refuses our good token for this product, and may do so for all."""
        self._failed(work, error)
        self.fail(work, error)

    def fail(self, work: Work, error: OffersError) -> None:
        """Note that nothing could be learnt of the product this time."""
        product = work.product
        if not work.is_settled:
            self._not_registered(product, error)
            return
        pause = max(sync_pause(product.failures + 1, self.interval), error.retry_after or 0.0)
        self.batch.failed.append((product, error.reason, jittered(pause)))
        self._log("offers not synced", product, error)

    def _judge_offers(self, work: Work, reply: Reply | TransportError) -> Work | None:
        product = work.product
        try:
            reply = contract.check_offers(reply)
            answer = self._answer(work, reply)
        except ProductUnknown as error:
            return self._unknown(work, error)
        except ServiceDown as error:
            self._failed(work, error)
            self.fail(work, error)
            return None
        if answer.offers is None or answer.offers.rows or answer.offers.rejected:
            self._answered_well(work.endpoint)
            self._take_over(answer)
        elif product.offer_count:
            self._suspect(work, ServiceDown(EMPTY), lambda: self._take_over(answer))
        else:
            self._nothing_there(work.endpoint)
            self._take_over(answer)
        return None

    def _nothing_there(self, endpoint: Endpoint) -> None:
        """That a product without offers still has none is a good answer, unless empty lists are the trouble."""
        blame = self.blamed.get(endpoint)
        if self.suspects[endpoint].held or (blame and blame.reason.startswith(EMPTY)):
            self.answered += 1
        else:
            self._answered_well(endpoint)

    def _answer(self, work: Work, reply: Reply) -> Answer:
        """What the reply says, no more of it read than has changed. Raises ServiceDown if it makes no sense."""
        product, body = work.product, reply.body
        due_in = max(self.interval - (monotonic() - work.claimed_at), 0.0)
        digest = int.from_bytes(blake2b(body, digest_size=8, person=READING).digest(), "big", signed=True)
        if digest == product.digest:
            return Answer(product, digest, due_in, None)
        offers = self.memory.changes(product, body) or contract.offers_in(reply)
        self.memory.keep(product, digest, body, offers)
        return Answer(product, None if offers.rejected else digest, due_in, offers)

    def _take_over(self, answer: Answer) -> None:
        self.batch.answers.append(answer)
        offers = answer.offers
        if offers is None:
            return
        self.batch.offers += len(offers.rows)
        if offers.rejected:
            _, reason, upstream_id = offers.rejection
            about = f"product {answer.product.product_id}, offer {upstream_id or 'without an id'}: {reason}"
            self.rejected.products += 1
            self.rejected.reasons.update(offers.rejected)
            self.rejected.example = self.rejected.example or about
            self._log("offers rejected", answer.product, offers.rejected)

    def _unknown(self, work: Work, error: ProductUnknown) -> Work | None:
        """Have a product that is ours registered again: if the service has forgotten it, it takes it now.

        Until then its state is what it was, for a service in trouble may say so of all of them.
        """
        self.answered += 1
        if Endpoint.REGISTER not in self.paused | self.told:
            return Work(work.product, Endpoint.REGISTER, work.claimed_at, forgotten=True)
        self._failed(work, error)
        self.fail(work, error)
        return None

    def _judge_registration(self, work: Work, reply: Reply | TransportError) -> Work | None:
        product = work.product
        try:
            contract.read_registration(reply)
        except ProductTaken:
            self.answered += 1
            if work.forgotten:
                self._contradicts(work)
            elif product.id_is_ours or product.registered_with == self.fingerprint:
                self._answered_well(work.endpoint)
                self.batch.registered.append(product)  # an earlier try got through and its answer was lost
            else:
                return Work(product, Endpoint.OFFERS, work.claimed_at, checking=True)
        except ProductRefused as error:
            reason = error.reason  # the name of an except clause does not outlive it
            self._suspect(work, ServiceDown(reason), lambda: self._refuse(product, reason))
        except ServiceDown as error:
            self._failed(work, error)
            self.fail(work, error)
        else:
            self._answered_well(work.endpoint)
            if work.forgotten and product.attempts > (product.synced_at is None):
                self._contradicts(work)  # it was registered again already, and in vain
            else:
                self.batch.registered.append(product)
        return None

    def _contradicts(self, work: Work) -> None:
        """Note that the service knows a product, and says that it does not."""
        error = ServiceDown(CONTRADICTS)
        self._failed(Work(work.product, Endpoint.OFFERS, work.claimed_at), error)
        self.fail(work, error)

    def _judge_ownership(self, work: Work, reply: Reply | TransportError) -> None:
        product = work.product
        try:
            contract.check_offers(reply)
        except ProductUnknown:
            asked = Work(product, Endpoint.REGISTER, work.claimed_at)
            self._suspect(asked, ServiceDown(TAKEN), lambda: self._refuse(product, TAKEN))
        except ServiceDown as error:
            self._not_registered(product, error)
        else:
            self._answered_well(Endpoint.REGISTER)
            self.batch.registered.append(product)

    def _refuse(self, product: Claimed, reason: str) -> None:
        self.batch.refused.append((product, reason, jittered(refusal_pause(product.failures + 1))))
        self._log("product refused", product, reason)

    def _not_registered(self, product: Claimed, error: OffersError) -> None:
        pause = max(registration_pause(product.attempts + 1), error.retry_after or 0.0)
        self.batch.not_registered.append((product, error.reason, jittered(pause)))
        self._log("product not registered", product, error)

    def _answered_well(self, endpoint: Endpoint) -> None:
        self.answered += 1
        self.well += 1
        self.in_a_row[endpoint] = 0
        self.runs.end(endpoint)
        for suspect in self.suspects[endpoint].answered_well():
            suspect.believe()
        if self.blamed:
            over = self.blamed.keys() & {endpoint, Endpoint.AUTH}
            self.recovered |= over
            self.failing -= over
            for each in over:
                del self.blamed[each]

    def _suspect(self, work: Work, error: ServiceDown, believe: Callable[[], None]) -> None:
        """Hold back what an answer means for its product, unless the product has been in trouble by itself."""
        self.answered += 1
        self.runs.add(work.endpoint)
        if self._is_believed(work):
            believe()
        elif work.endpoint in self.told:
            self.fail(work, error)
        else:
            self.suspects[work.endpoint].hold(Suspect(work, error, believe))
            self.alarmed = True

    def _is_believed(self, work: Work) -> bool:
        blame, product = self.blamed.get(work.endpoint), work.product
        if work.endpoint is Endpoint.OFFERS:
            known = product.failures > 0 and self.runs.length(work.endpoint) <= FEW
            return known and work.endpoint not in self.failing
        if blame and blame.failures >= BELIEVED_AFTER:
            self.believed |= self.failing & {work.endpoint}
            self.failing.discard(work.endpoint)
            return True
        tried = product.status is Registration.REFUSED or product.attempts >= BELIEVED_TRIES
        return tried and work.endpoint not in self.failing

    def _give_up(self, endpoint: Endpoint) -> None:
        self.told.add(endpoint)
        for suspect in self.suspects[endpoint].take():
            self.fail(suspect.work, suspect.error)

    def _failed(self, work: Work, error: OffersError) -> None:
        # A product that has been failing by itself says nothing about the others.
        product = work.product
        tries = product.failures if work.is_settled else product.attempts // 2
        if not tries or work.endpoint in self.failing:
            self.in_a_row[work.endpoint] += 1
            self.alarmed = True
            self.last_failure = error

    def _log(self, event: str, product: Claimed, reason: object) -> None:
        self.logged += 1
        if self.logged <= LOGGED_FAILURES:
            log.warning(event, product_id=product.product_id, reason=str(reason))
