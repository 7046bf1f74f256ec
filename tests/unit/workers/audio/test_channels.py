"""Channels become one signal in bounded memory, whatever the blocks, with what is known of the original samples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from schemas.events import FloatArray
from tests.audio_files import spoken
from workers.audio import channels
from workers.audio.channels import Channels, Mono
from workers.audio.memo import SAMPLING_RATE

SPEECH = spoken(6.0, 1)
HISS = (0.1 * np.random.default_rng(0).standard_normal(len(SPEECH))).astype(np.float32)


def mixed(samples: NDArray[np.floating], rate: int = SAMPLING_RATE, block: int = 7000) -> Mono:
    """The signal of (samples, channels), given in blocks."""
    mixer = Channels(rate, samples.shape[1])
    for start in range(0, len(samples), block):
        mixer.add(samples[start : start + block])
    return mixer.mono()


def side_by_side(*signals: FloatArray) -> FloatArray:
    return np.stack(signals, axis=1)


@pytest.mark.parametrize("count", [1, 2, 6])
@pytest.mark.parametrize("rate", [SAMPLING_RATE, 44100])
def test_identical_channels_are_the_signal_of_one(count: int, rate: int) -> None:
    alone, copies = mixed(SPEECH[:, None], rate), mixed(np.repeat(SPEECH[:, None], count, axis=1), rate)
    np.testing.assert_array_equal(copies.signal, alone.signal)
    assert copies.channel == ("1" if count == 1 else "+".join(map(str, range(1, count + 1))) + ":one_signal")


@settings(max_examples=10)
@given(block=st.integers(500, 40_000), swapped=st.booleans())
def test_the_speech_of_one_channel_is_the_signal_at_any_block_size(block: int, swapped: bool) -> None:
    pair = side_by_side(HISS, SPEECH) if swapped else side_by_side(SPEECH, HISS)
    mono = mixed(pair, block=block)
    np.testing.assert_array_equal(mono.signal, SPEECH)
    assert mono.channel == f"{1 + swapped}:only_speech"


def test_opposite_channels_do_not_cancel() -> None:
    mono = mixed(side_by_side(SPEECH, -SPEECH))
    np.testing.assert_allclose(mono.signal, SPEECH, atol=1e-7)
    assert mono.channel == "1-2:one_signal"


def test_channels_that_part_late_are_told_apart() -> None:
    late = SPEECH.copy()
    late[len(late) // 2 :] = HISS[len(late) // 2 :]
    assert mixed(side_by_side(SPEECH, late)).channel.startswith("1:")


def test_when_memory_is_full_the_choice_is_made_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "KEPT_SAMPLES", 2 * 4 * SAMPLING_RATE)
    mono = mixed(side_by_side(HISS, SPEECH))
    np.testing.assert_array_equal(mono.signal, SPEECH)
    assert mono.channel == "2:only_speech"


def test_no_more_is_kept_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "KEPT_SAMPLES", SAMPLING_RATE)
    mixer = Channels(SAMPLING_RATE, 8)
    eight = np.random.default_rng(0).standard_normal((4000, 8)).astype(np.float32)
    for _ in range(20):
        mixer.add(0.1 * eight)
        assert sum(part.size for part in mixer._parts) <= SAMPLING_RATE + 20 * len(eight)
    assert len(mixer.mono().signal) == 20 * 4000


@pytest.mark.parametrize(("bits", "step"), [(8, 2.0**-7), (16, 2.0**-15), (24, 2.0**-23), (12, 2.0**-11)])
def test_steps_are_those_of_the_samples(bits: int, step: float) -> None:
    whole = np.round(SPEECH.astype(np.float64) * 2 ** (bits - 1)) / 2 ** (bits - 1)
    assert mixed(whole[:, None]).step == step


def test_floats_and_silence_have_no_steps() -> None:
    assert mixed((SPEECH.astype(np.float64) / 3)[:, None]).step == 0.0
    assert mixed(np.zeros((1000, 2))).step == 0.0


def test_clipping_is_that_of_the_channels_used() -> None:
    square = np.sign(np.sin(np.arange(len(SPEECH)) / 20)).astype(np.float32)
    assert mixed(side_by_side(SPEECH, square)).clipped == 0.0
    assert mixed(side_by_side(square, square)).clipped > 0.9


def test_a_block_of_other_channels_counts_for_all() -> None:
    mixer = Channels(SAMPLING_RATE, 2)
    mixer.add(side_by_side(SPEECH, SPEECH))
    mixer.add(np.zeros((100, 1), np.float32))
    assert len(mixer.mono().signal) == len(SPEECH) + 100
