"""From a head's logit to a probability that means what it says, and to a band. Pure.

Calibrated logits stay within ±LOGIT_BOUND, smoothly, so that drift has room on every side and no memo is certain.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from schemas.events import Band, FloatArray

LOGIT_BOUND = 4.0
"""Probabilities lie between 0.018 and 0.982."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A monotone map of logits: piecewise linear through (logits, calibrated), with the end slopes of `slope` outside.

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
        """What the bundle's manifest keeps."""
        plain = {"kind": self.kind, "slope": self.slope, "offset": self.offset}
        return plain | ({"logits": [*self.logits], "calibrated": [*self.calibrated]} if self.logits else {})

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Calibration":
        """The inverse of `to_json`. Raises ValueError when the map would not be monotone or finite."""
        knots, calibrated = tuple(value.get("logits", ())), tuple(value.get("calibrated", ()))
        found = cls(value["kind"], float(value["slope"]), float(value["offset"]), knots, calibrated)
        numbers = np.array([found.slope, found.offset, *knots, *calibrated], np.float64)
        rising = all(np.all(np.diff(side) >= 0) for side in (knots, calibrated))
        if not np.isfinite(numbers).all() or found.slope <= 0 or len(knots) != len(calibrated) or not rising:
            raise ValueError("the calibration is no rising, finite map")
        return found


@dataclass(frozen=True, slots=True)
class Bands:
    """The system abstains from `low` up to `high`; `threshold` lies between, and decides where it must (UAR, F1)."""

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


def fit_temperature(raw: Floats, labels: Floats, weights: Floats | None = None) -> Calibration:
    """Scale and shift of the logits by maximum likelihood, pulled slightly to 1 and 0 so that few memos do no harm.

    raw, labels, weights: (memos,); the logits must come from models that never saw the memo's speaker. labels may be
    soft. Source: Platt 1999 (scale and shift); Guo et al. 2017, arXiv:1706.04599 (temperature scaling).
    """
    weight = np.ones_like(raw) if weights is None else weights

    def loss(parameters: Floats) -> float:
        line = LOGIT_BOUND * np.tanh((np.exp(parameters[0]) * raw + parameters[1]) / LOGIT_BOUND)
        likelihood = np.sum(weight * (np.logaddexp(0, line) - labels * line))
        return float(likelihood + 0.5 * np.sum(parameters**2))

    found = optimize.minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-5, 3), (-5, 5)])
    return Calibration("temperature", slope=float(np.exp(found.x[0])), offset=float(found.x[1]))


def choose_bands(probability: Floats, labels: Floats, share: float = 0.2) -> Bands:
    """The band of about `share` of the memos around the threshold that helps sensitivity and specificity alike.

    probability, labels: (memos,), from models that never saw the memo's speaker. The threshold is the prevalence:
    there, a calibrated probability says that both classes are equally likely to have made the memo's features.
    """
    threshold = float(np.clip(labels.mean(), 0.05, 0.95))
    ordered = np.sort(probability)
    at = int(np.searchsorted(ordered, threshold))
    width = round(share * len(ordered))
    starts = range(max(at - width, 0), min(at, len(ordered) - width) + 1)
    candidates = [_edges(ordered, start, width, threshold) for start in starts]
    return max(candidates, key=lambda bands: _worst(bands, probability, labels), default=Bands(*[threshold] * 3))


def _edges(ordered: Floats, start: int, width: int, threshold: float) -> Bands:
    low = ordered[start] if width else threshold
    high = ordered[start + width] if start + width < len(ordered) else 1.0
    return Bands(min(float(low), threshold), threshold, max(float(high), threshold))


def _worst(bands: Bands, probability: Floats, labels: Floats) -> float:
    """The smaller of sensitivity and specificity among the decided memos."""
    sides: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_]]] = (
        (labels > 0.5, probability >= bands.high),
        (labels <= 0.5, probability < bands.low),
    )
    decided = (probability < bands.low) | (probability >= bands.high)
    return min(float(np.mean(right[side & decided])) if (side & decided).any() else 0.0 for side, right in sides)
