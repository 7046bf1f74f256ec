"""What openSMILE found and what the signal shows, brought together frame by frame."""

import numpy as np
import pytest

from schemas.events import FloatArray
from tests.unit.workers.acoustic.test_creak import every, pulses
from tests.unit.workers.acoustic.voices import buzz, noise, silence
from workers.acoustic import frame_track
from workers.acoustic.feature_names import LLD_NAMES
from workers.acoustic.frame_track import HALF_FRAME_S, Track, voice_track
from workers.audio.memo import SAMPLING_RATE

HOP_S = 0.01
HOP = round(HOP_S * SAMPLING_RATE)


def described(signal: FloatArray) -> FloatArray:
    """Descriptors as openSMILE shapes them: the last 60 ms begin no frame; loudness is the level of 20 ms."""
    lld = np.zeros((len(signal) // HOP - 6, len(LLD_NAMES)), np.float32)
    powers = np.array([np.mean(np.square(signal[i * HOP : (i + 2) * HOP])) for i in range(len(lld))])
    lld[:, LLD_NAMES.index("Loudness_sma3")] = powers**0.3
    return lld


def tracked(*pieces: FloatArray) -> Track:
    signal = np.concatenate(pieces)
    return voice_track(signal, described(signal), HOP_S)


def seconds(track: Track, start_s: float, end_s: float) -> slice:
    return slice(round(start_s / track.hop_s), round(end_s / track.hop_s))


def test_every_array_has_a_value_for_every_frame() -> None:
    track = tracked(buzz(150, 1.0))
    assert {len(a) for a in (track.loudness, track.pitch_hz, track.modal, track.creak, track.speech)} == {94}
    assert track.hop_s == HOP_S


def test_voice_has_pitch_and_pulses_where_it_is_and_nothing_where_it_is_not() -> None:
    track = tracked(buzz(150, 0.6), silence(0.6), buzz(150, 0.6))
    spoken, silent = seconds(track, 0.05, 0.5), seconds(track, 0.7, 1.1)
    assert track.modal[spoken].all()
    assert track.speech[spoken].all()
    np.testing.assert_allclose(track.pitch_hz[spoken], 150, rtol=0.01)
    for mask in (track.modal, track.speech, track.creak):
        assert not mask[silent].any()
    assert len(track.pulses.before_s) == track.modal.sum()
    assert np.median(track.pulses.before_s) == pytest.approx(1 / 150, rel=0.02)


def test_vocal_fry_is_voice_and_not_modal() -> None:
    track = tracked(buzz(150, 1.0), silence(0.2), pulses(*every(1 / 40)), silence(0.1))
    fry = seconds(track, 1.45, 1.9)
    assert track.creak[fry].all()
    assert not track.modal[fry].any()
    assert track.voiced[fry].all()
    assert not track.creak[seconds(track, 0.1, 0.9)].any()


def test_frames_that_nobody_hears_hold_neither_voice_nor_fry() -> None:
    signal = np.concatenate([buzz(150, 1.0), silence(0.2), pulses(*every(1 / 40)), silence(0.1)])
    lld = described(signal)
    lld[:, LLD_NAMES.index("Loudness_sma3")] *= np.arange(len(lld)) < 50
    heard, whole = voice_track(signal, lld, HOP_S), tracked(signal)
    assert heard.voiced[:50].any()
    assert whole.modal[50:].any()
    assert whole.creak[50:].any()
    assert not heard.voiced[50:].any()


def test_a_pitch_that_this_voice_cannot_have_is_an_octave_error() -> None:
    pitch_hz = np.array([0, 100, 105, 110, 52, 215, 100, 108], np.float32)
    voiced = pitch_hz > 0
    kept = frame_track._in_range(pitch_hz, voiced)
    assert pitch_hz[kept].tolist() == [100, 105, 110, 100, 108]
    assert not frame_track._in_range(pitch_hz, np.zeros(8, bool)).any()


def test_of_many_frames_every_second_one_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    signal = buzz(150, 1.0)
    whole = tracked(signal)
    monkeypatch.setattr(frame_track, "MANY_FRAMES", 50)
    half = tracked(signal)
    np.testing.assert_array_equal(half.modal, whole.modal)
    np.testing.assert_array_equal(half.pulses.before_s, whole.pulses.before_s[::2])


def test_frames_are_looked_at_in_their_middle() -> None:
    onset_s = 0.5
    track = tracked(silence(onset_s), buzz(150, 0.5))
    first = np.flatnonzero(track.modal)[0] * HOP_S + HALF_FRAME_S
    assert first == pytest.approx(onset_s, abs=0.02)


@pytest.mark.parametrize("signal", [silence(0.5), noise(0.5), noise(0.07)], ids=["silence", "noise", "one frame"])
def test_without_voice_there_is_no_speech(signal: FloatArray) -> None:
    track = tracked(signal)
    assert not track.voiced.any()
    assert not track.speech.any()
    assert len(track.pulses.before_s) == 0
