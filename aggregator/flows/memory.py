"""Remembers what the offers service said last, so that of the next answer only what changed has to be read."""

from aggregator.clients.offer_rows import OfferRows, changed_rows, is_plain
from aggregator.services.feeds import Claimed

MAX_BYTES = 64 * 2**20  # of answers; some fifty thousand products with ten offers each
MAX_ANSWER = 64 * 2**10
OVERHEAD = 300  # bytes that an entry takes beside its answer


class LastAnswers:
    """The last answers about products, as many as fit.

    An entry counts only while its digest is the one stored with the product: then the offers in the database
    are those in the answer, whoever wrote them.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._room = max_bytes
        self._answers: dict[str, tuple[int, bytes]] = {}

    def changes(self, product: Claimed, body: bytes) -> OfferRows | None:
        """The offers in body that are not as they are stored; None where only the whole answer tells.

        That the lowest price has gone up is such a case: any other offer may be the lowest now.
        """
        digest, last = self._answers.get(product.product_id, (None, b""))
        changed = changed_rows(last, body) if digest is not None and digest == product.digest else None
        return None if changed is None or _lowest_rises(product.lowest_price, changed) else changed

    def keep(self, product: Claimed, digest: int, body: bytes, offers: OfferRows) -> None:
        """Remember an answer in which these offers were found, if it will be of use and there is room."""
        self._forget(product)
        if len(body) > MAX_ANSWER or not (offers.before is not None or is_plain(body, offers)):
            return
        size = len(body) + OVERHEAD
        while self._answers and size > self._room:
            # The newest goes: a worker goes round all products, so the oldest is wanted first.
            self._room += len(self._answers.popitem()[1][1]) + OVERHEAD
        if size <= self._room:
            self._room -= size
            self._answers[product.product_id] = digest, body

    def _forget(self, product: Claimed) -> None:
        entry = self._answers.pop(product.product_id, None)
        if entry:
            self._room += len(entry[1]) + OVERHEAD


def _lowest_rises(lowest: int | None, changed: OfferRows) -> bool:
    """Whether an offer that has the lowest price asks for more now, or is sold out."""
    assert changed.before is not None
    for upstream_id, (price, stock) in changed.before.items():
        if stock and (lowest is None or price <= lowest):
            new_price, new_stock = changed.rows[upstream_id]
            if not new_stock or new_price > price:
                return True
    return False
