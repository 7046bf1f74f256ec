"""What turns deviations into a logit: the heads, by kind. Only the neural ones load TensorFlow, when one is used."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from schemas.events import FloatArray
from workers.scoring.head import Head, HeadInput

NEURAL = ("mlp", "bilstm", "transformer")
KINDS = ("logistic", *NEURAL)
"""`logistic` is what every other head is reported against."""
SEQUENTIAL = ("bilstm", "transformer")
"""Heads that read the windows beside the summary."""


@dataclass(frozen=True, slots=True, eq=False)
class LogisticHead:
    """Logistic regression. coefficients: (features,) float32, per standard deviation."""

    coefficients: FloatArray
    intercept: float
    kind: str = "logistic"

    def logits(self, inputs: HeadInput) -> FloatArray:
        """Uncalibrated logits, (memos,) float32."""
        return (inputs.deviations @ self.coefficients + np.float32(self.intercept)).astype(np.float32)

    def config(self) -> dict[str, Any]:
        """What must be known, beside the weights, to make the head again."""
        return {"features": len(self.coefficients)}

    def weights(self) -> dict[str, np.ndarray]:
        """Named arrays."""
        return {"coefficients": self.coefficients, "intercept": np.array([self.intercept], np.float32)}


def restore(kind: str, config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> Head:
    """The head that `kind`, `config()` and `weights()` describe. Raises ValueError when they do not fit together."""
    if kind == "logistic":
        if set(weights) != {"coefficients", "intercept"} or weights["coefficients"].shape != (config["features"],):
            raise ValueError("the weights are not those of a logistic head of its size")
        return LogisticHead(weights["coefficients"].astype(np.float32), float(weights["intercept"][0]))
    if kind not in NEURAL:
        raise ValueError(f"no head is called {kind!r}; there are {', '.join(KINDS)}")
    # TensorFlow takes seconds and hundreds of megabytes to load: processes with a logistic head do without.
    head: Head = import_module("workers.scoring.neural_heads").restore(kind, config, weights)
    return head
