"""Map a head's logit to a calibrated probability and to a band. Pure.

Calibrated logits stay within ±LOGIT_BOUND, smoothly, so that scores can drift either way and no memo is certain.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from schemas.events import Band, FloatArray

LOGIT_BOUND = 4.0
"""Probabilities are between 0.018 and 0.982."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A monotone map of logits: piecewise linear through (logits, calibrated), with slope `slope` outside.

    `temperature` is one straight line through `offset`; `isotonic` follows the knots. kind: how it was fitted.
    """

    kind: Literal["temperature", "isotonic"]
    slope: float = 1.0
    offset: float = 0.0
    logits: tuple[float, ...] = ()
    calibrated: tuple[float, ...] = ()

    def logit(self, raw: FloatArray) -> FloatArray:
        """Calibrated logits of a head's raw ones, within ±LOGIT_BOUND; same shape."""
        line = self.slope * raw.astype(np.float64) + self.offset
        if self.logits:
            inside = np.clip(raw, self.logits[0], self.logits[-1])
            line = np.interp(inside, self.logits, self.calibrated) + self.slope * (raw - inside)
        return (LOGIT_BOUND * np.tanh(line / LOGIT_BOUND)).astype(np.float32)

    def probability(self, raw: FloatArray) -> FloatArray:
        """Calibrated probabilities of a head's raw logits; same shape."""
        return (1 / (1 + np.exp(-self.logit(raw)))).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """The entry in the bundle's manifest."""
        plain = {"kind": self.kind, "slope": self.slope, "offset": self.offset}
        return plain | ({"logits": [*self.logits], "calibrated": [*self.calibrated]} if self.logits else {})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Calibration":
        """The inverse of `to_json`. Raises ValueError when the map is not increasing and finite."""
        knots, calibrated = tuple(value.get("logits", ())), tuple(value.get("calibrated", ()))
        found = cls(value["kind"], float(value["slope"]), float(value["offset"]), knots, calibrated)
        numbers = np.array([found.slope, found.offset, *knots, *calibrated], np.float64)
        rising = all(np.all(np.diff(side) >= 0) for side in (knots, calibrated))
        if not np.isfinite(numbers).all() or found.slope <= 0 or len(knots) != len(calibrated) or not rising:
            raise ValueError("the calibration is not an increasing, finite map")
        return found


@dataclass(frozen=True, slots=True)
class Bands:
    """The system abstains from `low` up to `high`; `threshold` is between, for forced decisions (UAR, F1)."""

    low: float
    threshold: float
    high: float

    def of(self, probability: float) -> Band:
        """The band of a probability.

        >>> Bands(0.4, 0.5, 0.6).of(0.5)
        <Band.INDETERMINATE: 'indeterminate'>
        """
        if probability < self.low:
            return Band.LOW
        return Band.HIGH if probability >= self.high else Band.INDETERMINATE
