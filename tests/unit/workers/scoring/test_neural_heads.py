"""The neural heads: a logit per memo, whatever is padded beside it."""

from functools import cache

import keras
import numpy as np
import pytest
from keras import ops

from schemas.events import FloatArray
from workers.scoring.head import Head, HeadInput
from workers.scoring.heads import NEURAL, SEQUENTIAL, restore
from workers.scoring.neural_heads import AttentionPooling, NeuralHead, Shape, build

FEATURES, WINDOW = 5, 3
RESIDUAL = 0.02
"""What the integral of contributions may leave over, as a share of the largest move of a logit."""


@cache
def head(kind: str) -> NeuralHead:
    """An untrained head; made once, and its program with it."""
    keras.utils.set_random_seed(3)
    shape = Shape(FEATURES, WINDOW if kind in SEQUENTIAL else 0)
    return NeuralHead(kind, shape, build(kind, shape))


def memos(count: int, windows: int = 4, seed: int = 0) -> HeadInput:
    rng = np.random.default_rng(seed)
    return HeadInput(
        rng.normal(size=(count, FEATURES)).astype(np.float32),
        rng.normal(size=(count, windows, WINDOW)).astype(np.float32),
        np.ones((count, windows), bool),
    )


@pytest.fixture(scope="module", params=NEURAL)
def fresh(request: pytest.FixtureRequest) -> NeuralHead:
    return head(request.param)


def test_every_memo_has_a_logit_that_does_not_depend_on_its_neighbours(fresh: NeuralHead) -> None:
    batch = memos(6)
    together = fresh.logits(batch)
    assert together.shape == (6,)
    assert np.ptp(together) > 1e-3
    alone = [
        fresh.logits(HeadInput(batch.deviations[i : i + 1], batch.windows[i : i + 1], batch.mask[i : i + 1]))[0]
        for i in range(6)
    ]
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.fixture(scope="module", params=NEURAL)
def steep(request: pytest.FixtureRequest) -> Head:
    """A head with weights as large as training makes them: its logits differ by several units from memo to memo."""
    rng = np.random.default_rng(5)
    made = head(request.param)
    grown = [1.5 * w if w.ndim > 1 else abs(w + rng.normal(0, 0.3, w.shape)) for w in made.weights().values()]
    return restore(made.kind, made.config(), {f"{place:03d}": w for place, w in enumerate(grown)})


def test_contributions_and_the_reference_add_up_to_the_logit(steep: Head) -> None:
    batch = memos(32)
    logits, parts = steep.logits(batch), steep.contributions(batch)
    moved = np.abs(logits - parts.reference)
    assert moved.max() > 1
    assert np.abs(parts.total - logits).max() < RESIDUAL * moved.max()
    assert (np.abs(parts.deviations) > 0).all()
    assert parts.windows.any() == (steep.kind in SEQUENTIAL)


def test_contributions_do_not_depend_on_the_batch(steep: Head) -> None:
    batch = memos(6)
    one = HeadInput(batch.deviations[:1], batch.windows[:1], batch.mask[:1])
    np.testing.assert_allclose(
        steep.contributions(batch).deviations[:1], steep.contributions(one).deviations, atol=1e-5
    )


def test_what_does_not_deviate_adds_nothing(steep: Head) -> None:
    batch = memos(4)
    batch.deviations[0, 2] = 0.0
    batch.deviations[1] = 0.0
    parts = steep.contributions(batch)
    assert parts.deviations[0, 2] == 0
    assert not parts.deviations[1].any()
    np.testing.assert_allclose(parts.total[1], steep.logits(batch)[1], atol=1e-5)


def test_a_head_comes_back_from_what_is_kept_of_it(fresh: NeuralHead) -> None:
    again = restore(fresh.kind, fresh.config(), fresh.weights())
    assert again.kind == fresh.kind
    np.testing.assert_array_equal(again.logits(memos(6)), fresh.logits(memos(6)))


def test_names_of_weights_keep_their_order(fresh: NeuralHead) -> None:
    names = list(fresh.weights())
    assert names == sorted(names)
    assert len(names) > 9, "ten names and more, or the order by name would not show a fault"


def test_weights_of_another_network_are_refused(fresh: NeuralHead) -> None:
    with pytest.raises(ValueError, match=r"(?i)shape|weights"):
        restore(fresh.kind, {"features": FEATURES + 1, "window": WINDOW}, fresh.weights())


@pytest.mark.parametrize("kind", SEQUENTIAL)
def test_what_is_padded_has_no_say(kind: str) -> None:
    batch = memos(6)
    rubbish = batch.windows.copy()
    rubbish[:, 2:] = 50.0
    padded = HeadInput(batch.deviations, rubbish, np.arange(4) < np.full((6, 1), 2))
    short = HeadInput(batch.deviations, batch.windows[:, :2], np.ones((6, 2), bool))
    np.testing.assert_allclose(head(kind).logits(padded), head(kind).logits(short), atol=1e-5)


@pytest.mark.parametrize("kind", SEQUENTIAL)
def test_a_memo_without_windows_is_scored_by_its_summary(kind: str) -> None:
    batch = memos(6)
    logits = head(kind).logits(HeadInput(batch.deviations, batch.windows, np.zeros((6, 4), bool)))
    assert np.isfinite(logits).all()
    assert np.ptp(logits) > 1e-3


def test_a_transformer_asks_which_windows_there_were_not_where() -> None:
    batch, transformer = memos(6), head("transformer")
    turned = HeadInput(batch.deviations, batch.windows[:, ::-1].copy(), batch.mask)
    np.testing.assert_allclose(transformer.logits(turned), transformer.logits(batch), atol=1e-5)


def pooled(sequence: FloatArray, present: FloatArray, query: FloatArray | None = None) -> FloatArray:
    layer = AttentionPooling()
    layer.build(sequence.shape)
    if query is not None:
        layer.query.assign(query[:, None])
    found: FloatArray = ops.convert_to_numpy(layer(sequence, present))
    return found


def test_pooling_that_has_learnt_nothing_is_the_mean_of_what_is_there() -> None:
    sequence = np.arange(12, dtype=np.float32).reshape(1, 4, 3)
    present = np.array([[1, 1, 0, 0]], np.float32)
    np.testing.assert_allclose(pooled(sequence, present), sequence[:, :2].mean(axis=1), atol=1e-6)
    np.testing.assert_array_equal(pooled(sequence, np.zeros((1, 4), np.float32)), np.zeros((1, 3)))


def test_pooling_attends_to_what_it_has_learnt() -> None:
    sequence = np.array([[[0.0, 1.0], [2.0, 5.0], [-2.0, 9.0]]], np.float32)
    (found,) = pooled(sequence, np.ones((1, 3), np.float32), query=np.array([50.0, 0.0], np.float32))
    np.testing.assert_allclose(found, [2.0, 5.0], atol=1e-3)
