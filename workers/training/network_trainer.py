"""Fitting the neural heads: seeded, stopped early on speakers held out for it, then kept at their best."""

import keras
import numpy as np
from numpy.typing import NDArray

from workers.scoring.networks import NeuralHead, Shape, build
from workers.training.trainers import TrainingSet

EPOCHS, PATIENCE, BATCH = 40, 6, 64
VALIDATION = 0.2
"""Share of speakers that stop the training."""


def train(kind: str, data: TrainingSet, seed: int) -> NeuralHead:
    """A trained network; the same data and seed give the same weights."""
    keras.utils.set_random_seed(seed)
    windows = data.inputs.windows.shape[2] if kind != "mlp" else 0
    shape = Shape(data.inputs.deviations.shape[1], windows)
    model = build(kind, shape)
    model.compile(keras.optimizers.AdamW(1e-3), keras.losses.BinaryCrossentropy(from_logits=True), jit_compile=False)
    held = _held_out(data.speakers, seed)
    weights = data.class_weights() * data.rounds
    stop = keras.callbacks.EarlyStopping(patience=PATIENCE, restore_best_weights=True)
    model.fit(
        _rows(data, ~held, shape),
        data.labels[~held].astype(np.float32),
        sample_weight=weights[~held].astype(np.float32),
        validation_data=(
            _rows(data, held, shape),
            data.labels[held].astype(np.float32),
            weights[held].astype(np.float32),
        ),
        epochs=EPOCHS,
        batch_size=BATCH,
        callbacks=[stop],
        verbose=0,
    )
    return NeuralHead(kind, shape, model)


def _rows(data: TrainingSet, where: NDArray[np.bool_], shape: Shape) -> NDArray[np.float32] | list[NDArray[np.float32]]:
    inputs = data.inputs
    if not shape.window:
        return inputs.deviations[where]
    return [inputs.deviations[where], inputs.windows[where], inputs.mask[where].astype(np.float32)]


def _held_out(speakers: NDArray[np.str_], seed: int) -> NDArray[np.bool_]:
    names = np.unique(speakers)
    count = max(1, round(VALIDATION * len(names)))
    return np.isin(speakers, np.random.default_rng([seed, 4]).choice(names, count, replace=False))
