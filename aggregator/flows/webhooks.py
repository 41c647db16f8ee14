"""Sending what is due to webhooks: claim it, send it side by side, write down what became of it.

No transaction is open while something is on its way. A process that dies in between loses its claims after two
minutes: the messages are sent again, with the ids they had.
"""

import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from time import monotonic
from uuid import UUID

import structlog

from aggregator.clients.addresses import AddressRules
from aggregator.clients.many import ManyRequests
from aggregator.clients.webhooks import answer, signed
from aggregator.clients.wire import FORBIDDEN, Reply, Request, TransportError
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.flows.claims import claim_name
from aggregator.models import Channel
from aggregator.models.types import TIMESTAMP_FORMAT
from aggregator.outages import Outage
from aggregator.secret_box import SecretBox
from aggregator.services import outbox, webhook_deliveries
from aggregator.services.outbox import Claimed
from aggregator.services.webhook_deliveries import Outcome, Target

CLAIMED_AT_ONCE = 32
# Of one webhook only so many are under way, and of one that is slow or fails, one: the others need not wait for it.
SHARE = 8
SHARE_OF_SLOW = 1
SLOW_SECONDS = 2.0
WAITING_OF_SLOW = 4
# What is given back because its webhook is busy is not due again at once: every claim would come upon it.
BUSY_SECONDS = 5.0
MAX_WAITING = 256
WAIT_SECONDS = 60.0  # with time left to be sent before the claim runs out
CLAIM_AGAIN_SECONDS = 0.5
WRITTEN_AT_ONCE = 20
# For the webhook's user, who can do that; the operator can bring the former key back.
UNREADABLE = "the secret of this webhook cannot be read: rotate it (POST /api/v1/webhooks/{id}/rotate-secret)"
STOP_SECONDS = 5.0  # for what is under way when the worker is told to stop

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class WebhookSettings:
    """Where webhooks may be sent, over what, and what their secrets are encrypted with."""

    rules: AddressRules
    requests: ManyRequests
    box: SecretBox
    outages: dict[UUID, Outage] = field(default_factory=dict)  # by webhook


@dataclass(eq=False)
class Work:
    """A claimed delivery, and where it goes."""

    delivery: Claimed
    target: Target
    claimed_at: float = field(default_factory=monotonic)
    sent_at: float = 0.0
    place: int = 0  # among those that wait for the same webhook


class Sending:
    """One pass over all that is due. run() it once."""

    def __init__(
        self, settings: WebhookSettings, stop: Event | None = None, alive: Callable[[], None] = lambda: None
    ) -> None:
        self.settings = settings
        self.stop = stop or Event()
        self.alive = alive
        self.waiting: deque[Work] = deque()
        self.under_way: set[Work] = set()
        self.per_webhook: Counter[UUID] = Counter()  # under way
        self.slow: set[UUID] = set()  # webhooks
        self.paused: dict[UUID, float] = {}  # webhooks that asked to be left alone, and until when
        self.outcomes: list[Outcome] = []
        self.done: Counter[str] = Counter()
        self.empty_at = -CLAIM_AGAIN_SECONDS
        self.stopping_at: float | None = None

    def run(self) -> Counter[str]:
        """Send all that is due, and count what became of it."""
        for ended in self.settings.requests.exchange(self._requests()):
            if ended is not None:
                self._take(*ended)
            if ended is None or len(self.outcomes) >= WRITTEN_AT_ONCE:
                self._write()
            if ended is None and self._out_of_time():
                break
        self._write()
        self._give_back([*self.waiting, *self.under_way])
        return self.done

    def _requests(self) -> Iterator[tuple[Work, Request] | None]:
        while not self.stop.is_set():
            if len(self.outcomes) >= WRITTEN_AT_ONCE:  # of what will not be sent there may be much
                self._write()
                if self.under_way:
                    yield None
            if work := self._next():
                if request := self._request(work):
                    yield work, request
            elif self._claim():
                continue
            elif self.under_way:
                yield None
            else:
                return

    def _next(self) -> Work | None:
        """The first that waits for a webhook which has room; what has waited for too long is given back."""
        late = [work for work in self.waiting if monotonic() - work.claimed_at > WAIT_SECONDS]
        self._give_back(late, BUSY_SECONDS)
        self._give_back_paused()
        for index, work in enumerate(self.waiting):
            webhook_id = work.target.webhook_id
            if self.per_webhook[webhook_id] < (SHARE_OF_SLOW if webhook_id in self.slow else SHARE):
                del self.waiting[index]
                return work
        return None

    def _claim(self) -> bool:
        """Claim more of what is due, but nothing for a webhook that keeps some waiting; false if there is none."""
        recently = monotonic() - self.empty_at < CLAIM_AGAIN_SECONDS
        if (recently and self.under_way) or len(self.waiting) >= MAX_WAITING:
            return False
        self.alive()
        busy = {work.target.webhook_id for work in self.waiting}
        claimed = in_transaction(lambda: _claim(busy, self.settings.box))
        if not claimed:
            self.empty_at = monotonic()
            return False
        self.slow |= {work.target.webhook_id for work in claimed if work.target.failing}
        self.paused |= {w.target.webhook_id: monotonic() + w.target.pause for w in claimed if w.target.pause}
        self.waiting.extend(work for work in claimed if work.target.refusal is None)
        self.outcomes += [_never_sent(work) for work in claimed if work.target.refusal is not None]
        self._give_back_paused()
        self._give_back(self._too_many(), BUSY_SECONDS)
        return True

    def _too_many(self) -> list[Work]:
        """What would keep others from being claimed while it waits for slow webhooks."""
        seen: Counter[UUID] = Counter()
        for work in self.waiting:
            seen[work.target.webhook_id] += 1
            work.place = seen[work.target.webhook_id]
        return [w for w in self.waiting if w.target.webhook_id in self.slow and w.place > WAITING_OF_SLOW]

    def _request(self, work: Work) -> Request | None:
        """What to send; None where nothing may be sent there, whatever was allowed when the webhook was made.

        Nor is anything sent that cannot be signed: it is tried again, by when the secret may have been rotated.
        """
        delivery, target = work.delivery, work.target
        if not target.secrets:
            self.outcomes.append(Outcome(delivery, target.url, error=UNREADABLE))
            return None
        try:
            url = self.settings.rules.checked(target.url)
        except ValueError:
            self.outcomes.append(Outcome(delivery, target.url, error=FORBIDDEN))
            return None
        work.sent_at = monotonic()
        self.under_way.add(work)
        self.per_webhook[target.webhook_id] += 1
        return signed(url, delivery.id, _body(delivery), target.secrets, utcnow())

    def _take(self, work: Work, result: Reply | TransportError) -> None:
        webhook_id = work.target.webhook_id
        self.under_way.discard(work)
        self.per_webhook[webhook_id] -= 1
        found = answer(result)
        if found.error or monotonic() - work.sent_at > SLOW_SECONDS:
            self.slow.add(webhook_id)
        else:
            self.slow.discard(webhook_id)
        if found.retry_after:
            self.paused[webhook_id] = monotonic() + found.retry_after
        self.outcomes.append(
            Outcome(
                work.delivery,
                work.target.url,
                found.status,
                found.error,
                gone=found.gone,
                retry_after=found.retry_after,
            )
        )

    def _write(self) -> None:
        self.alive()
        if not self.outcomes:
            return
        outcomes, self.outcomes = self.outcomes, []
        disabled = in_transaction(lambda: webhook_deliveries.note(outcomes, utcnow()))
        for webhook_id, reason in disabled:
            log.warning("webhook disabled", webhook_id=str(webhook_id), reason=reason)
        for outcome in outcomes:
            self._watch(outcome)
            self.done["delivered" if outcome.error is None else "failed"] += 1

    def _watch(self, outcome: Outcome) -> None:
        """Have the log tell once that a receiver does not take messages, and once that it does again."""
        outages, webhook_id = self.settings.outages, outcome.delivery.webhook_id
        if webhook_id is None or not outcome.attempted:
            return
        if outcome.error is not None:
            outage = outages.setdefault(webhook_id, Outage("webhook", "warning"))
            outage.begins(f"webhook {webhook_id}: {outcome.error}. It is tried again; its user can see why.")
        elif webhook_id in outages:
            outages.pop(webhook_id).ends()

    def _out_of_time(self) -> bool:
        """Whether the pass was told to stop, and what was under way has had its time."""
        if self.stop.is_set() and self.stopping_at is None:
            self.stopping_at = monotonic()
        return self.stopping_at is not None and monotonic() - self.stopping_at > STOP_SECONDS

    def _give_back_paused(self) -> None:
        """Leave what waits for webhooks that asked to be left alone until that time is over."""
        for webhook_id, until in list(self.paused.items()):
            works = [work for work in self.waiting if work.target.webhook_id == webhook_id]
            if until <= monotonic():
                del self.paused[webhook_id]
            else:
                self._give_back(works, until - monotonic())

    def _give_back(self, works: list[Work], seconds: float = 0.0) -> None:
        """Leave works to whoever claims them next: they stay due, or are due in so many seconds."""
        if works:
            in_transaction(lambda: outbox.release([work.delivery for work in works], seconds))
            self.waiting = deque(work for work in self.waiting if work not in works)


def _claim(busy: set[UUID], box: SecretBox) -> list[Work]:
    claimed = outbox.claim_due(claim_name(), Channel.WEBHOOK, CLAIMED_AT_ONCE, busy)
    ids = {delivery.webhook_id for delivery in claimed if delivery.webhook_id}
    targets = webhook_deliveries.targets(ids, utcnow(), box) if ids else {}
    # Where there is no target, the webhook has been deleted a moment ago, and its deliveries with it.
    return [Work(d, targets[d.webhook_id]) for d in claimed if d.webhook_id in targets]


def _never_sent(work: Work) -> Outcome:
    return Outcome(work.delivery, work.target.url, error=work.target.refusal, attempted=False)


def _body(delivery: Claimed) -> bytes:
    """What is sent: the same with each attempt."""
    message = {
        "type": delivery.event,
        "timestamp": delivery.created_at.strftime(TIMESTAMP_FORMAT),
        "data": delivery.payload,
    }
    return json.dumps(message, separators=(",", ":")).encode()
