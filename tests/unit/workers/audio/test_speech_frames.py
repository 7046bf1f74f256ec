"""Speech is found by its energy and its periodicity, at any level, whatever surrounds it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import FloatArray
from tests.audio_files import spoken
from workers.audio.memo import SAMPLING_RATE
from workers.audio.speech_frames import FRAMES_PER_S, Frames, find_speech, islands

SPEECH = spoken(8.0)


def found(signal: FloatArray) -> Frames:
    return find_speech(signal.astype(np.float32)).frames


@settings(max_examples=20)
@given(gain_db=st.floats(-45.0, 10.0), offset=st.floats(-0.1, 0.1))
def test_neither_level_nor_offset_changes_what_is_found(gain_db: float, offset: float) -> None:
    changed = found(SPEECH * 10 ** (gain_db / 20) + offset)
    assert np.count_nonzero(changed != found(SPEECH)) <= 8


def test_knocks_in_a_long_silence_are_no_speech() -> None:
    rng = np.random.default_rng(0)
    tail = 1e-4 * rng.standard_normal(60 * SAMPLING_RATE)
    for second in (20, 40):
        tail[second * SAMPLING_RATE :][:4000] += 0.1 * rng.standard_normal(4000)
    speech = found(np.concatenate([SPEECH, tail]))
    assert speech[: 8 * FRAMES_PER_S].mean() > 0.5
    assert not speech[9 * FRAMES_PER_S :].any()


def test_words_apart_are_kept_apart() -> None:
    gap = 1e-4 * np.random.default_rng(0).standard_normal(20 * SAMPLING_RATE)
    first, second = islands(found(np.concatenate([SPEECH, gap, SPEECH])), 5 * FRAMES_PER_S)
    assert first.stop <= 8.1 * FRAMES_PER_S
    assert second.start >= 27.9 * FRAMES_PER_S


@pytest.mark.parametrize("samples", [0, 1, 100, 1600])
def test_tiny_signals_hold_no_more_than_themselves(samples: int) -> None:
    assert len(found(SPEECH[:samples])) == samples // 160
