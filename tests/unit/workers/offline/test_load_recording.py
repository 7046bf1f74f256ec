"""A recording is the same whether it is a file, its content, or its samples."""

from pathlib import Path

import numpy as np
import pytest

from schemas.errors import Poison
from schemas.settings import Settings
from tests.audio_files import sndfile, spoken
from workers.offline.load_recording import load_recording

SIGNAL = spoken(3.0)


def test_every_kind_gives_the_same_signal_and_quality(tmp_path: Path) -> None:
    settings, data = Settings.load(), sndfile(SIGNAL, subtype="FLOAT")
    (tmp_path / "memo.wav").write_bytes(data)
    kinds = (tmp_path / "memo.wav", str(tmp_path / "memo.wav"), data, (SIGNAL, 16000), (SIGNAL[:, None], 16000.0))
    for signal, quality in (load_recording(kind, settings) for kind in kinds):
        np.testing.assert_array_equal(signal, SIGNAL)
        assert quality == load_recording(data, settings)[1]


@pytest.mark.parametrize(
    ("recording", "reason"),
    [("/nowhere.wav", "audio:missing"), (b"no audio", "audio:undecodable"), ((SIGNAL[:9], 16000), "audio:too_short")],
    ids=["missing", "bytes", "samples"],
)
def test_what_cannot_be_read_is_poison(recording: object, reason: str) -> None:
    with pytest.raises(Poison) as caught:
        load_recording(recording, Settings.load())  # type: ignore[arg-type]
    assert caught.value.reason == reason
