"""A signal's frames do not depend on its neighbours, its padding or its place in a batch."""

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.workers.wav2vec2.checkpoints import GROUP, LAYER, noise, tiny
from workers.audio.memo import SAMPLING_RATE
from workers.wav2vec2.embedder import Embedder

TOLERANCE = 1e-4
LONGEST = round(15.4 * SAMPLING_RATE)


@cache
def together(norm: str) -> Embedder:
    """All in batches of up to four rows, each padded to the longest window."""
    return Embedder(tiny({"group": GROUP, "layer": LAYER}[norm]), row_lengths=(LONGEST,), batch_s=62.0)


@cache
def alone(norm: str) -> Embedder:
    """One row at a time, with less padding."""
    return Embedder(tiny({"group": GROUP, "layer": LAYER}[norm]), row_lengths=(2 * SAMPLING_RATE, LONGEST), batch_s=0.1)


@pytest.mark.parametrize("norm", ["group", "layer"])
@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])
@given(
    seconds=st.lists(st.floats(0.1, 2.0) | st.floats(0.1, 15.0), min_size=2, max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_frames_are_the_same_alone_and_in_any_batch(norm: str, seconds: list[float], order: object) -> None:
    signals = [noise(length, seed) for seed, length in enumerate(seconds)]
    shuffled = list(range(len(signals)))
    order.shuffle(shuffled)  # type: ignore[attr-defined]

    batched = together(norm).embed_frames([signals[index] for index in shuffled])

    for index, embedding in zip(shuffled, batched, strict=True):
        (single,) = alone(norm).embed_frames([signals[index]])
        assert embedding.frames is not None
        assert single.frames is not None
        assert embedding.frames.shape == (GROUP.frames(len(signals[index])), GROUP.hidden_size)
        np.testing.assert_allclose(embedding.frames, single.frames, rtol=0, atol=TOLERANCE)
        np.testing.assert_allclose(embedding.windows, single.windows, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_the_outputs_are_large_enough_for_the_tolerance_to_mean_something(norm: str) -> None:
    (one, other) = together(norm).embed_frames([noise(1.0, 1), noise(1.0, 2)])

    assert one.frames is not None
    assert other.frames is not None
    assert np.abs(one.frames).mean() > 0.3
    assert np.abs(one.frames - other.frames).mean() > 0.1
