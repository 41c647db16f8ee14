"""Images: taken in, made by a worker, kept in the database or a folder, and what dies in between."""

import os
import threading
from datetime import timedelta
from pathlib import Path
from threading import Event
from uuid import UUID, uuid4

import pytest
from flask import Flask

from aggregator.clients import picture_maker
from aggregator.clients.image_store import Folder, Key
from aggregator.clients.picture_maker import MakerDied, Sizes
from aggregator.clock import utcnow
from aggregator.database import in_transaction
from aggregator.errors import Conflict, Invalid, NotFound, NotReady, TooLarge, Unavailable, Unsupported
from aggregator.flows.images import GONE, Gallery
from aggregator.models import Change, ChangeKind, Image, ImageBlob, ImageStatus, Product, Variant
from aggregator.services import image_blobs, images
from tests.builders import edit, make_image, make_product, stored
from tests.pictures import picture, png, read

MADE = Sizes(b"small", b"large")
KEPT_IN = ("database", "folder")


@pytest.fixture(params=KEPT_IN)
def folder(request, tmp_path) -> Path | None:
    """Where images are kept outside of the database, if they are."""
    return tmp_path / "images" if request.param == "folder" else None


@pytest.fixture
def gallery(folder) -> Gallery:
    return Gallery(None if folder is None else Folder(folder))


@pytest.fixture
def quick(monkeypatch) -> None:
    """Sizes are made in no time, and of anything."""
    monkeypatch.setattr(picture_maker, "make", lambda original, stop: MADE)


def kept(app: Flask, folder: Path | None) -> dict[UUID, set[str]]:
    """What is kept of each image, wherever it is."""
    if folder is None:
        names = [(blob.image_id, blob.variant.value) for blob in stored(app, ImageBlob)]
    else:
        files = folder.rglob("*") if folder.exists() else []
        names = [(UUID(file.name[:36]), file.name[37:]) for file in files if file.is_file()]
    return {image_id: {variant for other, variant in names if other == image_id} for image_id, _ in names}


def upload(app: Flask, gallery: Gallery, product_id: UUID, content: bytes | None = None) -> UUID:
    with app.app_context():
        return gallery.upload(product_id, picture() if content is None else content, utcnow())


def make(app: Flask, gallery: Gallery, stop: Event | None = None) -> dict[str, int]:
    """What becomes of all images that are due."""
    with app.app_context():
        return dict(gallery.make_due(stop or Event(), lambda: None))


def content(app: Flask, gallery: Gallery, image_id: UUID, variant: Variant = Variant.THUMB) -> bytes:
    with app.app_context():
        return gallery.content(image_id, variant)


def the_image(app: Flask, image_id: UUID) -> Image:
    (image,) = stored(app, Image, Image.id == image_id)
    return image


def free(app: Flask) -> None:
    """Let all claims and pauses be over."""
    edit(app, Image, claimed_until=utcnow() - timedelta(seconds=1))


class TestUpload:
    def test_keeps_the_original_and_an_image_that_is_pending(self, app, gallery, folder):
        product = make_product(app)

        image_id = upload(app, gallery, product)

        image = the_image(app, image_id)
        assert (image.product_id, image.status, image.position, image.error) == (product, ImageStatus.PENDING, 1, None)
        assert kept(app, folder) == {image_id: {"original"}}

    def test_what_cannot_be_shown_leaves_nothing(self, app, gallery, folder):
        product = make_product(app)

        for file, refusal in (
            (b"GIF89a", Unsupported),
            (picture()[:-9], Invalid),
            (picture() + b"\0" * 5 * 2**20, TooLarge),
        ):
            with pytest.raises(refusal):
                upload(app, gallery, product, file)

        assert (stored(app, Image), kept(app, folder)) == ([], {})

    def test_for_a_product_that_is_not_there_leaves_nothing(self, app, gallery, folder):
        deleted = make_product(app, deleted_at=utcnow())

        for product in (uuid4(), deleted):
            with pytest.raises(NotFound):
                upload(app, gallery, product)

        assert (stored(app, Image), kept(app, folder)) == ([], {})

    def test_one_too_many_leaves_nothing(self, app, gallery, folder):
        product = make_product(app)
        for _ in range(10):
            make_image(app, product, {})

        with pytest.raises(Conflict, match=r"^A product can have 10 images\. Delete one first\.$"):
            upload(app, gallery, product)

        assert (len(stored(app, Image)), kept(app, folder)) == (10, {})

    def test_many_at_once_are_no_more_than_ten_and_have_places_of_their_own(self, app, gallery, folder):
        product, refused = make_product(app), []

        def add() -> None:
            try:
                upload(app, gallery, product)
            except Conflict:
                refused.append(1)

        threads = [threading.Thread(target=add) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(refused) == 6
        assert sorted(image.position for image in stored(app, Image)) == list(range(1, 11))
        assert len(kept(app, folder)) == 10

    def test_killed_half_way_leaves_no_image_and_what_lies_outside_is_swept(self, app, gallery, folder, monkeypatch):
        product = make_product(app)

        def die(*_: object) -> None:
            raise KeyboardInterrupt  # as abrupt as an exception can be

        monkeypatch.setattr(*((images, "add") if folder else (image_blobs, "put")), die)
        with pytest.raises(KeyboardInterrupt):
            upload(app, gallery, product)

        assert stored(app, Image) == []
        assert [*kept(app, folder).values()] == ([{"original"}] if folder else [])
        if folder:
            _age(folder)
            with app.app_context():
                assert gallery.sweep(Event(), lambda: None) == 1
            assert kept(app, folder) == {}

    def test_to_a_store_that_is_away_is_told_so_and_leaves_nothing(self, app, tmp_path):
        (tmp_path / "images").write_text("a file")

        with pytest.raises(Unavailable):
            upload(app, Gallery(Folder(tmp_path / "images")), make_product(app))

        assert stored(app, Image) == []


class TestMake:
    def test_makes_both_sizes_and_drops_the_original(self, app, gallery, folder):
        image_id = upload(app, gallery, make_product(app), picture(800, 600))

        assert make(app, gallery) == {"made": 1}

        assert the_image(app, image_id).status is ImageStatus.READY
        assert kept(app, folder) == {image_id: {"thumb", "full"}}
        assert read(content(app, gallery, image_id)).size == (100, 75)
        assert read(content(app, gallery, image_id, Variant.FULL)).size == (500, 375)

    def test_the_oldest_comes_first(self, app, gallery, quick, monkeypatch):
        product, made = make_product(app), []
        ids = [upload(app, gallery, product) for _ in range(3)]
        for hours, image_id in enumerate(ids):
            edit(app, Image, Image.id == image_id, created_at=utcnow() - timedelta(hours=hours))
        finish = Gallery._finish
        monkeypatch.setattr(
            Gallery, "_finish", lambda self, image, sizes: made.append(image.id) or finish(self, image, sizes)
        )

        assert make(app, gallery) == {"made": 3}

        assert made == ids[::-1]

    def test_the_product_changes_when_it_has_one_more_to_show_and_not_before(self, app, gallery, quick):
        product = make_product(app)
        upload(app, gallery, product)
        assert stored(app, Change) == []

        make(app, gallery)

        assert [(change.kind, change.product_id) for change in stored(app, Change)] == [(ChangeKind.UPDATED, product)]
        assert stored(app, Product)[0].version == 1  # nobody has edited it

    def test_nothing_is_due_where_all_is_made_claimed_or_of_a_deleted_product(self, app, gallery, quick):
        product, deleted = make_product(app), make_product(app)
        make_image(app, product)
        make_image(app, product, {}, status=ImageStatus.FAILED, error="It is animated.")
        upload(app, gallery, deleted)
        edit(app, Product, Product.id == deleted, deleted_at=utcnow())
        claimed = upload(app, gallery, product)
        edit(app, Image, Image.id == claimed, claimed_by="another", claimed_until=utcnow() + timedelta(seconds=60))

        with app.app_context():
            assert images.anything_due() is False
        assert make(app, gallery) == {}
        free(app)
        with app.app_context():
            assert images.anything_due() is True

    def test_one_that_is_bad_after_all_has_failed_and_the_next_one_is_made(self, app, gallery, folder):
        product = make_product(app)
        bad = upload(app, gallery, product, png(300, 300, data=b"\x78\x9c" + b"\xff" * 100))
        good = upload(app, gallery, product)

        assert make(app, gallery) == {"failed": 1, "made": 1}

        image = the_image(app, bad)
        assert (image.status, image.error) == (
            ImageStatus.FAILED,
            "It cannot be read: it is damaged or incomplete.",
        )
        assert kept(app, folder) == {good: {"thumb", "full"}}
        with pytest.raises(NotFound, match=r"^It cannot be shown\. It cannot be read"):
            content(app, gallery, bad)

    def test_a_maker_that_dies_has_three_tries_with_pauses(self, app, gallery, folder, monkeypatch):
        def die(original: bytes, stop: Event) -> Sizes:
            raise MakerDied("exit code -9")

        image_id = upload(app, gallery, make_product(app))
        monkeypatch.setattr(picture_maker, "make", die)

        assert [make(app, gallery), make(app, gallery)] == [{"delayed": 1}, {}]
        free(app)
        assert make(app, gallery) == {"delayed": 1}
        free(app)
        assert make(app, gallery) == {"failed": 1}
        assert the_image(app, image_id).error == "It could not be made."
        assert kept(app, folder) == {}

    def test_one_that_has_killed_three_workers_kills_no_more(self, app, gallery, monkeypatch):
        image_id = upload(app, gallery, make_product(app))
        for number in range(3):  # claimed, and then nothing
            with app.app_context():
                claimed = in_transaction(lambda number=number: images.claim_due(f"worker {number}"))
            assert claimed.attempts == number + 1
            free(app)
        monkeypatch.setattr(picture_maker, "make", None)

        assert make(app, gallery) == {"failed": 1}

        assert the_image(app, image_id).error == "It could not be made."

    def test_a_worker_that_is_told_to_stop_gives_it_back_as_if_nothing_had_been(self, app, gallery, monkeypatch):
        stop = Event()

        def stopped(original: bytes, stop: Event) -> Sizes:
            stop.set()
            raise picture_maker.Stopped

        image_id = upload(app, gallery, make_product(app))
        monkeypatch.setattr(picture_maker, "make", stopped)

        assert make(app, gallery, stop) == {"given back": 1}

        image = the_image(app, image_id)
        assert (image.status, image.attempts, image.claimed_by) == (ImageStatus.PENDING, 0, None)
        with app.app_context():
            assert images.anything_due() is True

    def test_one_whose_original_is_gone_has_failed(self, app, gallery, folder):
        image_id = upload(app, gallery, make_product(app))
        if folder is None:
            edit(app, ImageBlob, ImageBlob.image_id == image_id, variant=Variant.FULL)
        else:
            Folder(folder).delete(Key(image_id, Variant.ORIGINAL))

        assert make(app, gallery) == {"failed": 1}

        assert the_image(app, image_id).error == GONE

    def test_a_store_that_is_away_costs_no_attempt_and_ends_the_pass(self, app, tmp_path, quick):
        gallery, product = Gallery(Folder(tmp_path / "images")), make_product(app)
        ids = [upload(app, gallery, product) for _ in range(2)]
        (tmp_path / "images").rename(tmp_path / "away")
        (tmp_path / "images").write_text("a file")

        assert make(app, gallery) == {"out of reach": 1}
        assert [the_image(app, image_id).attempts for image_id in ids] == [0, 0]

        (tmp_path / "images").unlink()
        (tmp_path / "away").rename(tmp_path / "images")
        free(app)
        assert make(app, gallery) == {"made": 2}

    def test_who_has_lost_the_claim_changes_nothing(self, app, gallery, folder, monkeypatch):
        image_id = upload(app, gallery, make_product(app))

        def lose(original: bytes, stop: Event) -> Sizes:
            edit(app, Image, Image.id == image_id, claimed_by="another")
            return MADE

        monkeypatch.setattr(picture_maker, "make", lose)

        assert make(app, gallery) == {"lost": 1}

        assert the_image(app, image_id).status is ImageStatus.PENDING
        assert "original" in kept(app, folder)[image_id]
        with pytest.raises(NotReady):
            content(app, gallery, image_id)

    @pytest.mark.parametrize("what", ["image", "product"])
    def test_what_is_deleted_meanwhile_stays_deleted(self, app, gallery, folder, monkeypatch, what):
        product = make_product(app)
        image_id = upload(app, gallery, product)

        def delete(original: bytes, stop: Event) -> Sizes:
            if what == "image":
                gallery.remove(image_id, utcnow())
            else:
                edit(app, Product, Product.id == product, deleted_at=utcnow())
            return MADE

        monkeypatch.setattr(picture_maker, "make", delete)

        assert make(app, gallery) == {"lost": 1}

        with pytest.raises(NotFound, match=r"^There is no such image\.$"):
            content(app, gallery, image_id)
        with app.app_context():
            in_transaction(lambda: images.expire(utcnow() + timedelta(seconds=1)))
            if folder:
                _age(folder)
                gallery.sweep(Event(), lambda: None)
        assert (stored(app, Image), kept(app, folder)) == ([], {})

    def test_two_workers_share_the_work_and_make_each_once(self, make_app, folder, monkeypatch):
        apps, product = [make_app(), make_app()], None
        gallery = Gallery(None if folder is None else Folder(folder))
        product = make_product(apps[0])
        ids = {upload(apps[0], gallery, product) for _ in range(8)}
        made: list[bytes] = []
        monkeypatch.setattr(picture_maker, "make", lambda original, stop: made.append(original) or MADE)
        found: list[dict[str, int]] = []

        threads = [threading.Thread(target=lambda app=app: found.append(make(app, gallery))) for app in apps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(made) == sum(done.get("made", 0) for done in found) == 8
        assert kept(apps[0], folder) == {image_id: {"thumb", "full"} for image_id in ids}


class TestRemove:
    def test_takes_the_bytes_along(self, app, gallery, folder, quick):
        product = make_product(app)
        pending, ready = (upload(app, gallery, product) for _ in range(2))
        edit(app, Image, Image.id == pending, claimed_by="another", claimed_until=utcnow() + timedelta(seconds=60))
        make(app, gallery)

        with app.app_context():
            gallery.remove(ready, utcnow())
            gallery.remove(pending, utcnow())

        assert (stored(app, Image), kept(app, folder)) == ([], {})

    def test_what_is_not_there_cannot_be_removed(self, app, gallery):
        with app.app_context(), pytest.raises(NotFound):
            gallery.remove(uuid4(), utcnow())


class TestSweep:
    def test_takes_only_what_no_image_speaks_of_and_what_is_old(self, app, tmp_path):
        gallery, product = Gallery(Folder(tmp_path / "images")), make_product(app)
        pending = make_image(app, product, {}, status=ImageStatus.PENDING)
        ready = make_image(app, product, {})
        failed = make_image(app, product, {}, status=ImageStatus.FAILED, error="It is animated.")
        for image_id in (pending, ready, failed, uuid4()):
            for variant in Variant:
                Folder(tmp_path / "images").put(Key(image_id, variant), b"x")

        with app.app_context():
            assert gallery.sweep(Event(), lambda: None) == 0
            _age(tmp_path / "images")
            new = Key(uuid4(), Variant.ORIGINAL)
            Folder(tmp_path / "images").put(new, b"x")
            assert gallery.sweep(Event(), lambda: None) == 7

        # Those of a pending one may be written at this moment.
        left = {pending: {"original", "thumb", "full"}, ready: {"thumb", "full"}, new.image_id: {"original"}}
        assert kept(app, tmp_path / "images") == left

    def test_a_store_that_is_away_is_left_for_the_next_time(self, app, tmp_path, monkeypatch):
        def away(self: Folder, seconds: float) -> None:
            raise Unavailable

        monkeypatch.setattr(Folder, "older_than", away)

        with app.app_context():
            assert Gallery(Folder(tmp_path)).sweep(Event(), lambda: None) == 0

    @pytest.mark.parametrize("days", [-2, 2, 6])
    def test_nothing_is_swept_because_the_clock_of_a_host_is_wrong(self, app, tmp_path, days):
        key = Key(uuid4(), Variant.ORIGINAL)
        Folder(tmp_path).put(key, b"x")
        _age(tmp_path, days)  # so old does it look

        with app.app_context():
            assert Gallery(Folder(tmp_path)).sweep(Event(), lambda: None) == 0
        assert kept(app, tmp_path) == {key.image_id: {"original"}}

    def test_there_is_nothing_to_sweep_in_the_database(self, app):
        with app.app_context():
            assert Gallery().sweep(Event(), lambda: None) == 0


def _age(folder: Path, days: int = 8) -> None:
    """Make all that lies in a folder as old as that."""
    for file in folder.rglob("*"):
        if file.is_file():
            os.utime(file, (file.stat().st_atime - days * 86_400, file.stat().st_mtime - days * 86_400))
