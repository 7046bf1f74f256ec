"""Where signed heads are kept: a file that is only appended to, or a bucket whose objects no one can replace.

Heads have the numbers 1, 2, 3 and so on, and an anchor takes each number once: of two signers at the same moment the
second is refused, and continues from the head of the first. Everything blocks: call it in a thread.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import urlsplit

from schemas.errors import ConfigurationError, Transient
from schemas.settings import Settings
from streams.audit.heads import SignedHead
from workers.service.private_files import private_opener

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError

TAIL_BYTES = 4 * 1024 * 1024
"""Longest line of the file; a head has a few hundred bytes and 16 of each event."""
TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict"})
"""Answers of S3 to a second object of the same name."""


class Anchor(Protocol):
    """A place for heads, as `SignedHead.line` writes them. All raise Transient while it does not answer."""

    name: str

    def lines(self) -> Iterator[bytes]:
        """Every head, in the order of their numbers."""

    def last(self) -> bytes | None:
        """The newest head, None without one."""

    def put(self, number: int, line: bytes) -> bool:
        """Keep a head; False where there is one of this number. Returns when it cannot be lost any more."""


def make_anchors(settings: Settings) -> list[Anchor]:
    """The anchors of the settings, in their order. Raises ConfigurationError where a package is missing."""
    return [_anchor(each, timedelta(days=settings.audit_anchor_lock_days)) for each in settings.audit_anchors]


def _anchor(address: str, lock: timedelta) -> Anchor:
    parts = urlsplit(address)
    if parts.scheme == "file":
        return FileAnchor(Path(parts.path))
    return BucketAnchor(_s3(), parts.netloc, parts.path.strip("/"), lock)


class FileAnchor:
    """A file with a head a line. `chattr +a` on it, or a mount that only appends, keeps its administrator honest."""

    def __init__(self, path: Path) -> None:
        self.name, self._path = "file", path

    def lines(self) -> Iterator[bytes]:
        """Every line."""
        try:
            with self._path.open("rb") as file:
                yield from (line.rstrip(b"\n") for line in file)
        except FileNotFoundError:
            return
        except OSError as error:
            raise _refused("file", error) from error

    def last(self) -> bytes | None:
        """The last whole line."""
        try:
            with self._path.open("rb") as file:
                whole, _ = _tail(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused("file", error) from error
        return whole.rstrip(b"\n").rsplit(b"\n", 1)[-1] or None

    def put(self, number: int, line: bytes) -> bool:
        """Append a line, on disk when this returns.

        The part of one that a signer left which was killed, or whose disk was full, is removed: no one has that head.
        """
        try:
            with open(self._path, "a+b", opener=private_opener) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _, part = _tail(file)
                if part:
                    file.truncate(file.seek(0, os.SEEK_END) - len(part))
                newest = self.last()
                if newest is not None and SignedHead.of_line(newest).head.number >= number:
                    return False
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _refused("file", error) from error
        except ValueError as error:
            raise Transient(
                "UNDERTONE_AUDIT_ANCHORS: the last line of its file is no head: verify the trail"
            ) from error
        return True


def _tail(file: BinaryIO) -> tuple[bytes, bytes]:
    """The last whole lines of a file, and what is after them."""
    file.seek(max(file.seek(0, os.SEEK_END) - TAIL_BYTES, 0))
    lines, end, part = file.read().rpartition(b"\n")
    return lines + end, part


class BucketAnchor:
    """A bucket with object lock, by the S3 API: an object a head, which no one can delete or replace until it expires.

    A newer version of an object, or a marker that deletes it, hides the head and removes nothing: the oldest version
    counts. client: of boto3; lock: for how long.
    """

    def __init__(self, client: Any, bucket: str, prefix: str, lock: timedelta) -> None:
        self.name = "bucket"
        self._client, self._bucket, self._lock = client, bucket, lock
        self._prefix = f"{prefix}/" if prefix else ""

    def lines(self) -> Iterator[bytes]:
        """Every object."""
        return (self._read(*found) for found in self._oldest())

    def last(self) -> bytes | None:
        """The object of the highest number."""
        found = self._oldest()
        return self._read(*found[-1]) if found else None

    def put(self, number: int, line: bytes) -> bool:
        """Put an object that is locked from then on."""
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=f"{self._prefix}{number:012d}.json",
                Body=line,
                ContentType="application/json",
                ChecksumAlgorithm="SHA256",
                IfNoneMatch="*",
                ObjectLockMode="COMPLIANCE",
                ObjectLockRetainUntilDate=datetime.now(UTC) + self._lock,
            )
        except _errors() as error:
            if _code(error) in TAKEN:
                return False
            raise _bucket_refused(error) from error
        return True

    def _oldest(self) -> Sequence[tuple[str, str]]:
        """Name and oldest version of every object, in the order of the names."""
        versions: dict[str, tuple[datetime, str]] = {}
        try:
            pages = self._client.get_paginator("list_object_versions").paginate(
                Bucket=self._bucket, Prefix=self._prefix
            )
            for each in (each for page in pages for each in page.get("Versions", ())):
                found = (each["LastModified"], each["VersionId"])
                # S3 lists the versions of an object from the newest on.
                if each["Key"] not in versions or found[0] <= versions[each["Key"]][0]:
                    versions[each["Key"]] = found
        except _errors() as error:
            raise _bucket_refused(error) from error
        return [(key, version) for key, (_, version) in sorted(versions.items())]

    def _read(self, key: str, version: str) -> bytes:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=key, VersionId=version)
            body: bytes = answer["Body"].read()
        except _errors() as error:
            raise _bucket_refused(error) from error
        return body


def _s3() -> Any:
    """A client of the S3 API, by the settings that every program of AWS takes (AWS_ENDPOINT_URL_S3 and so on)."""
    try:
        import boto3
    except ImportError as error:
        raise ConfigurationError(
            "UNDERTONE_AUDIT_ANCHORS: a bucket needs the packages of `pip install 'undertone-voice[audit-anchors]'`"
        ) from error
    return boto3.client("s3")


def _errors() -> "tuple[type[BotoCoreError], type[ClientError]]":
    from botocore.exceptions import BotoCoreError, ClientError

    return BotoCoreError, ClientError


def _code(error: Exception) -> str:
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def _refused(name: str, error: OSError) -> Transient:
    return Transient(
        f"UNDERTONE_AUDIT_ANCHORS: the {name} cannot be used ({error.strerror}): check path and permissions"
    )


def _bucket_refused(error: Exception) -> Transient:
    why = _code(error) or type(error).__name__
    return Transient(f"UNDERTONE_AUDIT_ANCHORS: the bucket does not serve this ({why}): check it, and its permissions")
