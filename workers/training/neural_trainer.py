"""Fit the neural heads: seeded, with early stopping on held-out speakers, keeping the best weights."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from schemas.events import FloatArray
from workers.scoring.neural_heads import NeuralHead, Shape, build
from workers.training.logistic_trainer import TrainingSet

EPOCHS, PATIENCE, BATCH = 40, 6, 64
VALIDATION = 0.2
"""Share of speakers held out for early stopping."""


def sum_on_one_thread() -> None:
    """Make sums in this process deterministic from now on, on any machine.

    With more threads a product is split by their number, so that the same seed gives other weights with other cores.
    Raises RuntimeError after TensorFlow's first computation.
    """
    tf.config.threading.set_intra_op_parallelism_threads(1)


def train(kind: str, data: TrainingSet, seed: int) -> NeuralHead:
    """A trained network; the same data, seed and number of threads give the same weights."""
    keras.utils.set_random_seed(seed)
    shape = Shape(data.inputs.deviations.shape[1], data.inputs.windows.shape[2] if kind != "mlp" else 0)
    model = build(kind, shape)
    held = _held_out(data, seed)
    arrays = _arrays(data, shape)
    _fit(model, [a[~held] for a in arrays], [a[held] for a in arrays], np.random.default_rng([seed, 7]))
    return NeuralHead(kind, shape, model)


def _fit(
    model: keras.Model, training: Sequence[FloatArray], held: Sequence[FloatArray], rng: np.random.Generator
) -> None:
    """Leave the model with the weights of the epoch with the lowest loss on `held`."""
    optimizer = keras.optimizers.AdamW(1e-3)
    optimizer.build(model.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(*batch: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = _loss(model, batch, training=True) + tf.add_n([tf.constant(0.0), *model.losses])
        optimizer.apply_gradients(
            zip(tape.gradient(loss, model.trainable_variables), model.trainable_variables, strict=True)
        )
        return loss

    @tf.function
    def validate(*batch: Any) -> Any:
        return _loss(model, batch, training=False)

    best, weights, since = np.inf, model.get_weights(), 0
    size = min(BATCH, len(training[0]))
    for _ in range(EPOCHS):
        order = rng.permutation(len(training[0]))
        for start in range(0, len(order) - size + 1, size):
            step(*(a[order[start : start + size]] for a in training))
        loss = float(validate(*held))
        if loss < best:
            best, weights, since = loss, model.get_weights(), 0
        elif (since := since + 1) >= PATIENCE:
            break
    model.set_weights(weights)


def _loss(model: keras.Model, batch: Sequence[Any], *, training: bool) -> Any:
    """Weighted mean cross-entropy. batch: the model's inputs, labels, weights."""
    *inputs, labels, weights = batch
    logits = model(inputs if len(inputs) > 1 else inputs[0], training=training)[:, 0]
    each = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
    return tf.reduce_sum(weights * each) / tf.reduce_sum(weights)


def _arrays(data: TrainingSet, shape: Shape) -> list[FloatArray]:
    """Inputs of the model, labels and weights, row by row."""
    inputs = data.inputs
    used = [inputs.deviations, inputs.windows, inputs.mask] if shape.window else [inputs.deviations]
    return [np.asarray(a, np.float32) for a in (*used, data.labels, data.class_weights())]


def _held_out(data: TrainingSet, seed: int) -> NDArray[np.bool_]:
    """Whole speakers, drawn evenly from those with few and with many positive memos, to include both labels."""
    names = np.unique(data.speakers)
    shuffled = np.random.default_rng([seed, 4]).permutation(names)
    share = np.array([data.labels[data.speakers == name].mean() for name in shuffled])
    ranked = shuffled[np.argsort(share, kind="stable")]
    count = max(2 if len(names) > 4 else 1, round(VALIDATION * len(names)))
    return np.isin(data.speakers, ranked[np.linspace(0, len(ranked) - 1, count).round().astype(int)])
