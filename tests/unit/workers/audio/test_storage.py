"""Nothing outside the prefixes is read, nothing too large, nothing unpromised; and no message tells where."""

import hashlib
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Thread
from typing import ClassVar

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from schemas.errors import ConfigurationError, Poison, Transient
from schemas.settings import Settings
from tests.keys import erase, sealing
from tests.raw_server import Connection, always, misbehaving, ok, status
from workers.audio.storage import AudioStore
from workers.privacy.files.audio_copies import AudioCopies
from workers.privacy.sealing import close_all, sealing_of
from workers.service import prometheus
from workers.service.health import HEALTH

CONTENT = b"forty-two bytes of what could be audio..."


def store(*prefixes: str | Path, max_bytes: int = 1000) -> AudioStore:
    return AudioStore(
        Settings(
            audio_prefixes=tuple(map(str, prefixes)), audio_max_bytes=max_bytes, audio_attempts=3, audio_retry_s=0.01
        )
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inside, outside = tmp_path / "in", tmp_path / "inside-out"
    for path in (inside, outside):
        path.mkdir()
        (path / "memo.wav").write_bytes(CONTENT)
    return inside


def refusal(store: AudioStore, uri: str, sha256: str | None = None) -> str:
    with pytest.raises(Poison) as caught:
        store.read(uri, sha256)
    for secret in ("memo", "in", "wav", "secret"):
        assert f"/{secret}" not in str(caught.value)
    return caught.value.reason


def test_objects_under_a_prefix_are_read_however_they_are_spelled(folder: Path) -> None:
    for prefix in (folder, f"file://{folder}", f"{folder}/", f"file://localhost{folder}/"):
        for uri in (
            f"{folder}/memo.wav",
            f"file://{folder}/memo.wav",
            f"FILE://{folder}/memo.wav",
            f"file://{folder}/./memo.wav",
            f"file://{folder}/x/../memo.wav",
            f"file://{folder}/m%65mo.wav",
        ):
            assert store(prefix).read(uri, None) == CONTENT


@pytest.mark.parametrize(
    "uri",
    [
        "{out}/memo.wav",
        "file://{out}/memo.wav",
        "{in}/../inside-out/memo.wav",
        "file://{in}/../inside-out/memo.wav",
        "file://{in}/%2e%2e/inside-out/memo.wav",
        "file://{in}/%2E%2E%2Finside-out/memo.wav",
        "file://{in}/..%2finside-out%2fmemo.wav",
        "local://{out}/memo.wav",
        "file://other-host{in}/memo.wav",
        "file:{in}/memo.wav",
        "simplecache::file://{in}/memo.wav",
        "filecache::{in}/memo.wav",
        "zip://memo.wav::file://{in}/memo.zip",
        "file://file://{in}/memo.wav",
        "memory://in/memo.wav",
        "http://localhost{in}/memo.wav",
        "in/memo.wav",
        "./memo.wav",
        "~/memo.wav",
        "",
        "/",
        "file://",
        "file:///",
        "{in}/memo.wav\0",
        "{in}/memo.wav\n",
        "file://{in}/memo.wav%00",
        "file://{in}/memo.wav%0a",
        "{in}/" + "a" * 5000,
        "file://{in}",
        "/etc/hostname",
        "/dev/zero",
        "/proc/self/environ",
    ],
)
def test_everything_else_is_refused(folder: Path, uri: str) -> None:
    uri = uri.replace("{in}", str(folder)).replace("{out}", str(folder.parent / "inside-out"))
    assert refusal(store(folder), uri) == "audio:uri_refused"


def test_links_are_followed_before_they_are_judged(folder: Path) -> None:
    outside = folder.parent / "inside-out"
    (folder / "link.wav").symlink_to(outside / "memo.wav")
    (folder / "door").symlink_to(outside)
    (folder / "same.wav").symlink_to(folder / "memo.wav")
    (folder / "loop.wav").symlink_to(folder / "loop.wav")
    (folder.parent / "alias").symlink_to(folder)
    assert refusal(store(folder), f"{folder}/link.wav") == "audio:uri_refused"
    assert refusal(store(folder), f"{folder}/door/memo.wav") == "audio:uri_refused"
    assert refusal(store(folder), f"{folder}/loop.wav") == "audio:uri_refused"
    assert store(folder).read(f"{folder}/same.wav", None) == CONTENT
    assert store(folder.parent / "alias").read(f"{folder}/memo.wav", None) == CONTENT


def test_no_prefix_reads_nothing(folder: Path) -> None:
    assert refusal(store(), f"{folder}/memo.wav") == "audio:uri_refused"


def test_size_is_bounded_before_anything_is_read(folder: Path) -> None:
    assert store(folder, max_bytes=len(CONTENT)).read(f"{folder}/memo.wav", None) == CONTENT
    assert refusal(store(folder, max_bytes=len(CONTENT) - 1), f"{folder}/memo.wav") == "audio:too_large"
    with (folder / "hole.wav").open("wb") as file:
        file.truncate(1 << 40)
    assert refusal(store(folder), f"{folder}/hole.wav") == "audio:too_large"


def test_the_bytes_are_those_that_were_promised(folder: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert store(folder).read(f"{folder}/memo.wav", digest.upper()) == CONTENT
    assert refusal(store(folder), f"{folder}/memo.wav", "0" * 64) == "audio:checksum"


def test_a_missing_folder_is_an_outage_and_its_objects_are_no_poison(folder: Path) -> None:
    storage = store(folder)
    folder.rename(folder.with_name("away"))
    with pytest.raises(Transient):
        storage.read(f"{folder}/memo.wav", None)
    folder.with_name("away").rename(folder)
    assert storage.read(f"{folder}/memo.wav", None) == CONTENT


def test_a_missing_object_is_poison_after_a_few_tries(folder: Path) -> None:
    assert refusal(store(folder), f"{folder}/nothing.wav") == "audio:missing"


def test_many_threads_read_at_once(folder: Path) -> None:
    shared, seen = store(folder), []
    threads = [Thread(target=lambda: seen.append(shared.read(f"{folder}/memo.wav", None))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [CONTENT] * 8


class Flaky(MemoryFileSystem):  # type: ignore[misc]
    """Memory storage that fails as told before it answers."""

    protocol = "flaky"
    store: ClassVar[dict[str, object]] = {}
    cachable = False
    faults: ClassVar[list[Exception]] = []

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return "/" + path.removeprefix("flaky://").strip("/")

    def size(self, path: str) -> int | None:
        """Raises the next fault, if one is left."""
        if self.faults:
            raise self.faults.pop(0)
        return int(MemoryFileSystem.size(self, path))


@pytest.fixture
def flaky() -> Iterator[AudioStore]:
    fsspec.register_implementation("flaky", Flaky, clobber=True)
    Flaky.faults = []
    Flaky().pipe("/bucket/a/memo.wav", CONTENT)
    yield store("flaky://bucket/a")
    Flaky.store.clear()


def test_an_object_that_comes_late_is_waited_for(flaky: AudioStore) -> None:
    Flaky.faults = [FileNotFoundError(), FileNotFoundError()]
    assert flaky.read("flaky://bucket/a/memo.wav", None) == CONTENT


def test_storage_that_fails_is_transient_and_not_tried_here_again(flaky: AudioStore) -> None:
    faults: dict[Exception, str] = {
        ConnectionError("no route"): "ConnectionError",
        TimeoutError(): "no answer in time",
        RuntimeError("client error"): "RuntimeError",
        OSError(5, "I/O"): "input/output error",
    }
    for fault, said in faults.items():
        Flaky.faults = [fault]
        with pytest.raises(Transient, match=said):
            flaky.read("flaky://bucket/a/memo.wav", None)
        assert flaky.read("flaky://bucket/a/memo.wav", None) == CONTENT


def test_storage_that_denies_access_is_transient_and_named_by_health(flaky: AudioStore) -> None:
    Flaky.faults = [PermissionError("denied for /bucket/a/memo.wav")]
    with pytest.raises(Transient, match="denies access") as denied:
        flaky.read("flaky://bucket/a/memo.wav", None)
    assert "memo" not in str(denied.value)
    assert "denies access" in HEALTH.lacking()["storage"]
    assert flaky.read("flaky://bucket/a/memo.wav", None) == CONTENT
    assert "storage" not in HEALTH.lacking()


def test_an_object_that_is_denied_while_others_are_delivered_is_forbidden(
    flaky: AudioStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    flaky.read("flaky://bucket/a/memo.wav", None)
    Flaky.faults = [PermissionError()]
    with pytest.raises(Transient):
        flaky.read("flaky://bucket/a/denied.wav", None)
    for _ in range(10):
        flaky.read("flaky://bucket/a/memo.wav", None)
    now = time.monotonic() + 3600
    monkeypatch.setattr(flaky._in_turn, "_clock", lambda: now)
    Flaky.faults = [PermissionError()]
    assert refusal(flaky, "flaky://bucket/a/denied.wav") == "audio:forbidden"


def test_an_object_that_is_still_being_written_is_waited_for(folder: Path) -> None:
    digest = hashlib.sha256(CONTENT).hexdigest()
    path = folder / "memo.wav"
    path.write_bytes(CONTENT[:10])
    attempts: list[bytes] = []

    def timed(*_: object, **__: object) -> AbstractContextManager[None]:
        attempts.append(path.read_bytes())
        if len(attempts) == 2:
            path.write_bytes(CONTENT)
        return nullcontext()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prometheus, "timed", timed)
        assert store(folder).read(f"{folder}/memo.wav", digest) == CONTENT
    assert len(attempts) == 2


def test_objects_over_http_are_read_under_their_prefix_alone() -> None:
    async def answer(connection: Connection) -> None:
        redirected = connection.path == "/memos/moved.wav"
        await connection.send(status(302, "Location: /secret") if redirected else ok(CONTENT))

    with misbehaving(answer) as server:
        storage = store(f"{server.url}/memos/")
        assert storage.read(f"{server.url}/memos/memo.wav", None) == CONTENT
        for uri in ("/secret", "/memos2/memo.wav", "/memos/../secret", "/memos/%2e%2e/secret", "/memos/moved.wav"):
            assert refusal(storage, server.url + uri) == "audio:uri_refused"
        assert {connection.path for connection in server.connections} == {"/memos/memo.wav", "/memos/moved.wav"}


@pytest.mark.parametrize("code", [401, 403, 407, 429, 500, 502, 503, 504])
def test_an_outage_makes_no_dead_letter_and_ends_with_the_storage_s_return(code: int) -> None:
    down = True

    async def answer(connection: Connection) -> None:
        await connection.send(status(code, "Retry-After: 0") if down else ok(CONTENT))

    with misbehaving(answer) as server:
        storage = store(server.url)
        for number in range(40):
            with pytest.raises(Transient):
                storage.read(f"{server.url}/memo-{number}.wav", None)
        down = False
        for number in range(40):
            assert storage.read(f"{server.url}/memo-{number}.wav", None) == CONTENT


@pytest.mark.parametrize("code", [404, 410])
def test_an_object_that_http_says_is_gone_is_missing(code: int) -> None:
    with misbehaving(always(status(code))) as server:
        assert refusal(store(server.url), f"{server.url}/memo.wav") == "audio:missing"
        assert len(server.connections) == 3


@pytest.mark.parametrize(
    "uri",
    [
        "flaky://bucket/ab/memo.wav",
        "flaky://bucket/memo.wav",
        "flaky://other/a/memo.wav",
        "flaky://bucket/a/../memo.wav",
        "flaky://bucket/a/%2e%2e/memo.wav",
        "flaky://bucket/a//memo.wav",
        "flaky://bucket\\a\\memo.wav",
        "flaky://user@bucket/a/memo.wav",
        "flaky://bucket/a/memo.wav?versionId=1",
        "flaky://bucket/a/memo.wav#part",
        "flaky://bucket/a/memo.wav::file:///etc/hostname",
        "simplecache::flaky://bucket/a/memo.wav",
        "memory://bucket/a/memo.wav",
        "flaky:/bucket/a/memo.wav",
        "flaky+x://bucket/a/memo.wav",
    ],
)
def test_remote_addresses_have_one_reading_or_none(flaky: AudioStore, uri: str) -> None:
    assert refusal(flaky, uri) == "audio:uri_refused"


@pytest.mark.parametrize(
    "prefix", ["relative/folder", "nothere://bucket", "file://host/data", "s3:/bucket", "memory://"]
)
def test_prefixes_that_are_none_stop_the_start(prefix: str) -> None:
    with pytest.raises(ConfigurationError, match="entry 1"):
        store(prefix)


def test_sealed_copies_are_read_as_their_audio(tmp_path: Path) -> None:
    """Of somebody who was erased there is nothing; one that was changed is not what the event says."""
    folder = tmp_path / "audio"
    folder.mkdir()
    settings = sealing(
        tmp_path, audio_prefixes=(folder.as_uri(),), audio_attempts=1, audio_max_bytes=1000, audio_give_up_s=0.001
    )
    copies, store, audio = AudioCopies(settings), AudioStore(settings), bytes(1000)
    path, digest = folder / "copy.wav", hashlib.sha256(audio).hexdigest()
    path.write_bytes(copies.sealed("ann", audio))
    assert store.read(path.as_uri(), digest) == audio
    erase(sealing_of(settings).keyring, "ann")
    (folder / "more.wav").write_bytes(copies.sealed("ben", bytes(1001)))
    (folder / "cut.wav").write_bytes(copies.sealed("ben", audio)[:-1])
    reasons = {"copy.wav": "audio:missing", "more.wav": "audio:too_large", "cut.wav": "audio:checksum"}
    for name, reason in reasons.items():
        with pytest.raises(Poison) as refused:
            store.read((folder / name).as_uri(), digest)
        assert refused.value.reason == reason, name
    close_all()
