"""What a codec does to a simulated memo: it is heard as before, and not sample by sample."""

import numpy as np
import pytest

from schemas.events import FloatArray
from workers.audio.memo import SAMPLING_RATE
from workers.simulation.device_channel import CODECS, UNCHANGED, as_received
from workers.simulation.source_filter import Voice, speak


class Draws:
    """A generator whose draws are known: whether the recording is changed, and by which codec."""

    def __init__(self, share: float, codec: int = 0) -> None:
        self._share, self._codec = share, codec

    def random(self) -> float:
        return self._share

    def integers(self, count: int) -> int:
        assert count == len(CODECS)
        return self._codec


@pytest.fixture(scope="module")
def spoken() -> FloatArray:
    return speak(Voice(), 2.0, np.random.default_rng(3))[0]


def received(signal: FloatArray, share: float, codec: int = 0) -> FloatArray:
    return as_received(signal, Draws(share, codec))  # type: ignore[arg-type]


def test_some_recordings_arrive_as_they_were(spoken: FloatArray) -> None:
    assert received(spoken, UNCHANGED - 1e-9) is spoken
    assert received(spoken, UNCHANGED) is not spoken


@pytest.mark.parametrize("codec", range(len(CODECS)), ids=lambda number: "-".join(map(str, CODECS[number])))
def test_every_codec_keeps_time_and_sound_and_no_samples(spoken: FloatArray, codec: int) -> None:
    heard = received(spoken, 1.0, codec)
    assert heard.dtype == np.float32
    assert np.abs(heard).max() <= 1.0
    assert len(heard) == pytest.approx(len(spoken), abs=0.06 * SAMPLING_RATE)
    length = min(len(heard), len(spoken))
    assert np.corrcoef(heard[:length], spoken[:length])[0, 1] > 0.9
    assert not np.array_equal(heard[:length], spoken[:length])


def test_a_memo_of_full_scale_survives_its_integers() -> None:
    t = np.arange(SAMPLING_RATE) / SAMPLING_RATE
    loud = np.sin(2 * np.pi * 200 * t).astype(np.float32)
    heard = received(loud, 1.0, codec=3)[: len(loud)]
    assert np.corrcoef(heard, loud[: len(heard)])[0, 1] > 0.95


def test_the_same_draw_gives_the_same_recording(spoken: FloatArray) -> None:
    rng = [np.random.default_rng(5) for _ in range(2)]
    for _ in range(3):
        np.testing.assert_array_equal(as_received(spoken, rng[0]), as_received(spoken, rng[1]))
