"""From an event or a file to a memo, in one step."""

import os
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import Poison
from schemas.events import MemoUploaded
from schemas.settings import Settings
from tests.audio_files import broken, sndfile, spoken
from workers.audio.load import load_file, load_memo
from workers.audio.storage import AudioStore

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_an_event_becomes_a_memo_with_signal_and_quality(tmp_path: Path) -> None:
    signal = spoken()
    (tmp_path / "memo.flac").write_bytes(sndfile(signal, kind="FLAC"))
    settings = Settings(audio_prefixes=(str(tmp_path),))
    event = MemoUploaded("m", "u", NOON, NOON, f"file://{tmp_path}/memo.flac")
    memo = load_memo(event, AudioStore(settings), settings)
    np.testing.assert_allclose(memo.signal, signal, atol=1e-4)
    assert memo.event is event
    assert memo.duration_s == 6.0
    assert memo.quality.reasons == ()


def test_the_offline_way_gives_the_same(tmp_path: Path) -> None:
    path = tmp_path / "memo.wav"
    path.write_bytes(sndfile(spoken()))
    signal, quality = load_file(path, Settings())
    assert len(signal) == 96000
    assert quality.reasons == ()


@pytest.mark.parametrize("name", broken(spoken(2.0)))
def test_broken_files_are_poison(tmp_path: Path, name: str) -> None:
    path = tmp_path / "memo.wav"
    path.write_bytes(broken(spoken(2.0))[name])
    with pytest.raises(Poison, match="audio:"):
        load_file(path, Settings())


def test_what_is_no_file_is_poison(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "nothing.wav", tmp_path, tmp_path / "pipe", Path("\0")):
        with pytest.raises(Poison, match="audio:missing"):
            load_file(path, Settings())


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "hole.wav").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(Poison, match="audio:too_large"):
        load_file(tmp_path / "hole.wav", Settings())
