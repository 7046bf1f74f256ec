import numpy as np
import pytest

from schemas.events import FloatArray
from workers.acoustic.speech_activity import Mask, audible_frames, pauses, runs, voiced_speech_frames

HOP_S = 0.01


def frames(*stretches: tuple[float, float]) -> FloatArray:
    """A track of (value, seconds) stretches."""
    return np.concatenate([np.full(round(seconds / HOP_S), value, np.float32) for value, seconds in stretches])


def mask(*stretches: tuple[float, float]) -> Mask:
    return frames(*stretches) > 0


def test_runs_and_masks_are_inverse() -> None:
    some = np.array([True, True, False, True, False, False, True])
    assert np.array_equal(runs(some).mask(len(some)), some)
    assert runs(np.zeros(4, bool)).lengths.size == 0


def test_a_pause_lasts_a_quarter_of_a_second_and_lies_between_speech() -> None:
    track = mask((0, 1.0), (1, 0.5), (0, 0.24), (1, 0.5), (0, 0.25), (1, 0.5), (0, 2.0))
    found = pauses(track, HOP_S)
    assert found.lengths.tolist() == [25]
    assert found.starts.tolist() == [224]


@pytest.mark.parametrize("gain", [0.2, 1.0, 5.0])
def test_speech_is_judged_by_the_memos_own_floor_and_peak(gain: float) -> None:
    loudness = gain * frames((0.1, 0.5), (1.0, 0.5), (0.12, 0.5), (0.8, 0.5), (0.1, 0.5))
    voiced = mask((0, 0.5), (1, 0.2), (0, 1.8))
    found = runs(voiced_speech_frames(loudness, voiced, HOP_S))
    assert found.starts.tolist() == [50, 150]
    assert found.lengths.tolist() == [50, 50]


def test_a_click_is_not_speech_and_noise_without_voice_is_none() -> None:
    click = frames((0.1, 0.5), (1.0, 0.02), (0.1, 0.5), (1.0, 1.0))
    voiced = mask((0, 1.12), (1, 0.9))
    assert not voiced_speech_frames(click, voiced, HOP_S)[:100].any()
    assert not voiced_speech_frames(click, np.zeros(len(click), bool), HOP_S).any()


def test_background_is_not_audible() -> None:
    assert not audible_frames(frames((0.1, 1.0), (1.0, 1.0)))[:100].any()
    assert audible_frames(frames((0.1, 1.0), (1.0, 1.0)))[100:].all()
