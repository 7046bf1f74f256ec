"""What can be scored passes, what cannot is told why, and neither level nor encoding changes the verdict."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal as filters

from schemas.events import FloatArray, Quality
from schemas.settings import Settings
from tests.audio_files import encodings, spoken
from tests.unit.workers.audio.test_decode import read, real_clips
from workers.audio.decode import Decoded
from workers.audio.memo import SAMPLING_RATE
from workers.audio.quality import Thresholds, assess

THRESHOLDS = Thresholds.of(Settings())
N = 8 * SAMPLING_RATE
TIME = np.arange(N) / SAMPLING_RATE
SPEECH = spoken(8.0)
FILES = encodings(SPEECH)


def noise() -> NDArray[np.float64]:
    return np.random.default_rng(0).standard_normal(N)


def judged(signal: NDArray[np.floating]) -> Quality:
    return assess(Decoded(signal.astype(np.float32), 0.0, SAMPLING_RATE), THRESHOLDS)


@pytest.mark.parametrize(
    ("signal", "noisy"),
    {
        "silence": (np.zeros(N), False),
        "one value": (np.full(N, 0.3), False),
        "dither": (1e-5 * noise(), False),
        "hiss": (0.1 * noise(), True),
        "loud hiss": (np.clip(0.5 * noise(), -1, 1), True),
        "rumble": (0.005 * filters.lfilter([1], [1, -0.995], noise()) * (1 + 0.8 * np.sin(TIME)), True),
        "hum": (0.2 * np.sin(2 * np.pi * 100 * TIME) + 0.001 * noise(), True),
        "bursts": (0.1 * noise() * (np.sin(9 * TIME) > 0.3) + 1e-4 * noise(), False),
        "clicks": (0.8 * (noise() > 3.5), False),
        "square": (0.9 * np.sign(np.sin(2 * np.pi * 120 * TIME)), True),
    }.values(),
    ids=str,
)
def test_what_is_no_speech_is_told_so(signal: NDArray[np.float64], noisy: bool) -> None:
    quality = judged(signal)
    assert quality.speech_s == quality.snr_db == 0.0
    assert quality.reasons == ("quality:no_speech", "quality:noisy")[: 1 + noisy]


def test_speech_is_counted_without_its_pauses() -> None:
    for seed in range(4):
        quality = judged(spoken(10.0, seed, pause_share=0.4))
        assert quality.speech_s == pytest.approx(6.0, abs=0.6)
        assert quality.reasons == ()


def test_a_few_words_in_minutes_of_quiet_are_found() -> None:
    signal = 1e-4 * np.random.default_rng(0).standard_normal(180 * SAMPLING_RATE)
    signal[: 4 * SAMPLING_RATE] += SPEECH[: 4 * SAMPLING_RATE]
    quality = judged(signal)
    assert quality.reasons == ()
    assert 2.5 < quality.speech_s <= 4.0


def test_digital_silence_says_nothing_of_the_noise() -> None:
    noisy = spoken(8.0, snr_db=0.0, level_db=-20.0)
    gated = np.concatenate([noisy, np.zeros(4 * SAMPLING_RATE)])
    assert "quality:noisy" in judged(noisy).reasons
    assert "quality:noisy" in judged(gated).reasons
    assert judged(np.concatenate([0.1 * noise(), np.zeros(4 * SAMPLING_RATE)])).speech_s == 0.0


def test_little_speech_in_a_long_silence_is_too_little() -> None:
    signal = np.zeros(N)
    signal[:8000] = SPEECH[:8000]
    assert "quality:too_little_speech" in judged(signal + 1e-4 * noise()).reasons


@pytest.mark.parametrize("planted_db", [10.0, 15.0, 20.0, 30.0])
def test_the_snr_is_the_planted_one(planted_db: float) -> None:
    for seed in range(3):
        # White over the whole band: the simulated room noise lies lower, partly under what the estimate hears.
        speech = spoken(8.0, seed, snr_db=80.0)
        power = np.mean(np.square(speech[np.abs(speech) > 1e-3]))
        quality = judged(speech + noise() * np.sqrt(power) * 10 ** (-planted_db / 20))
        assert quality.snr_db == pytest.approx(planted_db, abs=3.0)


def test_speech_under_noise_is_noisy() -> None:
    for planted_db in (2.0, -3.0):
        speech = spoken(8.0, snr_db=80.0)
        assert "quality:noisy" in judged(speech + noise() * speech.std() * 10 ** (-planted_db / 20)).reasons


def clip_at(signal: FloatArray, gain: float) -> FloatArray:
    return np.asarray(np.clip(signal / np.abs(signal).max() * gain, -1.0, 1.0), np.float32)


def test_hard_clipping_is_seen_also_where_the_level_was_changed_afterwards() -> None:
    assert judged(clip_at(SPEECH, 1.0)).reasons == ()
    for gain in (6.0, 12.0):
        clipped = clip_at(SPEECH, gain)
        true = np.mean(np.abs(clipped) >= 0.999)
        for level in (1.0, 0.2):
            quality = judged(clipped * level)
            assert quality.reasons == ("quality:clipped",)
            assert quality.clipped == pytest.approx(true, rel=0.25)


def test_hard_clipping_is_seen_through_every_codec() -> None:
    for name, data in encodings(clip_at(SPEECH, 8.0)).items():
        assert assess(read(data), THRESHOLDS).reasons == ("quality:clipped",), name


def test_gain_changes_nothing() -> None:
    plain = judged(SPEECH)
    for gain in (0.1, 0.5, 2.0):
        other = judged(SPEECH * gain)
        assert other.reasons == plain.reasons == ()
        assert other.speech_s == pytest.approx(plain.speech_s, abs=0.1)
        assert other.snr_db == pytest.approx(plain.snr_db, abs=1.0)


def test_bandwidth_is_that_of_the_original() -> None:
    assert 3000 < assess(read(FILES["wav_8k"]), THRESHOLDS).bandwidth_hz <= 4000
    assert assess(read(FILES["wav"]), THRESHOLDS).bandwidth_hz > 7000
    low = filters.sosfiltfilt(filters.butter(8, 1500, fs=SAMPLING_RATE, output="sos"), SPEECH)
    assert judged(low).reasons == ("quality:narrow_band",)


def test_tiny_signals_are_judged_without_complaint() -> None:
    for samples in (0, 1, 100, 511, 1600):
        assert judged(SPEECH[:samples]).reasons[0] in {"quality:no_speech", "quality:too_little_speech"}


def test_encodings_of_one_memo_get_one_verdict() -> None:
    files = {name: assess(read(data), THRESHOLDS) for name, data in FILES.items()}
    for name, quality in files.items():
        assert quality.reasons == (), name
        assert quality.speech_s == pytest.approx(files["wav"].speech_s, rel=0.05), name


@pytest.mark.shared
def test_real_speech_passes(shared: Path) -> None:
    for path in [*real_clips(shared, "emodb", 8), *real_clips(shared, "librispeech", 8)]:
        quality = assess(read(path.read_bytes()), THRESHOLDS)
        assert set(quality.reasons) <= {"quality:too_little_speech"}
        assert not quality.reasons or quality.speech_s < 1.0


@pytest.mark.shared
def test_real_speech_is_judged_alike_in_every_encoding(shared: Path) -> None:
    for path in real_clips(shared, "emodb", 110):
        plain = read(path.read_bytes())
        expected = assess(plain, THRESHOLDS)
        for name, data in encodings(plain.signal).items():
            quality = assess(read(data), THRESHOLDS)
            assert quality.reasons == expected.reasons, name
            assert quality.speech_s == pytest.approx(expected.speech_s, rel=0.08), name


def test_the_gate_names_the_markers_that_a_recording_moves() -> None:
    band = filters.butter(4, (300.0, 3400.0), "bandpass", fs=SAMPLING_RATE, output="sos")
    called = assess(Decoded(filters.sosfilt(band, SPEECH).astype(np.float32), 0.0, 8000), THRESHOLDS)
    hissed = judged(SPEECH + 0.006 * noise())
    assert judged(SPEECH).fragile == ()
    assert hissed.reasons == called.reasons == ()
    assert "loudness_sd" in hissed.fragile
    assert "pitch_range" in called.fragile
    assert "pause_share" not in hissed.fragile + called.fragile


def test_an_offset_narrows_no_band() -> None:
    assert judged(SPEECH + 0.5).bandwidth_hz == judged(SPEECH).bandwidth_hz


@pytest.mark.parametrize(("level_db", "bits", "too_quiet"), [(-26, 8, False), (-40, 8, True), (-66, 16, False)])
def test_speech_of_few_steps_is_too_quiet(level_db: float, bits: int, too_quiet: bool) -> None:
    step = 2.0 ** (1 - bits)
    coarse = np.round(spoken(8.0, level_db=level_db) / step) * step
    quality = assess(Decoded(coarse.astype(np.float32), 0.0, SAMPLING_RATE, step), THRESHOLDS)
    assert ("quality:too_quiet" in quality.reasons) == too_quiet


def test_at_the_same_level_without_steps_nothing_is_too_quiet() -> None:
    assert judged(spoken(8.0, level_db=-66.0)).reasons == ()


def test_clipping_is_seen_whatever_silence_follows() -> None:
    tail = np.zeros(300 * SAMPLING_RATE)
    assert judged(np.concatenate([clip_at(SPEECH, 8.0), tail])).reasons == ("quality:clipped",)
    assert judged(np.concatenate([SPEECH, tail])).reasons == ()


def test_the_channel_is_told_with_speech_and_without() -> None:
    for signal in (SPEECH, np.zeros(N, np.float32)):
        assert (
            assess(Decoded(signal, 0.0, SAMPLING_RATE, channel="2:only_speech"), THRESHOLDS).channel == "2:only_speech"
        )
