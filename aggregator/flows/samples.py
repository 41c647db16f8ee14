"""The pictures of the sample products: taken in as those that people upload, and made by the worker as theirs are."""

from collections.abc import Iterator
from contextlib import suppress
from random import Random

from aggregator.clients import paintings
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.errors import NotFound
from aggregator.flows.images import Gallery
from aggregator.services import images, samples


def illustrate(gallery: Gallery, count: int, seed: int) -> Iterator[bool]:
    """Give a picture to each of the first samples, and yield whether it was given one.

    One that ever had an image gets none: it has this one, or somebody did not want it.
    """
    ids = [product["id"] for product in samples.products(count, seed)]
    bare = in_transaction(lambda: images.never_had(ids))
    for number, product_id in enumerate(ids):
        given = False
        if product_id in bare:
            with suppress(NotFound):  # deleted a moment ago
                gallery.upload(product_id, picture(number, seed), utcnow())
                given = True
        yield given


def picture(number: int, seed: int = 1) -> bytes:
    """The picture of the sample of that number, the same for the same seed."""
    random = Random(f"picture:{seed}:{number}")  # noqa: S311 - made up, not secret
    return paintings.painted(samples.kind(number), random)
