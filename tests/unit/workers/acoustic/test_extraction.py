"""Everything acoustic about a signal, and who made it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Poison
from schemas.markers import MARKER_NAMES
from tests.unit.workers.acoustic.voices import buzz, silence
from workers.acoustic import extraction
from workers.acoustic.extraction import AcousticFeatures, extract, extractor, steadied
from workers.acoustic.feature_names import FEATURE_NAMES, FUNCTIONAL_NAMES, WINDOW_NAMES
from workers.acoustic.opensmile_pass import acoustic_pass
from workers.audio.memo import SAMPLING_RATE
from workers.audio.speech_span import SpokenPart
from workers.simulation.source_filter import Voice, speak


@pytest.fixture(scope="module")
def features() -> AcousticFeatures:
    """Of two seconds of a voice at 150 Hz."""
    return extract(buzz(150, 2.0))


def test_the_summary_holds_each_feature_at_the_place_of_its_name(features: AcousticFeatures) -> None:
    assert features.summary.shape == (len(FEATURE_NAMES),)
    summary = dict(zip(FEATURE_NAMES, features.summary.tolist(), strict=True))
    assert summary["pitch_median"] == pytest.approx(150, rel=0.01)
    assert summary["pause_share"] == 0.0
    semitones = 12 * np.log2(150 / 27.5)
    assert summary["F0semitoneFrom27.5Hz_sma3nz_percentile50.0"] == pytest.approx(semitones, abs=0.2)


def test_functionals_are_those_of_the_one_pass(features: AcousticFeatures) -> None:
    np.testing.assert_array_equal(features.functionals, acoustic_pass(buzz(150, 2.0)).functionals)
    assert features.functionals.shape == (len(FUNCTIONAL_NAMES),)


def test_markers_without_a_value_are_nan_and_say_why(features: AcousticFeatures) -> None:
    nameless = [name for name, value in zip(MARKER_NAMES, features.markers, strict=True) if np.isnan(value)]
    assert [reason.split(":")[0] for reason in features.undefined] == nameless == ["pause_mean", "pause_longest"]


def test_windows_are_as_long_as_asked() -> None:
    signal = buzz(150, 2.0)
    assert extract(signal, window_s=15.0).windows.shape == (1, len(WINDOW_NAMES))
    halves = extract(signal, window_s=1.0).windows
    assert halves.shape == (2, len(WINDOW_NAMES))
    assert np.isfinite(halves).all()


def test_a_signal_without_a_frame_is_poison() -> None:
    with pytest.raises(Poison) as poison:
        extract(silence(0.05))
    assert poison.value.reason == "acoustic:too_short"


def test_numbers_of_another_configuration_or_other_markers_are_somebody_else_s(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = extractor()
    assert (ours.name, ours.version, len(ours.weights_hash)) == ("egemaps+markers", "1", 64)
    assert extractor() == ours
    with monkeypatch.context() as changed:
        changed.setattr(extraction, "MARKERS_VERSION", "another")
        assert extractor().weights_hash != ours.weights_hash
    with monkeypatch.context() as changed:
        changed.setattr(extraction, "configuration_hash", lambda: "another")
        assert extractor().weights_hash != ours.weights_hash
    with monkeypatch.context() as changed:
        changed.setattr(extraction, "SPAN_VERSION", "another")
        assert extractor().weights_hash != ours.weights_hash


VOICE = speak(Voice(), 6.0, np.random.default_rng(5))[0]


@settings(max_examples=8)
@given(gain_db=st.floats(-40.0, 5.0), offset=st.floats(-0.1, 0.1))
def test_neither_level_nor_offset_moves_a_feature(gain_db: float, offset: float) -> None:
    plain = extract(VOICE)
    changed = extract((VOICE * 10 ** (gain_db / 20) + offset).astype(np.float32))
    np.testing.assert_allclose(changed.markers, plain.markers, rtol=0.02, atol=0.01)
    np.testing.assert_allclose(changed.functionals, plain.functionals, rtol=0.05, atol=0.5)


def test_an_offset_that_wanders_is_no_harmonic() -> None:
    start = 0.1 * np.exp(-np.arange(len(VOICE)) / SAMPLING_RATE)
    plain, changed = extract(VOICE), extract((VOICE + start).astype(np.float32))
    hnr = MARKER_NAMES.index("hnr")
    assert changed.markers[hnr] == pytest.approx(plain.markers[hnr], abs=0.3)


@pytest.mark.parametrize("loud", [0.0, 1e-4])
def test_what_follows_the_speech_is_not_measured(loud: float) -> None:
    tail = loud * np.random.default_rng(0).standard_normal(120 * SAMPLING_RATE)
    plain, changed = extract(VOICE), extract(np.concatenate([VOICE, tail]).astype(np.float32))
    pauses = [MARKER_NAMES.index(name) for name in ("pause_share", "pause_rate", "pause_longest", "voiced_rate")]
    np.testing.assert_allclose(changed.markers[pauses], plain.markers[pauses], rtol=0.1)
    assert len(changed.windows) == len(plain.windows)


def test_a_memo_without_speech_is_measured_as_it_is() -> None:
    part = SpokenPart(silence(1.0), None)
    assert steadied(part) is part.signal
