"""Opens and closes circuits, with one line in the log when trouble with the service begins and one when it is over."""

from collections.abc import Collection

import structlog

from aggregator.database import in_transaction
from aggregator.models import Endpoint
from aggregator.services import access, feeds

log = structlog.get_logger(__name__)


def open_circuit(endpoint: Endpoint, reason: str, seconds: float | None) -> None:
    """Keep everybody from making a call for a while."""
    if in_transaction(lambda: access.open_circuit(endpoint, reason, seconds)):
        log_opened(endpoint, reason)


def count_failure(endpoint: Endpoint, reason: str, retry_after: float | None) -> None:
    """Note that one call failed; after a few of them nobody makes it for a while."""
    if in_transaction(lambda: access.count_failure(endpoint, reason, retry_after)):
        log_opened(endpoint, reason)


def close_circuits(endpoints: Collection[Endpoint]) -> None:
    """Let everybody make these calls again, and have what failed tried again where they were not made."""
    log_closed(in_transaction(lambda: closed(endpoints)))


def closed(endpoints: Collection[Endpoint]) -> list[Endpoint]:
    """The circuits that are closed now and were not before, for log_closed() after the caller's commit."""
    were_open = [endpoint for endpoint in sorted(endpoints) if access.close_circuit(endpoint)]
    if were_open:
        feeds.hurry()
    return were_open


def believe(endpoints: Collection[Endpoint]) -> None:
    """Let everybody make these calls again, and take what they answer for what it is."""
    in_transaction(lambda: access.believe(endpoints))
    for endpoint in endpoints:
        log.warning("refusals of the offers service are believed", call=endpoint)


def log_opened(endpoint: Endpoint, reason: str) -> None:
    """Log that calls of an endpoint are paused from now on."""
    log.error("calls of the offers service are paused", call=endpoint, reason=reason)


def log_closed(endpoints: Collection[Endpoint]) -> None:
    """Log that calls of endpoints work again."""
    for endpoint in endpoints:
        log.info("calls of the offers service work again", call=endpoint)
