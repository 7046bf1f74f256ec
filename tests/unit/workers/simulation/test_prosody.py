"""What is asked of a memo is what is planned, frame by frame."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.simulation.prosody import (
    CREAK_HZ,
    SHORTEST_PAUSE_S,
    SHORTEST_PHRASE_S,
    TRACK_HZ,
    VOWELS_HZ,
    Plan,
    _split,
    plan,
)

USUAL = {
    "syllables_per_s": 4.5, "pause_share": 0.2, "pauses_per_min": 15.0, "creak_share": 0.1, "f0_hz": 120.0,
    "f0_range_st": 7.0, "level_sd_db": 2.0,
}  # fmt: skip


def planned(seconds: float = 20.0, seed: int = 1, **traits: float) -> Plan:
    return plan(seconds, np.random.default_rng(seed), **{**USUAL, **traits})


@given(
    seconds=st.floats(0.005, 30.0),
    seed=st.integers(0, 100),
    pause_share=st.floats(0.0, 0.95),
    pauses_per_min=st.floats(0.0, 60.0),
    creak_share=st.floats(0.0, 1.0),
)
@example(seconds=2.0, seed=0, pause_share=0.0, pauses_per_min=0.0, creak_share=0.998046875)
def test_any_memo_is_whole(
    seconds: float, seed: int, pause_share: float, pauses_per_min: float, creak_share: float
) -> None:
    memo = planned(seconds, seed, pause_share=pause_share, pauses_per_min=pauses_per_min, creak_share=creak_share)
    frames = max(round(seconds * TRACK_HZ), 1)
    assert {len(value) for field in fields(memo) if isinstance(value := getattr(memo, field.name), np.ndarray)} == {
        frames
    }
    voiced = np.isfinite(memo.f0_hz)
    assert not (voiced | memo.creak)[~memo.speaking].any()
    assert not memo.creak[~voiced].any()
    assert not memo.voiced_level[~voiced].any()
    assert not (memo.hiss_level[voiced] > 0).any()
    assert (memo.f0_hz[voiced] > 0).all()
    assert (memo.formants_hz > 0).all()


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
@pytest.mark.parametrize("per_min", [6.0, 20.0])
def test_pauses_are_as_many_and_as_long_as_asked(share: float, per_min: float) -> None:
    memo = planned(30.0, pause_share=share, pauses_per_min=per_min)
    lengths = [end - start for start, end in memo.pauses]
    assert len(memo.pauses) == min(round(per_min / 2), int(share * 30 / SHORTEST_PAUSE_S))
    assert sum(lengths) == pytest.approx(share * 30.0, abs=1 / TRACK_HZ)
    assert min(lengths) >= SHORTEST_PAUSE_S
    assert 1 - memo.speaking.mean() == pytest.approx(share, abs=1e-3)


def test_a_memo_begins_and_ends_with_speech_and_phrases_are_no_stumps() -> None:
    memo = planned(30.0, pause_share=0.6, pauses_per_min=40.0)
    edges = [0.0, *(edge for pause in memo.pauses for edge in pause), 30.0]
    phrases = np.diff(edges)[::2]
    assert phrases.min() >= SHORTEST_PHRASE_S
    assert memo.speaking[0]
    assert memo.speaking[-1]


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_pauses_that_would_be_too_short_are_left_out(share: float) -> None:
    memo = planned(10.0, pause_share=share)
    assert memo.pauses == ()
    assert memo.speaking.all()


def test_voice_starts_where_a_pause_ends() -> None:
    memo = planned(30.0, pause_share=0.3, pauses_per_min=20.0)
    for _, end in memo.pauses:
        assert np.isfinite(memo.f0_hz[round(end * TRACK_HZ)])


@pytest.mark.parametrize("rate", [2.0, 4.5, 8.0])
def test_syllables_are_as_many_as_the_time_for_speech_allows(rate: float) -> None:
    memo = planned(30.0, syllables_per_s=rate)
    assert memo.syllables == pytest.approx(rate * memo.speaking.mean() * 30.0, rel=0.05)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_creak_takes_its_share_of_the_voice_and_is_slow(share: float) -> None:
    memo = planned(creak_share=share)
    voiced = np.isfinite(memo.f0_hz)
    assert memo.creak.sum() == round(share * voiced.sum())
    assert ((memo.f0_hz[memo.creak] >= CREAK_HZ[0]) & (memo.f0_hz[memo.creak] <= CREAK_HZ[1])).all()


@pytest.mark.parametrize(("hertz", "semitones"), [(90.0, 3.0), (220.0, 12.0)])
def test_pitch_has_the_asked_median_and_range(hertz: float, semitones: float) -> None:
    memo = planned(f0_hz=hertz, f0_range_st=semitones)
    heard = memo.f0_hz[np.isfinite(memo.f0_hz) & ~memo.creak]
    low, middle, high = np.percentile(heard, (5, 50, 95))
    assert middle == pytest.approx(hertz, rel=1e-6)
    assert 12 * np.log2(high / low) == pytest.approx(semitones, rel=1e-6)


def test_pitch_falls_over_a_phrase() -> None:
    memo = planned(40.0, pause_share=0.3, pauses_per_min=20.0, creak_share=0.0)
    starts = [0, *(round(end * TRACK_HZ) for _, end in memo.pauses)]
    ends = [*(round(start * TRACK_HZ) for start, _ in memo.pauses), len(memo.f0_hz)]
    falls = []
    for start, end in zip(starts, ends, strict=True):
        phrase = memo.f0_hz[start:end]
        first, last = np.array_split(phrase[np.isfinite(phrase)], 2)
        falls.append(np.median(first) - np.median(last))
    assert np.mean(falls) > 0
    assert np.mean(np.array(falls) > 0) > 0.7


def test_louder_syllables_and_softer_ones_differ_as_asked() -> None:
    even, uneven = (planned(60.0, level_sd_db=sd).voiced_level for sd in (0.0, 6.0))
    spread = [np.std(20 * np.log10(level[level > 0.2])) for level in (even, uneven)]
    assert spread[0] < 2.5 < spread[1]


def test_formants_stay_among_those_of_the_vowels() -> None:
    memo = planned()
    assert memo.formants_hz.shape == (4000, 5)
    assert (np.diff(memo.formants_hz, axis=1) > 0).all(), "formants lie in rising order"
    assert memo.formants_hz[:, 1].max() <= VOWELS_HZ[:, 1].max()


def test_the_same_generator_plans_the_same_memo() -> None:
    one, again, other = planned(seed=1), planned(seed=1), planned(seed=2)
    assert one.pauses == again.pauses
    for field in ("f0_hz", "voiced_level", "formants_hz"):
        np.testing.assert_array_equal(getattr(one, field), getattr(again, field))
    assert one.pauses != other.pauses


@given(st.integers(0, 1000), st.integers(1, 20), st.integers(0, 20))
def test_a_whole_is_cut_into_parts_that_make_it_up(total: int, parts: int, seed: int) -> None:
    found = _split(total, parts, np.random.default_rng(seed))
    assert len(found) == parts
    assert found.sum() == total
    assert (found >= 0).all()
