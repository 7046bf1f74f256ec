import numpy as np
import pytest

from schemas.events import FloatArray
from tests.unit.workers.acoustic.voices import buzz, noise, silence
from workers.acoustic import pitch
from workers.acoustic.pitch import pitch_track
from workers.audio.memo import SAMPLING_RATE
from workers.simulation.source_filter import Voice, speak


def tracked(signal: FloatArray) -> FloatArray:
    moments = np.arange(0.03, len(signal) / SAMPLING_RATE - 0.03, 0.01)
    return pitch_track(signal, moments, np.ones(len(moments), bool))


@pytest.mark.parametrize("hertz", [80.0, 123.4, 210.0, 333.0, 560.0])
def test_a_steady_voice_has_its_pitch_in_every_frame(hertz: float) -> None:
    np.testing.assert_allclose(tracked(buzz(hertz, 1.0)), hertz, rtol=0.005)


def test_a_voice_an_octave_up_for_one_frame_is_a_glitch_and_a_glide_is_not() -> None:
    t = np.arange(SAMPLING_RATE) / SAMPLING_RATE
    phase = 2 * np.pi * (110 * t + 55 * t**2)
    glide = np.sum([np.sin(k * phase) / k for k in range(1, 12)], axis=0)
    moments = np.arange(0.03, 0.97, 0.01)
    np.testing.assert_allclose(tracked(np.asarray(0.1 * glide, np.float32)), 110 + 110 * moments, rtol=0.01)
    dented = buzz(110.0, 1.0)
    dented[8000:8146] = buzz(220.0, 1.0)[8000:8146]
    assert np.ptp(tracked(dented)) < 10.0


@pytest.mark.parametrize(
    "signal",
    [silence(1.0), silence(1.0) + np.float32(0.4), noise(1.0), silence(0.06)],
    ids=["silence", "one value", "noise", "one frame"],
)
def test_what_is_no_voice_has_no_pitch(signal: FloatArray) -> None:
    assert not tracked(signal).any()


def test_what_nobody_hears_is_not_looked_at() -> None:
    moments = np.arange(0.1, 0.9, 0.01)
    heard = moments > 0.5
    assert np.array_equal(pitch_track(buzz(150.0, 1.0), moments, heard) > 0, heard)
    assert not pitch_track(buzz(150.0, 1.0), moments, np.zeros(len(moments), bool)).any()


def test_a_bump_of_the_microphone_silences_no_speech() -> None:
    calm = 0.02 * speak(Voice(), 6.0, np.random.default_rng(2))[0] / 0.5
    bumped = calm.copy()
    bumped[1000:1100] = 1.0
    before, after = tracked(calm) > 0, tracked(bumped) > 0
    assert np.mean(before[20:] == after[20:]) > 0.97


def test_gain_changes_nothing() -> None:
    signal, _ = speak(Voice(), 3.0, np.random.default_rng(2))
    np.testing.assert_allclose(tracked(signal * np.float32(0.01)), tracked(signal), rtol=1e-3)


def test_stretches_side_by_side_find_the_path_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    signal, _ = speak(Voice(jitter=0.02, hnr_db=12.0), 6.0, np.random.default_rng(5))
    found = tracked(signal)
    monkeypatch.setattr(pitch, "STRETCH", len(found))
    assert np.mean(tracked(signal) == found) > 0.99
