"""Cancels orders that were not paid for in time, where ORDER_PAYMENT_MINUTES says how long that is."""

from functools import partial
from uuid import UUID

from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.extensions import settings
from aggregator.jobs.run import Run, Summary
from aggregator.services import orders, unpaid_orders


def anything_due() -> bool:
    """Whether an order is to be cancelled."""
    minutes = settings().order_payment_minutes
    return bool(minutes) and unpaid_orders.anything_due(minutes)


def lapse_due(run: Run) -> Summary:
    """Cancel all orders that are due, in a transaction each, and count them."""
    minutes, lapsed = settings().order_payment_minutes, 0
    while not run.stop.is_set() and (due := in_transaction(lambda: unpaid_orders.due(minutes))):
        for order_id in due:
            if run.stop.is_set():
                break
            lapsed += in_transaction(partial(_lapse, order_id))
            run.alive()
    return {"lapsed": lapsed}


def _lapse(order_id: UUID) -> bool:
    return orders.lapse(order_id, utcnow())
