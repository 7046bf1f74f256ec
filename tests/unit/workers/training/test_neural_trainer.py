"""Training a network: on whole speakers held out, by weight, and kept at its best."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from schemas.events import FloatArray
from workers.scoring.head import HeadInput
from workers.scoring.neural_heads import Shape
from workers.training import neural_trainer
from workers.training.logistic_trainer import TrainingSet


def training_set(speakers: int = 10, memos: int = 8, seed: int = 0) -> TrainingSet:
    """Half of the speakers have positive memos only, the others none; windows of two features."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(speakers) % 2, memos).astype(float)
    rows = (rng.normal(size=(speakers * memos, 3)) + 2 * labels[:, None]).astype(np.float32)
    windows = rng.normal(size=(len(rows), 2, 2)).astype(np.float32)
    names = np.repeat([f"s{number:02d}" for number in range(speakers)], memos)
    return TrainingSet(HeadInput(rows, windows, np.ones((len(rows), 2), bool)), labels, names, 1)


def dense() -> keras.Model:
    """The smallest network: one weight per feature."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((3,))
    return keras.Model(inputs, keras.layers.Dense(1)(inputs))


def arrays(data: TrainingSet) -> list[FloatArray]:
    return neural_trainer._arrays(data, Shape(3, 0))


@pytest.mark.parametrize("speakers", [2, 4, 5, 10, 30])
def test_whole_speakers_are_held_out_of_either_label(speakers: int) -> None:
    data = training_set(speakers)
    held = neural_trainer._held_out(data, seed=3)
    assert not {*data.speakers[held]} & {*data.speakers[~held]}
    assert len({*data.speakers[held]}) == max(2 if speakers > 4 else 1, round(0.2 * speakers))
    assert held.any()
    assert not held.all()
    if speakers > 4:
        assert {*data.labels[held]} == {0.0, 1.0}


def test_speakers_are_drawn_by_the_seed() -> None:
    data = training_set(30)
    one, again, other = (neural_trainer._held_out(data, seed).tolist() for seed in (3, 3, 4))
    assert one == again != other


def test_a_network_is_given_windows_only_where_it_reads_them() -> None:
    data = training_set()
    summary, both = (neural_trainer._arrays(data, Shape(3, width)) for width in (0, 2))
    assert [array.shape for array in summary] == [(80, 3), (80,), (80,)]
    assert [array.shape for array in both] == [(80, 3), (80, 2, 2), (80, 2), (80,), (80,)]
    assert {array.dtype for array in both} == {np.dtype(np.float32)}
    np.testing.assert_allclose(summary[-1], data.class_weights())


def test_the_loss_is_the_weighted_mean_of_the_cross_entropy() -> None:
    model, (rows, labels, _) = dense(), arrays(training_set())
    weights = np.linspace(0, 2, len(labels), dtype=np.float32)
    probability = 1 / (1 + np.exp(-model(rows).numpy()[:, 0]))
    entropy = -np.log(np.where(labels > 0.5, probability, 1 - probability))
    loss = neural_trainer._loss(model, [*map(tf.constant, (rows, labels, weights))], training=False)
    assert float(loss) == pytest.approx(np.average(entropy, weights=weights), rel=1e-5)


def test_a_network_is_kept_as_it_did_best_on_the_speakers_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it learns here is wrong for the speakers held out, so each epoch does worse on them than the one before."""
    monkeypatch.setattr(neural_trainer, "EPOCHS", 4)
    learnt = arrays(training_set())
    rows, labels, weights = learnt
    against = [rows, 1 - labels, weights]
    model = dense()
    neural_trainer._fit(model, learnt, against, np.random.default_rng(0))
    kept = float(neural_trainer._loss(model, [*map(tf.constant, against)], training=False))
    monkeypatch.setattr(neural_trainer, "EPOCHS", 1)
    first = dense()
    neural_trainer._fit(first, learnt, against, np.random.default_rng(0))
    np.testing.assert_array_equal(model.get_weights()[0], first.get_weights()[0])
    assert kept == pytest.approx(float(neural_trainer._loss(first, [*map(tf.constant, against)], training=False)))


def test_training_lowers_the_loss_on_the_speakers_held_out() -> None:
    data = training_set()
    held = neural_trainer._held_out(data, seed=3)
    learnt, judged = ([array[where] for array in arrays(data)] for where in (~held, held))
    model = dense()
    before = float(neural_trainer._loss(model, [*map(tf.constant, judged)], training=False))
    neural_trainer._fit(model, learnt, judged, np.random.default_rng(0))
    assert float(neural_trainer._loss(model, [*map(tf.constant, judged)], training=False)) < before


class Counting:
    """A generator that counts the epochs: each of them shuffles the rows once."""

    def __init__(self) -> None:
        self.epochs, self._rng = 0, np.random.default_rng(0)

    def permutation(self, rows: int) -> np.ndarray:
        self.epochs += 1
        return self._rng.permutation(rows)


def test_training_stops_when_nothing_gets_better() -> None:
    (rows, labels, weights), rng = arrays(training_set()), Counting()
    neural_trainer._fit(dense(), [rows, labels, weights], [rows, 1 - labels, weights], rng)  # type: ignore[arg-type]
    assert rng.epochs == 1 + neural_trainer.PATIENCE


def test_one_thread_cannot_be_asked_for_once_tensorflow_has_computed() -> None:
    tf.constant(1.0) + 1
    with pytest.raises(RuntimeError):
        neural_trainer.sum_on_one_thread()
