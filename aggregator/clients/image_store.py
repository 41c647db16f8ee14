"""Where the bytes of images can lie outside of the database: in a folder, or in a bucket of S3."""

import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from aggregator.clock import utcnow
from aggregator.errors import ImagesUnavailable, UsageError

DATABASE = "database"
DRAFT = ".draft"
NOT_A_STORE = "Neither database, nor a folder such as /var/lib/images, nor s3://bucket/prefix."
NO_BOTO = "For S3, boto3 has to be installed: pip install -r requirements-s3.txt."


class Key(NamedTuple):
    """Under what the bytes of an image in one size lie."""

    image_id: UUID
    variant: str

    @property
    def name(self) -> str:
        """As a file is called: the id and, after a hyphen, the variant."""
        return f"{self.image_id}-{self.variant}"

    @classmethod
    def named(cls, name: str) -> "Key | None":
        """The key of a name; None where it is the name of something else."""
        with suppress(ValueError):
            key = cls(UUID(name[:36]), name[37:])
            return key if key.name == name and key.variant.isalpha() else None
        return None


class ImageStore(Protocol):
    """Keeps bytes. Each method raises Unavailable where it cannot do so now."""

    def put(self, key: Key, content: bytes) -> None:
        """Keep content, all of it or nothing, in place of what there was."""

    def get(self, key: Key) -> bytes | None:
        """What is kept; None where there is nothing."""

    def delete(self, key: Key) -> None:
        """Keep it no more, if it was kept at all."""

    def older_than(self, seconds: float) -> Iterator[Key]:
        """All that has been kept for that long."""


def is_outside(where: str) -> bool:
    """Whether images lie outside of the database. ValueError where it says nothing that can be understood."""
    if where == DATABASE:
        return False
    if where.startswith("s3://"):
        if not urlsplit(where).netloc or urlsplit(where).query or urlsplit(where).fragment:
            raise ValueError(NOT_A_STORE)
    elif not Path(where).is_absolute():
        raise ValueError(NOT_A_STORE)
    return True


def store_at(where: str) -> ImageStore:
    """The store outside of the database that a setting names."""
    if where.startswith("s3://"):
        bucket, _, prefix = where.removeprefix("s3://").partition("/")
        return Bucket(bucket, prefix)
    return Folder(Path(where))


class Folder:
    """A folder that all processes see, such as a volume."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, key: Key, content: bytes) -> None:
        """Keep content under its name, once it is on the disk."""
        file = self._file(key)
        draft = file.with_name(f"{file.name}.{token_hex(4)}{DRAFT}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            try:
                with draft.open("xb") as opened:
                    opened.write(content)
                    opened.flush()
                    os.fsync(opened.fileno())
                draft.replace(file)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise ImagesUnavailable from error

    def get(self, key: Key) -> bytes | None:
        """What the file holds."""
        try:
            return self._file(key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ImagesUnavailable from error

    def delete(self, key: Key) -> None:
        """Remove the file."""
        try:
            self._file(key).unlink(missing_ok=True)
        except OSError as error:
            raise ImagesUnavailable from error

    def older_than(self, seconds: float) -> Iterator[Key]:
        """The keys of files that are so old; drafts of that age, whose writer has died, are removed."""
        before = utcnow().timestamp() - seconds
        try:
            for file in self._path.glob("??/*"):
                if file.stat().st_mtime >= before:
                    continue
                if file.name.endswith(DRAFT):
                    file.unlink(missing_ok=True)
                elif key := Key.named(file.name):
                    yield key
        except OSError as error:
            raise ImagesUnavailable from error

    def _file(self, key: Key) -> Path:
        return self._path / key.name[:2] / key.name


class Bucket:
    """A bucket of S3, or of what speaks its protocol; boto3 finds the credentials by itself, as it always does."""

    def __init__(self, bucket: str, prefix: str) -> None:
        if find_spec("boto3") is None:
            raise UsageError(NO_BOTO)
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client: Any = None

    def put(self, key: Key, content: bytes) -> None:
        """Keep content as an object."""
        self._call("put_object", Key=self._prefix + key.name, Body=content)

    def get(self, key: Key) -> bytes | None:
        """What the object holds."""
        content: bytes | None = self._call("get_object", "NoSuchKey", Key=self._prefix + key.name)
        return content

    def delete(self, key: Key) -> None:
        """Delete the object."""
        self._call("delete_object", Key=self._prefix + key.name)

    def older_than(self, seconds: float) -> Iterator[Key]:
        """The keys of objects that are so old."""
        before = utcnow().timestamp() - seconds
        more: dict[str, str] = {}
        while True:
            page = self._call("list_objects_v2", Prefix=self._prefix, **more)
            for found in page.get("Contents", []):
                key = Key.named(found["Key"].removeprefix(self._prefix))
                if key and found["LastModified"].timestamp() < before:
                    yield key
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _call(self, operation: str, nothing: str = "", **parameters: Any) -> Any:
        """The answer, or the body of it where there is one; None where the error is that there is no such thing."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = getattr(self._connected(), operation)(Bucket=self._bucket, **parameters)
            return answer["Body"].read() if "Body" in answer else answer
        except ClientError as error:
            if nothing and error.response.get("Error", {}).get("Code") == nothing:
                return None
            raise ImagesUnavailable from error
        except (BotoCoreError, OSError) as error:
            raise ImagesUnavailable from error

    def _connected(self) -> Any:
        """The client, which takes a while to be made: it is made when it is first needed."""
        if self._client is None:
            import boto3
            from botocore.config import Config

            retries = {"total_max_attempts": 2, "mode": "standard"}
            self._client = boto3.client("s3", config=Config(connect_timeout=3, read_timeout=5, retries=retries))
        return self._client
