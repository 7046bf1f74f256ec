"""Stores of uploads: one contract for a folder and for a storage of fsspec."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from schemas.errors import ConfigurationError, Transient
from schemas.settings import Settings
from streams.api.uploads.audio_store import ABANDONED_S, Folder, UploadStore, make_store
from tests.keys import sealing
from workers.audio.storage import AudioStore
from workers.privacy.files.audio_copies import AudioCopies
from workers.privacy.sealing import close_all, sealing_of

AUDIO = b"RIFF" + bytes(5000)


@pytest.fixture(params=["file", "memory"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "spool"))
    (tmp_path / "spool").mkdir()
    address = (tmp_path / "store").as_uri() if request.param == "file" else "memory://bucket/uploads"
    yield Settings(audio_prefixes=(address,), upload_store=address, audio_attempts=1)
    fsspec.filesystem("memory").store.clear()


def store_of(settings: Settings) -> UploadStore:
    store = make_store(settings)
    assert store is not None
    return store


def put(store: UploadStore, name: str | None = "memo.wav") -> None:
    """Upload; without a name the client is cut off before the end."""
    with store.begin() as partial:
        partial.write(AUDIO)
        if name is None:
            raise ValueError("cut")
        partial.keep(name, "ann")


def traces(tmp_path: Path) -> list[str]:
    """Every file that there is, anywhere."""
    files = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()]
    return files + list(fsspec.filesystem("memory").store)


def test_audio_that_is_kept_is_what_a_worker_reads(settings: Settings, tmp_path: Path) -> None:
    with store_of(settings).begin() as partial:
        partial.write(AUDIO[:100])
        assert partial.head(4) == b"RIFF"
        partial.write(AUDIO[100:])
        uri = partial.keep("memo.wav", "ann")
    assert AudioStore(settings).read(uri, None) == AUDIO
    assert len(traces(tmp_path)) == 1
    store_of(settings).remove(uri)
    assert traces(tmp_path) == []
    store_of(settings).remove(uri)


def test_audio_that_is_not_kept_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    with store_of(settings).begin() as partial:
        partial.write(AUDIO)
    with pytest.raises(ValueError, match="cut"):
        put(store_of(settings), None)
    assert traces(tmp_path) == []


def test_a_full_disk_is_transient_and_leaves_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = store_of(settings)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Transient, match="No space left on device"):
        put(store)
    assert traces(tmp_path) == []


def test_an_object_storage_that_fails_is_transient_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    store = store_of(Settings(audio_prefixes=("memory://bucket",), upload_store="memory://bucket"))
    monkeypatch.setattr(type(fsspec.filesystem("memory")), "mv", _fails)
    with pytest.raises(Transient, match="RuntimeError"):
        put(store)
    assert traces(tmp_path) == []


def _fails(*_: object, **__: object) -> None:
    raise RuntimeError("the bucket is gone")


def test_in_a_folder_for_its_user_alone_audio_is_so_too(tmp_path: Path) -> None:
    for folder, mode in ((tmp_path / "home", 0o700), (tmp_path / "shared", 0o770)):
        folder.mkdir()
        folder.chmod(mode)
        put(Folder(folder))
        (kept,) = folder.iterdir()
        assert kept.stat().st_mode & 0o777 & ~mode == 0


def test_what_a_killed_process_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    old, new, whole = (tmp_path / name for name in ("a.part", "b.part", "c.wav"))
    for path in (old, new, whole):
        path.write_bytes(AUDIO)
    long_ago = old.stat().st_mtime - ABANDONED_S - 1
    os.utime(old, (long_ago, long_ago))
    os.utime(whole, (long_ago, long_ago))
    Folder(tmp_path)
    assert sorted(tmp_path.iterdir()) == [new, whole]


@pytest.mark.parametrize(
    ("store", "prefixes"),
    [
        ("file:///var/other", ("file:///var/memos",)),
        ("file:///var/other", ()),
        ("https://store.example/memos", ("https://store.example/memos",)),
        ("file:///proc/nothing", ("file:///proc/nothing",)),
    ],
)
def test_a_place_that_no_worker_reads_or_nothing_can_be_written_to_is_refused(
    store: str, prefixes: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigurationError, match="UNDERTONE_UPLOAD_STORE"):
        make_store(Settings(upload_store=store, audio_prefixes=prefixes))


def test_without_a_setting_there_is_no_store() -> None:
    assert make_store(Settings()) is None


@pytest.mark.parametrize("scheme", ["file", "memory", "s3"])
def test_an_upload_comes_to_rest_sealed(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder and in a bucket, with whole objects and with partial ones; workers read its audio."""
    spool, address = tmp_path / "spool", (tmp_path / "audio").as_uri() if scheme == "file" else "memory://bucket"
    spool.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spool))
    if scheme == "s3":
        monkeypatch.setattr("streams.api.uploads.audio_store.WHOLE_AT_ONCE", {"memory"})
    settings = sealing(tmp_path, audio_prefixes=(address,), upload_store=address, audio_attempts=1)
    store = store_of(settings)
    try:
        with store.begin() as partial:
            partial.write(AUDIO)
            uri = partial.keep("memo.wav", "ann")
        with fsspec.open(uri) as file:
            stored = file.read()
        assert AUDIO[:4] not in stored
        assert AudioCopies(settings).opened(stored) == AUDIO
        assert AudioStore(settings).read(uri, None) == AUDIO

        sealing_of(settings).keyring.directory.mark_erasing("ann")
        sealing_of(settings).keyring.forget(sealing_of(settings).keyring.subject("ann"))
        with store.begin() as partial:
            partial.write(AUDIO)
            with pytest.raises(Transient, match="being erased"):
                partial.keep("more.wav", "ann")
        assert not [name for name in traces(tmp_path) if "more" in name or name.endswith(".part")]
    finally:
        fsspec.filesystem("memory").store.clear()
        close_all()
