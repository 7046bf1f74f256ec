"""The neural scoring heads, in Keras 3."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from schemas.events import FloatArray
from workers.scoring.head import Contributions, HeadInput

WIDTH = 48
"""Channels inside the sequence heads."""
WEIGHT_DECAY = 1e-3
STEPS = 32
"""Points of the integral of a contribution."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Input sizes. features: of the deviations; window: features of one window, 0 for heads without windows."""

    features: int
    window: int = 0


@keras.saving.register_keras_serializable("undertone")
class AttentionPooling(layers.Layer):
    """Weighted mean over time with learned weights; windows outside the mask weigh nothing, no window gives zeros."""

    supports_masking = True

    def build(self, shape: Any) -> None:
        """Create the query vector."""
        self.query = self.add_weight(shape=(shape[-1], 1), initializer="zeros", name="query")

    def call(self, sequence: Any, present: Any) -> Any:
        """sequence: (memos, n, d); present: (memos, n) of 0 and 1 → (memos, d)."""
        score = ops.squeeze(ops.matmul(ops.tanh(sequence), self.query), -1)
        score = ops.where(present > 0, score, -1e9)
        weight = ops.exp(score - ops.max(score, axis=1, keepdims=True)) * present
        weight = weight / ops.maximum(ops.sum(weight, axis=1, keepdims=True), 1e-6)
        return ops.sum(sequence * weight[..., None], axis=1)


def build(kind: str, shape: Shape) -> keras.Model:
    """An untrained head: inputs deviations, windows and mask as in HeadInput; output (memos, 1) logits."""
    deviations = keras.Input((shape.features,), name="deviations")
    if kind == "mlp":
        return keras.Model(deviations, _mlp(deviations), name=kind)
    windows = keras.Input((None, shape.window), name="windows")
    mask = keras.Input((None,), name="mask")
    encode = {"bilstm": _bilstm, "transformer": _transformer}[kind]
    pooled = AttentionPooling()(encode(layers.Dense(WIDTH)(windows), mask), mask)
    joined = layers.Concatenate()([deviations, layers.Dropout(0.3)(pooled)])
    hidden = layers.Dropout(0.4)(layers.Dense(64, "relu", kernel_regularizer=_decay())(joined))
    return keras.Model([deviations, windows, mask], layers.Dense(1)(hidden), name=kind)


def _decay() -> Any:
    return keras.regularizers.L2(WEIGHT_DECAY)


def _mlp(x: Any) -> Any:
    x = layers.Dense(512, "relu", kernel_regularizer=_decay())(x)
    x = layers.Dropout(0.4)(layers.BatchNormalization()(x))
    x = layers.Dropout(0.3)(layers.Dense(256, "relu", kernel_regularizer=_decay())(x))
    return layers.Dense(1)(layers.Dense(64, "relu", kernel_regularizer=_decay())(x))


def _bilstm(x: Any, mask: Any) -> Any:
    return layers.Bidirectional(layers.LSTM(WIDTH // 2, return_sequences=True))(x, mask=ops.cast(mask, "bool"))


def _transformer(x: Any, mask: Any) -> Any:
    """One pre-norm block without positional encoding: the order of windows does not matter."""
    allowed = ops.cast(mask, "bool")[:, None, :]
    normed = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(4, WIDTH // 4, dropout=0.2)(normed, normed, attention_mask=allowed)
    wide = layers.Dense(2 * WIDTH, "gelu")(layers.LayerNormalization()(x))
    return x + layers.Dropout(0.2)(layers.Dense(WIDTH)(wide))


class NeuralHead:
    """A trained network as a head."""

    def __init__(self, kind: str, shape: Shape, model: keras.Model) -> None:
        self.kind = kind
        self.shape = shape
        self.model = model
        self._compiled = tf.function(lambda *x: model(list(x) if len(x) > 1 else x[0], training=False))
        self._attributed = tf.function(partial(_attributed, *_parts(model)), reduce_retracing=True)

    def logits(self, inputs: HeadInput) -> FloatArray:
        """Uncalibrated logits, (memos,) float32."""
        out: FloatArray = self._compiled(*self._arrays(inputs)).numpy()[:, 0]
        return out

    def contributions(self, inputs: HeadInput) -> Contributions:
        """What makes up these logits: windows as a whole, then deviations by integrated gradients.

        Source: Sundararajan, Taly and Yan 2017, "Axiomatic Attribution for Deep Networks" (arXiv:1703.01365), along the
        line from a memo without deviations, by the midpoint rule with STEPS points. The reference has average windows.
        """
        gradients, windows, reference = (each.numpy() for each in self._attributed(*self._arrays(inputs)))
        return Contributions(inputs.deviations * gradients, windows[:, 0], reference[:, 0])

    def config(self) -> dict[str, Any]:
        """What `restore` needs besides the weights."""
        return {"features": self.shape.features, "window": self.shape.window}

    def weights(self) -> dict[str, np.ndarray]:
        """All variables in the model's order."""
        return {f"{index:03d}": np.asarray(value) for index, value in enumerate(self.model.get_weights())}

    def _arrays(self, inputs: HeadInput) -> list[tf.Tensor]:
        arrays = [tf.constant(inputs.deviations)]
        if self.shape.window:
            arrays += [tf.constant(inputs.windows), tf.constant(inputs.mask.astype(np.float32))]
        return arrays


def _parts(model: keras.Model) -> tuple[keras.Model | None, keras.Model]:
    """The network from windows and mask to their mean, None without windows; and the one from there to the logit."""
    pooling = next((layer for layer in model.layers if isinstance(layer, AttentionPooling)), None)
    if pooling is None:
        return None, model
    deviations, *sequence = model.inputs
    return keras.Model(sequence, pooling.output), keras.Model([deviations, pooling.output], model.output)


def _attributed(pool: keras.Model | None, upper: keras.Model, *inputs: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Mean gradients (memos, features) of the logit by the deviations; what windows add; the reference (memos, 1)."""
    deviations, *sequence = inputs
    none, pooled, average = tf.zeros_like(deviations), [], []
    if pool is not None:
        windows, mask = sequence
        # Their identity: what Keras knows of their masks stays behind.
        pooled = [tf.identity(pool([windows, mask]))]
        average = [tf.identity(pool([tf.zeros_like(windows), mask]))]

    def logit(at: tf.Tensor, means: list[tf.Tensor]) -> tf.Tensor:
        return upper([at, *means] if means else at, training=False)

    total = none
    for step in tf.range(STEPS):
        point = (tf.cast(step, tf.float32) + 0.5) / STEPS * deviations
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            reached = logit(point, pooled)
        total += tape.gradient(reached, point)
    reference = logit(none, average)
    return total / STEPS, logit(none, pooled) - reference, reference


def restore(kind: str, config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> NeuralHead:
    """Restore a neural head. Raises ValueError when the weights do not fit the network."""
    shape = Shape(int(config["features"]), int(config["window"]))
    model = build(kind, shape)
    model.set_weights([weights[name] for name in sorted(weights)])
    return NeuralHead(kind, shape, model)
