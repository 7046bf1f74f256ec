"""What is planted is there: Praat, which knows nothing of the simulator, finds it again."""

from dataclasses import replace

import numpy as np
import parselmouth
import pytest
from parselmouth.praat import call

from schemas.events import FloatArray
from schemas.settings import Settings
from workers.audio.decode import Decoded
from workers.audio.memo import SAMPLING_RATE
from workers.audio.quality import Thresholds, assess
from workers.audio.speech_frames import frame_powers
from workers.simulation.prosody import SHORTEST_PAUSE_S, TRACK_HZ
from workers.simulation.source_filter import Voice, speak

MEMO_S = 8.0


def memo(seed: int = 3, **traits: float) -> FloatArray:
    return speak(replace(Voice(), **traits), MEMO_S, np.random.default_rng(seed))[0]


def pitch(signal: FloatArray) -> np.ndarray:
    track = parselmouth.Sound(signal.astype(float), SAMPLING_RATE).to_pitch_ac(pitch_floor=60, pitch_ceiling=450)
    hertz = np.asarray(track.selected_array["frequency"])
    return hertz[hertz > 0]


def heard(trait: str, signal: FloatArray) -> float:
    """What Praat measures of one trait."""
    sound = parselmouth.Sound(signal.astype(float), SAMPLING_RATE)
    if trait == "f0_range_st":
        low, high = np.percentile(pitch(signal), (5, 95))
        return float(12 * np.log2(high / low))
    if trait == "hnr_db":
        return float(call(sound.to_harmonicity_cc(0.01, 60, 0.1, 1.0), "Get mean", 0, 0))
    points = call(sound, "To PointProcess (periodic, cc)", 60, 450)
    if trait == "jitter":
        return float(call(points, "Get jitter (local)", 0, 0, 0.0001, 0.02, 1.3))
    return float(call([sound, points], "Get shimmer (local)", 0, 0, 0.0001, 0.02, 1.3, 1.6))


@pytest.mark.parametrize("f0_hz", [85.0, 120.0, 170.0, 230.0])
def test_pitch_is_found_within_a_semitone_and_its_range_too(f0_hz: float) -> None:
    for range_st in (3.0, 9.0):
        signal = memo(f0_hz=f0_hz, f0_range_st=range_st, formant_scale=1.0 if f0_hz < 150 else 1.15)
        assert abs(12 * np.log2(np.median(pitch(signal)) / f0_hz)) < 0.5
        assert heard("f0_range_st", signal) == pytest.approx(range_st, abs=1.0)


@pytest.mark.parametrize(
    ("trait", "values"),
    {
        "f0_range_st": (2.0, 4.0, 6.0, 9.0, 12.0),
        "jitter": (0.002, 0.006, 0.012, 0.02, 0.035),
        "shimmer": (0.01, 0.05, 0.1, 0.16, 0.25),
        "hnr_db": (4.0, 9.0, 14.0, 19.0, 26.0),
    }.items(),
)
def test_a_trait_alone_moves_what_praat_measures(trait: str, values: tuple[float, ...]) -> None:
    found = [heard(trait, memo(3, **{"creak_share": 0.0, trait: value})) for value in values]
    assert found == sorted(found)


@pytest.mark.parametrize("seed", range(3))
def test_truth_tells_what_was_planted(seed: int) -> None:
    voice = Voice(pause_share=0.3, pauses_per_min=20.0, creak_share=0.2, jitter=0.015, shimmer=0.1, f0_range_st=6.0)
    signal, truth = speak(voice, 30.0, np.random.default_rng(seed))
    lengths = [end - start for start, end in truth.pauses]
    assert len(signal) == 30 * SAMPLING_RATE
    assert len(lengths) == 10
    assert sum(lengths) == pytest.approx(0.3 * 30.0, abs=0.02)
    assert min(lengths) >= SHORTEST_PAUSE_S
    assert truth.creak_share == pytest.approx(0.2, abs=0.005)
    assert truth.shimmer == pytest.approx(0.1, rel=0.15)
    # A gliding pitch adds to the jitter that was drawn.
    assert 0.9 * 0.015 < truth.jitter < 1.4 * 0.015
    modal = truth.f0_hz[np.isfinite(truth.f0_hz) & ~truth.creak]
    assert np.median(modal) == pytest.approx(voice.f0_hz, rel=1e-6)
    assert 12 * np.log2(np.percentile(modal, 95) / np.percentile(modal, 5)) == pytest.approx(6.0, rel=1e-6)
    assert truth.f0_hz[truth.creak].max() < 62.0


def test_pauses_are_quiet_and_speech_is_not() -> None:
    voice = Voice(pause_share=0.35, snr_db=40.0)
    signal, truth = speak(voice, 20.0, np.random.default_rng(1))
    powers = frame_powers(signal)
    paused = np.zeros(len(powers), bool)
    for start, end in truth.pauses:
        paused[round(100 * start) + 5 : round(100 * end) - 2] = True
    voiced = np.isfinite(truth.f0_hz).reshape(-1, TRACK_HZ // 100).all(axis=1) & ~truth.creak.reshape(-1, 2).any(axis=1)
    assert np.percentile(powers[paused], 95) < np.percentile(powers[voiced], 5) - 15.0


def test_level_and_noise_are_those_that_were_asked() -> None:
    for level_db, snr_db in ((-20.0, 30.0), (-35.0, 15.0)):
        voice = Voice(level_db=level_db, snr_db=snr_db, pause_share=0.4)
        signal, truth = speak(voice, 20.0, np.random.default_rng(2))
        paused = np.zeros(len(signal), bool)
        for start, end in truth.pauses:
            paused[round(start * SAMPLING_RATE) + 1600 : round(end * SAMPLING_RATE)] = True
        speaking = np.ones(len(signal), bool)
        for start, end in truth.pauses:
            speaking[round(start * SAMPLING_RATE) : round(end * SAMPLING_RATE)] = False
        speech, noise = (10 * np.log10(np.mean(np.square(signal[where]))) for where in (speaking, paused))
        assert speech == pytest.approx(level_db, abs=0.5)
        assert speech - noise == pytest.approx(snr_db, abs=1.0)


def test_creak_lowers_and_roughens_only_where_it_is() -> None:
    smooth, fried = pitch(memo(creak_share=0.0)), pitch(memo(creak_share=0.3))
    assert np.median(fried) == pytest.approx(np.median(smooth), rel=0.05)
    assert len(fried) < 0.9 * len(smooth)


def test_the_same_seed_speaks_the_same_memo() -> None:
    one, other = memo(5), memo(5)
    assert one.dtype == np.float32
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, memo(6))


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.0, 2.0, 61.3])
@pytest.mark.parametrize(
    "traits",
    [
        {},
        {"pause_share": 0.0},
        {"pause_share": 0.95, "pauses_per_min": 60.0},
        {"creak_share": 1.0},
        {"f0_hz": 400.0, "f0_range_st": 24.0},
        {"syllables_per_s": 12.0},
        {"level_db": 0.0},
    ],
)
def test_any_voice_of_any_length_stays_in_bounds(seconds: float, traits: dict[str, float]) -> None:
    signal, truth = speak(replace(Voice(), **traits), seconds, np.random.default_rng(0))
    assert len(signal) == round(seconds * SAMPLING_RATE)
    assert np.isfinite(signal).all()
    assert np.abs(signal).max() <= 1.0
    assert all(0.0 < start < end < seconds for start, end in truth.pauses)


def test_a_simulated_memo_passes_the_quality_gate() -> None:
    thresholds = Thresholds.of(Settings())
    for seed in range(10):
        assert assess(Decoded(memo(seed), 0.0, SAMPLING_RATE), thresholds).reasons == ()
