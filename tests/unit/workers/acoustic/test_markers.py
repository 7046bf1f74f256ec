from dataclasses import replace

import numpy as np
import pytest

from schemas.events import FloatArray
from schemas.markers import MARKER_NAMES, MARKERS
from tests.unit.workers.acoustic.voices import buzz, noise, silence
from workers.acoustic.extraction import AcousticFeatures, extract
from workers.acoustic.markers import MEASURES
from workers.simulation.source_filter import Voice, speak


def value(features: AcousticFeatures, name: str) -> float:
    return float(features.markers[MARKER_NAMES.index(name)])


def spoken(voice: Voice, seed: int = 3, seconds: float = 8.0) -> AcousticFeatures:
    return extract(speak(voice, seconds, np.random.default_rng(seed))[0])


@pytest.fixture(scope="module")
def usual() -> AcousticFeatures:
    return spoken(Voice())


def test_every_marker_of_the_table_is_measured() -> None:
    assert tuple(MEASURES) == MARKER_NAMES


def test_every_marker_says_what_it_is() -> None:
    for marker in MARKERS:
        assert MEASURES[marker.name].definition.endswith(".")
        assert MEASURES[marker.name].source
        assert marker.unit


def test_what_is_fragile_says_so_where_it_is_defined() -> None:
    for marker in MARKERS:
        told = MEASURES[marker.name].measure.__doc__ or ""
        assert ("Fragile:" in told) == bool(marker.fragile)
        assert all(condition in told for condition in marker.fragile)


@pytest.mark.parametrize(
    ("change", "marker"),
    [
        ({"f0_range_st": 12.0}, "pitch_range"),
        ({"f0_range_st": 12.0}, "pitch_sd"),
        ({"jitter": 0.03}, "jitter"),
        ({"shimmer": 0.2}, "shimmer"),
        ({"hnr_db": 27.0}, "hnr"),
        ({"creak_share": 0.3}, "creak_share"),
        ({"pause_share": 0.4}, "pause_share"),
        ({"pause_share": 0.4}, "pause_mean"),
        ({"pauses_per_min": 30.0, "pause_share": 0.3}, "pause_rate"),
        ({"f0_hz": 180.0}, "pitch_median"),
        ({"level_sd_db": 6.0}, "loudness_sd"),
    ],
)
def test_what_is_planted_moves_its_marker(usual: AcousticFeatures, change: dict[str, float], marker: str) -> None:
    changed = spoken(replace(Voice(), **change))
    assert value(changed, marker) > 1.1 * value(usual, marker)


def test_planted_values_are_found(usual: AcousticFeatures) -> None:
    voice = Voice()
    _, truth = speak(voice, 8.0, np.random.default_rng(3))
    assert value(usual, "pitch_median") == pytest.approx(voice.f0_hz, rel=0.03)
    assert value(usual, "pitch_range") == pytest.approx(voice.f0_range_st, abs=0.7)
    assert value(usual, "pause_rate") == pytest.approx(len(truth.pauses) / 8 * 60, rel=0.02)
    assert value(usual, "pause_share") == pytest.approx(sum(b - a for a, b in truth.pauses) / 8, abs=0.01)
    assert value(usual, "pause_longest") == pytest.approx(max(b - a for a, b in truth.pauses), abs=0.05)
    assert value(usual, "creak_share") == pytest.approx(truth.creak_share, abs=0.03)


def test_gain_moves_no_marker(usual: AcousticFeatures) -> None:
    quiet, _ = speak(Voice(), 8.0, np.random.default_rng(3))
    softer = extract(quiet * np.float32(0.2))
    np.testing.assert_allclose(softer.markers, usual.markers, rtol=0.08, atol=0.02)


def test_hum_in_pauses_is_no_voice(usual: AcousticFeatures) -> None:
    signal, _ = speak(Voice(), 8.0, np.random.default_rng(3))
    hum = 0.002 * np.sin(2 * np.pi * 60 * np.arange(len(signal)) / 16000)
    hummed = extract(np.asarray(signal + hum, np.float32))
    assert value(hummed, "pitch_median") == pytest.approx(value(usual, "pitch_median"), rel=0.03)
    assert value(hummed, "pause_share") == pytest.approx(value(usual, "pause_share"), abs=0.03)


@pytest.mark.parametrize("signal", [silence(1.0), noise(1.0), noise(0.06)], ids=["silence", "noise", "one frame"])
def test_without_voice_nothing_is_made_up(signal: FloatArray) -> None:
    features = extract(signal)
    assert np.isnan(features.markers).all()
    assert [entry.split(":")[0] for entry in features.undefined] == list(MARKER_NAMES)
    assert {entry.split(":")[1] for entry in features.undefined} == {"no_voiced_frames", "no_speech"}
    assert np.isfinite(features.functionals).all()
    assert np.isfinite(features.windows).all()


def test_a_memo_without_pauses_has_a_share_of_zero_and_no_mean() -> None:
    features = extract(buzz(150, 1.5))
    assert value(features, "pause_share") == 0.0
    assert value(features, "pause_rate") == 0.0
    assert np.isnan(value(features, "pause_mean"))
    assert "pause_mean:no_pause" in features.undefined
