"""Creates a product and registers it at the offers service in one go, or leaves that to the worker.

The intent is committed first, so that no crash can leave a product at the service that we know nothing of. The
worker finishes what a dying web process began: the claim on the new product runs out, and it is due.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

import structlog

from aggregator.clients import offers as contract
from aggregator.clients.offers import (
    AccessToken,
    OffersError,
    ProductRefused,
    ProductTaken,
    ProductUnknown,
    ServiceDown,
    TokenRefused,
)
from aggregator.clients.wire import BUSY
from aggregator.clock import utcnow
from aggregator.database import in_transaction, transaction
from aggregator.errors import IdTaken, OffersServiceRefused, ProblemError
from aggregator.flows import circuits
from aggregator.flows.access import TokenSource
from aggregator.flows.claims import claim_name
from aggregator.flows.verdicts import TAKEN
from aggregator.models import Endpoint
from aggregator.services import access, catalog, catalog_reads, feed_endings, feeds, idempotency
from aggregator.services.feeds import Claimed
from aggregator.services.idempotency import Earlier, RequestKey

SECONDS = 5.0  # for all calls of one creation together: a client is waiting
CLAIM_SECONDS = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Created:
    """A new product's id and JSON; replayed where the same request had made it before."""

    product_id: UUID
    text: str
    replayed: bool = False


def create_product(
    tokens: TokenSource, fields: Mapping[str, Any], request_id: str, key: RequestKey | None = None
) -> Created:
    """Create a product and try to register it. Its JSON says how that went.

    Conflict for a name in use, or an id that the service has given to somebody else. Invalid where the service
    refuses the product. Where it refuses one after the other, the product stays, and the worker tries again.
    """
    fields = dict(fields)
    chosen_id = fields.pop("id", None)
    product_id = chosen_id or uuid4()
    now = utcnow()
    with transaction():
        earlier = idempotency.begin(key, product_id, now) if key else None
        if not earlier:
            product = catalog.add(product_id, fields, now, id_is_ours=chosen_id is None)
            claimed = feeds.claim_new(claim_name(), product, CLAIM_SECONDS)
            pause = access.pauses().get(Endpoint.REGISTER)
    if earlier:
        return _replay(earlier, key)
    try:
        if pause:
            raise ServiceDown(pause.reason)
        _register(tokens, claimed, request_id)
    except OffersError as error:
        failure = error  # the name of an except clause does not outlive it
        if _is_believed(failure):
            in_transaction(lambda: _withdraw(claimed, key))
            raise _refusal(failure) from error
        in_transaction(lambda: _leave_to_the_worker(claimed, failure))
    else:
        circuits.log_closed(in_transaction(lambda: _note_registered(claimed, tokens.service.fingerprint)))
    return _answer(product_id, key)


def _is_believed(error: OffersError) -> bool:
    """Whether an error is a refusal of the product: not where others are refused as well, or calls fail."""
    if not isinstance(error, ProductRefused | ProductTaken):
        return False
    circuits.count_failure(Endpoint.REGISTER, error.reason, None)
    return not in_transaction(access.pauses)


def _refusal(error: OffersError) -> ProblemError:
    if isinstance(error, ProductTaken):
        return IdTaken(f"{TAKEN.capitalize()}.")
    return OffersServiceRefused(f"The offers service refuses the product: {error.reason}")


def _replay(earlier: Earlier, key: RequestKey | None) -> Created:
    if earlier.answer is not None:
        return Created(earlier.resource_id, earlier.answer, replayed=True)
    return replace(_answer(earlier.resource_id, key), replayed=True)


def _register(tokens: TokenSource, product: Claimed, request_id: str) -> None:
    """Make the product known to the service. OffersError where that does not work now, or at all."""
    token = tokens.token()
    try:
        _call(tokens, token, product, request_id)
    except TokenRefused:
        other = tokens.replacement(token)
        try:
            _call(tokens, other, product, request_id)
        except TokenRefused:
            if not other.confirms(token):
                tokens.refused_again(other, token)
            raise


def _call(tokens: TokenSource, token: AccessToken, product: Claimed, request_id: str) -> None:
    service = tokens.service
    headers = service.headers(token.value, request_id)
    request = service.register_request(headers, product.product_id, product.name, product.description)
    try:
        contract.read_registration(tokens.send(request))
    except ServiceDown as error:
        if error.reason != BUSY:
            circuits.count_failure(Endpoint.REGISTER, error.reason, error.retry_after)
        raise
    except ProductTaken:
        if product.id_is_ours:
            return  # nobody else can have made this id: an earlier try got through
        try:
            contract.check_offers(tokens.send(service.offers_request(headers, product.product_id)))
        except ProductUnknown:
            raise ProductTaken(TAKEN) from None


def _note_registered(product: Claimed, fingerprint: str) -> list[Endpoint]:
    feed_endings.registered([product], fingerprint, utcnow())
    return circuits.closed((Endpoint.AUTH, Endpoint.REGISTER))


def _leave_to_the_worker(product: Claimed, error: OffersError) -> None:
    log.warning("product not registered", product_id=product.product_id, reason=error.reason)
    pause = max(feeds.registration_pause(1), error.retry_after or 0.0)
    feed_endings.not_registered([product], [error.reason], [access.jittered(pause)])


def _withdraw(product: Claimed, key: RequestKey | None) -> None:
    if catalog.withdraw(product, utcnow()) and key:
        idempotency.forget(key)


def _answer(product_id: UUID, key: RequestKey | None) -> Created:
    text = catalog_reads.find(product_id).text
    if key:
        in_transaction(lambda: idempotency.finish(key, text))
    return Created(product_id, text)
