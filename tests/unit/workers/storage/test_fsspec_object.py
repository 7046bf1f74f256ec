"""Objects from any storage of fsspec: what its client raises, or never returns, has one meaning."""

import errno
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from schemas.errors import Poison, Transient, UndertoneError
from workers.storage.fsspec_object import ABANDONED, FsspecObjects, classified
from workers.storage.outcomes import Denied, Missing
from workers.storage.uri import place

CONTENT = bytes(range(200))
MEMO = place("slow://bucket/memo.wav")


class Slow(MemoryFileSystem):  # type: ignore[misc]
    """Memory storage that answers when it is told to, and may declare another size than it has."""

    protocol = "slow"
    store: ClassVar[dict[str, object]] = {}
    cachable = False
    answers = threading.Event()
    declared: ClassVar[int | None] = None

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("slow://").strip("/")

    def size(self, path: str) -> int | None:
        assert self.answers.wait(30)
        return self.declared if self.declared is not None else int(MemoryFileSystem.size(self, path))


@pytest.fixture
def slow() -> Iterator[type[Slow]]:
    fsspec.register_implementation("slow", Slow, clobber=True)
    Slow.declared = None
    Slow().pipe("/bucket/memo.wav", CONTENT)
    Slow.answers.set()
    yield Slow
    Slow.answers.set()
    Slow.store.clear()


def test_an_object_is_whole(slow: type[Slow]) -> None:
    assert FsspecObjects(30.0).read(MEMO, len(CONTENT)) == CONTENT


def test_an_object_of_unknown_size_is_read_to_its_end_within_the_limit(
    slow: type[Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Slow, "size", lambda *_: None)
    assert FsspecObjects(30.0).read(MEMO, len(CONTENT)) == CONTENT
    with pytest.raises(Poison, match="larger than the maximum"):
        FsspecObjects(30.0).read(MEMO, len(CONTENT) - 1)


def test_an_object_shorter_than_declared_is_retried(slow: type[Slow]) -> None:
    Slow.declared = len(CONTENT) + 1
    with pytest.raises(Transient, match="fewer bytes than it declared"):
        FsspecObjects(30.0).read(MEMO, 1000)


def test_a_storage_that_does_not_answer_is_left_at_the_timeout_and_gets_a_few_threads(slow: type[Slow]) -> None:
    Slow.answers.clear()
    objects = FsspecObjects(0.05)
    for _ in range(ABANDONED):
        with pytest.raises(Transient, match=r"within 0\.05 s"):
            objects.read(MEMO, 1000)
    before = threading.active_count()
    with pytest.raises(Transient, match="has not answered earlier reads"):
        objects.read(MEMO, 1000)
    assert threading.active_count() == before
    Slow.answers.set()
    for thread in threading.enumerate():
        if thread.name == "storage":
            thread.join()
    assert objects.read(MEMO, 1000) == CONTENT


class Client(Exception):
    """An error of a storage client."""

    def __init__(self, **known: Any) -> None:
        super().__init__("with a bucket and a key")
        self.__dict__.update(known)


def s3(status: int, code: str) -> Client:
    return Client(response={"ResponseMetadata": {"HTTPStatusCode": status}, "Error": {"Code": code}})


def because(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (FileNotFoundError("key"), Missing),
        (because(FileNotFoundError("key"), s3(404, "NoSuchKey")), Missing),
        (because(FileNotFoundError("key"), s3(404, "NoSuchBucket")), Transient),
        (because(FileNotFoundError("key"), s3(403, "AccessDenied")), Denied),
        (because(FileNotFoundError("key"), PermissionError("denied")), Denied),
        (PermissionError("denied"), Denied),
        (s3(403, "AccessDenied"), Denied),
        (s3(401, "ExpiredToken"), Denied),
        (Client(code=403), Denied),
        (Client(code="401"), Denied),
        (Client(status=407), Denied),
        (Client(status_code=403), Denied),
        (s3(404, "NotFound"), Transient),
        (s3(503, "SlowDown"), Transient),
        (Client(code=429), Transient),
        (Client(response="no dictionary"), Transient),
        (OSError(errno.EINVAL, "bad request"), Transient),
        (OSError(errno.EBUSY, "reduce your rate"), Transient),
        (ConnectionResetError(), Transient),
        (TimeoutError(), Transient),
        (RuntimeError("event loop"), Transient),
        (IsADirectoryError("key"), Poison),
        (OSError(errno.ENAMETOOLONG, "key"), Poison),
    ],
)
def test_an_error_of_a_client_has_one_meaning_and_no_path(error: Exception, meaning: type[UndertoneError]) -> None:
    found = classified(error)
    assert type(found) is meaning
    assert "key" not in str(found)


def test_causes_in_a_circle_end() -> None:
    one, other = RuntimeError("one"), RuntimeError("other")
    one.__cause__, other.__cause__ = other, one
    assert type(classified(one)) is Transient
