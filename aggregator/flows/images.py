"""Images: taken in, made off the request path, and kept in the database or outside of it.

In the database the bytes come and go with the rows. Outside, bytes come before the row that speaks of them and go after
it, so that whatever dies in between leaves bytes that nobody speaks of, and sweep() finds those.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from threading import Event
from uuid import UUID, uuid4

import structlog

from aggregator.clients import picture_maker, pictures
from aggregator.clients.image_store import ImageStore, Key
from aggregator.clients.picture_maker import Sizes
from aggregator.clients.pictures import BadPicture, UnknownPicture
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.errors import (
    ImageTooLarge,
    NotFound,
    ProblemError,
    Unavailable,
    UnreadableImage,
    UnsupportedImage,
)
from aggregator.flows.claims import claim_name
from aggregator.models import ImageStatus, Variant
from aggregator.models.images import MAX_IMAGE_BYTES
from aggregator.services import image_blobs, image_reads, images
from aggregator.services.images import Claimed

PAUSE_SECONDS = 5.0  # after a maker has died
OUTAGE_SECONDS = 30.0  # after the store could not be reached
GONE = "What was uploaded is gone."
UNREACHABLE = "out of reach"
SWEPT_AFTER_SECONDS = 7 * 86_400.0  # from bytes to their row it takes a second, but clocks of hosts are hours apart
SWEPT_AT_ONCE = 500
WANTED: dict[ImageStatus | None, set[Variant]] = {
    ImageStatus.PENDING: set(Variant),  # a worker may be writing the other sizes at this moment
    ImageStatus.READY: {Variant.THUMB, Variant.FULL},
    ImageStatus.FAILED: set(),
    None: set(),  # there is no such image
}

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Gallery:
    """Where images are kept: outside, or else in the database."""

    outside: ImageStore | None = None

    def upload(self, product_id: UUID, content: bytes, now: datetime) -> UUID:
        """Take in a picture as the last image of a product, if it is one that will do, and have it made."""
        _check(content)
        image_id = uuid4()
        original = Key(image_id, Variant.ORIGINAL)
        if self.outside is not None:
            image_reads.of_product(product_id)  # where there is none, nothing need be stored
            self.outside.put(original, content)
        try:
            in_transaction(lambda: self._add(image_id, product_id, content, now))
        except ProblemError:  # after any other error it may be there all the same
            self._forget([original])
            raise
        return image_id

    def _add(self, image_id: UUID, product_id: UUID, content: bytes, now: datetime) -> None:
        images.add(image_id, product_id, now)
        if self.outside is None:
            image_blobs.put(image_id, Variant.ORIGINAL, content)

    def content(self, image_id: UUID, variant: Variant) -> bytes:
        """The bytes of an image in one of its sizes. NotFound where there is none, NotReady where there is none yet."""
        if self.outside is None:
            content = image_reads.blob(image_id, variant)
        else:
            image_reads.must_be_ready(image_id)
            content = self.outside.get(Key(image_id, variant))
        if content is None:
            image_reads.must_be_ready(image_id)
            raise NotFound("There is no such image.")  # deleted a moment ago
        return content

    def remove(self, image_id: UUID, now: datetime) -> None:
        """Delete an image, and what it consists of."""
        in_transaction(lambda: images.remove(image_id, now))
        self._forget(Key(image_id, variant) for variant in Variant)

    def make_due(self, stop: Event, alive: Callable[[], None]) -> Counter[str]:
        """Make all images that are due, one after the other, and count what became of them."""
        done: Counter[str] = Counter()
        while not stop.is_set():
            alive()
            claimed = in_transaction(lambda: images.claim_due(claim_name()))
            if claimed is None:
                break
            outcome = self._make(claimed, stop)
            done[outcome] += 1
            if outcome == UNREACHABLE:  # the others would find it so, too
                break
        return done

    def sweep(self, stop: Event, alive: Callable[[], None]) -> int:
        """Delete what lies outside and no image speaks of, left by processes that died; count it."""
        if self.outside is None:
            return 0
        swept = 0
        with suppress(Unavailable):  # then the next time
            old = self.outside.older_than(SWEPT_AFTER_SECONDS)
            while not stop.is_set() and (keys := list(islice(old, SWEPT_AT_ONCE))):
                alive()
                needless = _needless(keys)
                self._forget(needless)
                swept += len(needless)
        return swept

    def _make(self, image: Claimed, stop: Event) -> str:
        """Make one image, and say what became of it."""
        try:
            return self._finish(image, picture_maker.make(self._original(image), stop))
        except BadPicture as error:
            return self._fail(image, str(error))
        except picture_maker.Stopped:
            in_transaction(lambda: images.postpone(image, 0, counts=False))
            return "given back"
        except picture_maker.MakerDied as error:
            log.warning("image not made", image_id=str(image.id), reason=str(error))
            if image.attempts >= images.ATTEMPTS:
                return self._fail(image, images.GIVEN_UP)
            in_transaction(lambda: images.postpone(image, PAUSE_SECONDS * image.attempts, counts=True))
            return "delayed"
        except Unavailable:
            in_transaction(lambda: images.postpone(image, OUTAGE_SECONDS, counts=False))
            return UNREACHABLE

    def _original(self, image: Claimed) -> bytes:
        if image.attempts > images.ATTEMPTS:  # whoever tried before has not lived to tell
            raise BadPicture(images.GIVEN_UP)
        if self.outside is None:
            content = in_transaction(lambda: image_blobs.get(image.id, Variant.ORIGINAL))
        else:
            content = self.outside.get(Key(image.id, Variant.ORIGINAL))
        if content is None:
            raise BadPicture(GONE)
        return content

    def _finish(self, image: Claimed, made: Sizes) -> str:
        sizes = {Variant.THUMB: made.thumb, Variant.FULL: made.full}
        if self.outside is not None:
            for variant, content in sizes.items():
                self.outside.put(Key(image.id, variant), content)
        if not in_transaction(lambda: self._show(image, sizes)):
            return "lost"
        self._forget([Key(image.id, Variant.ORIGINAL)])
        return "made"

    def _show(self, image: Claimed, sizes: dict[Variant, bytes]) -> bool:
        if not images.made(image):
            return False
        if self.outside is None:
            for variant, content in sizes.items():
                image_blobs.put(image.id, variant, content)
            image_blobs.delete(image.id, Variant.ORIGINAL)
        images.tell(image, utcnow())
        return True

    def _fail(self, image: Claimed, reason: str) -> str:
        log.warning("image cannot be made", image_id=str(image.id), reason=reason)
        if not in_transaction(lambda: self._note_failure(image, reason)):
            return "lost"
        self._forget(Key(image.id, variant) for variant in Variant)
        return "failed"

    def _note_failure(self, image: Claimed, reason: str) -> bool:
        if not images.failed(image, reason):
            return False
        if self.outside is None:
            image_blobs.delete(image.id, Variant.ORIGINAL)
        return True

    def _forget(self, keys: Iterable[Key]) -> None:
        """Delete what lies outside; where that does not work now, sweep() will."""
        if self.outside is not None:
            with suppress(Unavailable):
                for key in keys:
                    self.outside.delete(key)


def _needless(keys: list[Key]) -> list[Key]:
    """Those of keys that no image speaks of."""
    kept = in_transaction(lambda: images.statuses({key.image_id for key in keys}))
    return [key for key in keys if key.variant not in WANTED[kept.get(key.image_id)]]


def _check(content: bytes) -> None:
    """Refuse what cannot be shown."""
    if len(content) > MAX_IMAGE_BYTES:
        raise ImageTooLarge
    try:
        pictures.check(content)
    except UnknownPicture:
        raise UnsupportedImage from None
    except BadPicture as error:
        raise UnreadableImage(errors={"files": {"image": [str(error)]}}) from None
