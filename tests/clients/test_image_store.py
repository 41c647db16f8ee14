"""Where images can lie outside of the database: a folder and a bucket do the same."""

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from aggregator.clients import image_store
from aggregator.clients.image_store import Bucket, Folder, ImageStore, Key, is_outside, store_at
from aggregator.errors import Unavailable, UsageError
from tests.bucket import Server, bucket_server

ID = UUID("0f0e0d0c-0b0a-4908-8706-050403020100")


@pytest.fixture
def server(monkeypatch) -> Iterator[Server]:
    with bucket_server() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "id")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield server


@pytest.fixture(params=["folder", "bucket"])
def store(request, tmp_path) -> ImageStore:
    if request.param == "folder":
        return store_at(str(tmp_path / "images"))
    request.getfixturevalue("server")
    return store_at("s3://shop/some/where")


class TestEveryStore:
    def test_keeps_what_it_is_given(self, store):
        content = os.urandom(300_000)

        store.put(Key(ID, "thumb"), content)

        assert store.get(Key(ID, "thumb")) == content
        assert store.get(Key(ID, "full")) is None
        assert store.get(Key(uuid4(), "thumb")) is None

    def test_keeps_the_latest(self, store):
        store.put(Key(ID, "thumb"), b"1")
        store.put(Key(ID, "thumb"), b"2")

        assert store.get(Key(ID, "thumb")) == b"2"

    def test_forgets_what_it_is_told_to_and_nothing_else(self, store):
        for variant in ("thumb", "full"):
            store.put(Key(ID, variant), b"x")

        store.delete(Key(ID, "thumb"))
        store.delete(Key(ID, "thumb"))

        assert (store.get(Key(ID, "thumb")), store.get(Key(ID, "full"))) == (None, b"x")

    def test_tells_what_is_old(self, store):
        keys = {Key(uuid4(), variant) for variant in ("original", "thumb", "full")} | {Key(ID, "full")}
        for key in keys:
            store.put(key, b"x")

        assert set(store.older_than(60)) == set()
        assert set(store.older_than(-60)) == keys

    @pytest.mark.parametrize("hours", [-200, 200])
    def test_asks_our_clock_and_not_the_hosts(self, store, monkeypatch, hours):
        store.put(Key(ID, "thumb"), b"x")
        right = time.time
        monkeypatch.setattr(time, "time", lambda: right() + hours * 3600)

        assert list(store.older_than(-60)) == [Key(ID, "thumb")]
        assert list(store.older_than(60)) == []

    def test_with_nothing_in_it_has_nothing_old(self, store):
        assert list(store.older_than(-60)) == []


class TestFolder:
    def test_names_files_after_the_image_and_its_size(self, tmp_path):
        Folder(tmp_path).put(Key(ID, "thumb"), b"x")

        assert [str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()] == [f"0f/{ID}-thumb"]

    def test_leaves_alone_what_is_not_its_own(self, tmp_path):
        (tmp_path / "ab").mkdir()
        for name in ("README", "0f0e-thumb", f"{ID}", f"{ID}-", f"{str(ID).upper()}-thumb", f"{ID}-a.b"):
            (tmp_path / "ab" / name).touch()

        assert list(Folder(tmp_path).older_than(-60)) == []
        assert len(list((tmp_path / "ab").iterdir())) == 6

    def test_removes_the_old_drafts_of_writers_that_died(self, tmp_path):
        (tmp_path / "ab").mkdir()
        old, new = (tmp_path / "ab" / f"{ID}-thumb.{name}.draft" for name in ("old", "new"))
        for draft in (old, new):
            draft.touch()
        os.utime(old, (time.time() - 7_200,) * 2)

        assert list(Folder(tmp_path).older_than(3_600)) == []
        assert (old.exists(), new.exists()) == (False, True)

    def test_a_write_that_fails_leaves_what_there_was(self, tmp_path, monkeypatch):
        store = Folder(tmp_path)
        store.put(Key(ID, "thumb"), b"1")

        def no_space(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(image_store.os, "fsync", no_space)
        with pytest.raises(Unavailable):
            store.put(Key(ID, "thumb"), b"2")

        assert store.get(Key(ID, "thumb")) == b"1"
        assert len(list((tmp_path / "0f").iterdir())) == 1

    def test_that_cannot_be_used_is_unavailable(self, tmp_path):
        (tmp_path / "images").write_text("a file")
        store = Folder(tmp_path / "images")

        for attempt in (lambda: store.put(Key(ID, "thumb"), b"x"), lambda: store.get(Key(ID, "thumb"))):
            with pytest.raises(Unavailable):
                attempt()


class TestBucket:
    def test_names_objects_after_the_prefix_the_image_and_its_size(self, server):
        store_at("s3://shop/a/b/").put(Key(ID, "thumb"), b"x")
        store_at("s3://shop").put(Key(ID, "full"), b"x")

        assert sorted(server.objects) == [f"/shop/{ID}-full", f"/shop/a/b/{ID}-thumb"]

    def test_tells_only_what_is_under_its_prefix_and_its_own(self, server):
        server.objects = {
            name: (b"x", datetime.now(UTC) - timedelta(hours=2))
            for name in (f"/shop/a/{ID}-thumb", f"/shop/b/{ID}-thumb", "/shop/a/README", f"/other/a/{ID}-thumb")
        }

        assert list(store_at("s3://shop/a").older_than(3_600)) == [Key(ID, "thumb")]
        assert list(store_at("s3://shop/a").older_than(3 * 3_600)) == []

    def test_that_refuses_is_unavailable(self, server):
        store, server.fails_with = store_at("s3://shop"), 403

        for attempt in (
            lambda: store.put(Key(ID, "thumb"), b"x"),
            lambda: store.get(Key(ID, "thumb")),
            lambda: store.delete(Key(ID, "thumb")),
            lambda: list(store.older_than(1)),
        ):
            with pytest.raises(Unavailable):
                attempt()

    def test_that_does_not_answer_is_unavailable(self, server, monkeypatch):
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")

        with pytest.raises(Unavailable):
            store_at("s3://shop").get(Key(ID, "thumb"))

    def test_is_not_there_to_be_had_without_boto3(self, monkeypatch):
        monkeypatch.setattr(image_store, "find_spec", lambda name: None)

        with pytest.raises(UsageError, match=r"pip install -r requirements-s3.txt"):
            store_at("s3://shop")

    def test_is_connected_to_when_it_is_needed(self, server):
        assert isinstance(store_at("s3://shop"), Bucket)

        assert server.asked == []


class TestSetting:
    @pytest.mark.parametrize("where", ["/var/lib/images", "s3://bucket", "s3://bucket/prefix", "s3://my.bucket-1/a/b/"])
    def test_of_a_store_outside(self, where):
        assert is_outside(where) is True

    def test_of_the_database(self):
        assert is_outside("database") is False

    @pytest.mark.parametrize("where", ["", "images", "./images", "s3://", "s3:///prefix", "s3://a?b=c", "http://a/b"])
    def test_that_makes_no_sense(self, where):
        with pytest.raises(ValueError, match="Neither database"):
            is_outside(where)


def test_a_folder_takes_paths_only_from_ids():
    assert Key.named("../../etc/passwd") is None
    assert Key.named(f"{ID}-../../x") is None
    assert Key.named(Key(ID, "thumb").name) == Key(ID, "thumb")
    assert isinstance(store_at("/tmp"), Folder)
    assert Path(Key(ID, "thumb").name).name == f"{ID}-thumb"
