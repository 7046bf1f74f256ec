"""What is measured of a memo is its speech, wherever the record button was pressed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.audio_files import spoken
from workers.audio.memo import SAMPLING_RATE
from workers.audio.speech_span import LEVEL_DB, LONGEST_PAUSE_S, speech_spans, spoken_part

SPEECH = spoken(8.0)
MARGIN_S = 0.5
RNG = np.random.default_rng(0)


def quiet(seconds: float) -> np.ndarray:
    return (1e-4 * RNG.standard_normal(round(seconds * SAMPLING_RATE))).astype(np.float32)


@settings(max_examples=15)
@given(before_s=st.floats(2.0, 30.0), after_s=st.floats(2.0, 90.0), digital=st.booleans())
def test_silence_at_the_ends_is_cut_to_the_margin(before_s: float, after_s: float, digital: bool) -> None:
    plain = spoken_part(SPEECH, MARGIN_S).signal
    loud = 0.0 if digital else 1.0
    part = spoken_part(np.concatenate([loud * quiet(before_s), SPEECH, loud * quiet(after_s)]), MARGIN_S).signal
    assert len(plain) <= len(part) <= len(SPEECH) + 2 * (MARGIN_S + 0.1) * SAMPLING_RATE


def test_pauses_are_kept_and_absences_are_bounded() -> None:
    for pause_s in (3.0, 9.0, 60.0):
        part = spoken_part(np.concatenate([SPEECH, quiet(pause_s), SPEECH]), MARGIN_S).signal
        kept_s = len(part) / SAMPLING_RATE - 16.0
        assert kept_s == pytest.approx(min(pause_s, LONGEST_PAUSE_S), abs=0.7)


@settings(max_examples=15)
@given(gain_db=st.floats(-45.0, 0.0), offset=st.floats(-0.1, 0.1))
def test_level_and_offset_are_taken_out(gain_db: float, offset: float) -> None:
    plain = spoken_part(SPEECH, MARGIN_S)
    part = spoken_part((SPEECH * 10 ** (gain_db / 20) + offset).astype(np.float32), MARGIN_S)
    assert part.level_db is not None
    assert plain.level_db is not None
    assert part.level_db == pytest.approx(plain.level_db + gain_db, abs=0.2)
    assert abs(float(np.mean(part.signal, dtype=np.float64))) < 1e-6
    shared = min(len(part.signal), len(plain.signal))
    assert np.abs(part.at_level()[:shared] - plain.at_level()[:shared]).max() < 0.02


def test_speech_is_brought_to_one_level() -> None:
    levelled = spoken_part(spoken_part(SPEECH * np.float32(0.02), MARGIN_S).at_level(), MARGIN_S)
    assert levelled.level_db == pytest.approx(LEVEL_DB, abs=0.05)


def test_a_memo_without_speech_is_left_as_it_is() -> None:
    for signal in (quiet(5.0), np.zeros(16000, np.float32), np.zeros(0, np.float32)):
        part = spoken_part(signal, MARGIN_S)
        assert part.signal is signal
        assert part.at_level() is signal
        assert part.level_db is None


def test_spans_cover_what_is_kept() -> None:
    speech = np.zeros(3000, bool)
    assert speech_spans(speech, 480_000, 1.0) == [(0, 480_000)]
    speech[200:300] = speech[2500:2600] = True
    assert speech_spans(speech, 480_000, 1.0) == [(16_000, 128_000), (320_000, 432_000)]
