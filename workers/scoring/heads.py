"""The scoring heads, by kind. TensorFlow is loaded only when a neural head is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from schemas.events import FloatArray
from workers.scoring.head import Contributions, Head, HeadInput

NEURAL = ("mlp", "bilstm", "transformer")
KINDS = ("logistic", *NEURAL)
"""`logistic` is the baseline for every other head."""
SEQUENTIAL = ("bilstm", "transformer")
"""Heads that read the windows besides the summary."""


@dataclass(frozen=True, slots=True, eq=False)
class LogisticHead:
    """Logistic regression. coefficients: (features,) float32, per standard deviation."""

    coefficients: FloatArray
    intercept: float
    kind: str = "logistic"

    def logits(self, inputs: HeadInput) -> FloatArray:
        """Uncalibrated logits, (memos,) float32."""
        # Row by row: a matrix product rounds a memo's sum differently in batches of different sizes.
        sums = (inputs.deviations.astype(np.float64) * self.coefficients).sum(axis=1)
        logits: FloatArray = (sums + self.intercept).astype(np.float32)
        return logits

    def contributions(self, inputs: HeadInput) -> Contributions:
        """What makes up these logits, exactly: weight times deviation."""
        memos = len(inputs.deviations)
        each = inputs.deviations.astype(np.float64) * self.coefficients
        return Contributions(each, np.zeros(memos), np.full(memos, self.intercept))

    def config(self) -> dict[str, Any]:
        """What `restore` needs besides the weights."""
        return {"features": len(self.coefficients)}

    def weights(self) -> dict[str, np.ndarray]:
        """Named arrays."""
        return {"coefficients": self.coefficients, "intercept": np.array([self.intercept], np.float32)}


def restore(kind: str, config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> Head:
    """Restore a head from its `kind`, `config()` and `weights()`. Raises ValueError when they do not fit together."""
    if kind == "logistic":
        if set(weights) != {"coefficients", "intercept"} or weights["coefficients"].shape != (config["features"],):
            raise ValueError("the weights do not fit a logistic head of this size")
        return LogisticHead(weights["coefficients"].astype(np.float32), float(weights["intercept"][0]))
    if kind not in NEURAL:
        raise ValueError(f"unknown head kind {kind!r}; choose one of {', '.join(KINDS)}")
    # TensorFlow takes seconds and hundreds of megabytes to load, which a logistic head does not need.
    head: Head = import_module("workers.scoring.neural_heads").restore(kind, config, weights)
    return head
