"""Fit the map from held-out logits to probabilities, and the band in which the system abstains. Pure.

raw, labels, weights, folds: (memos,). The logits must come from models not trained on the memo's speaker; labels may be
soft.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special
from sklearn.isotonic import IsotonicRegression

from workers.scoring.calibration import LOGIT_BOUND, Bands, Calibration

Method = Literal["temperature", "isotonic"]
Floats = NDArray[np.float64]
PULL = 1.0
"""Weight of the straight line, in memos, in every step of the isotonic map: steps of few memos are unreliable."""
FEWEST = 100.0
"""Minimum weight of the memos of either label for isotonic: fewer are separated completely by chance."""
TINY = 1e-9
"""Negligible number of memos, against division by zero."""
RISE = 0.01
"""Share of the straight line in the isotonic map, so that two steps at the bound still increase."""
STEEPEST = 0.95
"""Maximum share of LOGIT_BOUND in a step, so that the map stays invertible."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """own: calibration of the head for people with a baseline; first: of the other head; bands: of both."""

    own: Calibration
    first: Calibration
    bands: Bands

    def logit(self, raw: Floats, known: NDArray[np.bool_]) -> Floats:
        """Calibrated logits. known: (memos,), whether the speaker had a baseline."""
        single = raw.astype(np.float32)
        return np.where(known, self.own.logit(single), self.first.logit(single)).astype(np.float64)

    def probability(self, raw: Floats, known: NDArray[np.bool_]) -> Floats:
        """Calibrated probabilities."""
        return np.asarray(1 / (1 + np.exp(-self.logit(raw, known))))


def fit_temperature(raw: Floats, labels: Floats, weights: Floats) -> Calibration:
    """Scale and shift of the logits by maximum likelihood, regularised towards 1 and 0 for small samples.

    Source: Platt 1999 (scale and shift); Guo et al. 2017, arXiv:1706.04599 (temperature scaling).
    """

    def loss(parameters: Floats) -> tuple[float, Floats]:
        scaled = np.exp(parameters[0]) * raw
        squashed = np.tanh((scaled + parameters[1]) / LOGIT_BOUND)
        line = LOGIT_BOUND * squashed
        likelihood = np.sum(weights * (np.logaddexp(0, line) - labels * line))
        slopes = weights * (special.expit(line) - labels) * (1 - squashed**2)
        gradient = np.array([np.sum(slopes * scaled), np.sum(slopes)]) + parameters
        return float(likelihood + 0.5 * np.sum(parameters**2)), gradient

    found = optimize.minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-5, 3), (-5, 5)])
    return Calibration("temperature", slope=float(np.exp(found.x[0])), offset=float(found.x[1]))


def fit_isotonic(raw: Floats, labels: Floats, weights: Floats) -> Calibration:
    """The increasing map of maximum likelihood, linear between the middles of its steps so that no two memos tie.

    Every step is pulled to the temperature's line by PULL memos, and the line continues outside the steps. With fewer
    than two steps, the line itself. Source: Zadrozny & Elkan 2002, doi:10.1145/775047.775151; middles of steps as in
    centred isotonic regression (Oron & Flournoy 2017, arXiv:1701.05964).
    """
    line = fit_temperature(raw, labels, weights)
    middles, shares, sizes = _steps(raw, labels, weights)
    prior = line.probability(middles.astype(np.float32)).astype(np.float64)
    middles, shares, _ = _steps(middles, (sizes * shares + PULL * prior) / (sizes + PULL), sizes + PULL)
    if len(middles) < 2:
        return line
    bound = STEEPEST * LOGIT_BOUND
    logits = np.clip(np.log(shares / (1 - shares)), -bound, bound)
    # The inverse of the tanh in `Calibration.logit`, so that the knots map to these logits.
    knots = LOGIT_BOUND * np.arctanh(logits / LOGIT_BOUND)
    knots += RISE * (line.slope * middles + line.offset - knots)
    return Calibration("isotonic", line.slope, line.offset, tuple(map(float, middles)), tuple(map(float, knots)))


FITS = {"temperature": fit_temperature, "isotonic": fit_isotonic}


def better_method(raw: Floats, labels: Floats, weights: Floats, folds: NDArray[np.int64]) -> Method:
    """Isotonic, where it predicts held-out folds better than temperature by more than a standard error.

    folds: speaker-disjoint. Temperature has two parameters and isotonic any number: where they tie, temperature is
    safer for new speakers. With fewer than three folds, or a weight below FEWEST, always temperature.
    """
    count = len(np.unique(folds))
    if count < 3 or min(np.sum(weights * labels), np.sum(weights * (1 - labels))) < FEWEST:
        return "temperature"
    data = raw, labels, weights, folds
    lower = clearly_lower(fold_losses("isotonic", *data), fold_losses("temperature", *data))
    return "isotonic" if lower else "temperature"


def clearly_lower(losses: Floats, plainer: Floats) -> bool:
    """Whether the losses (folds,) are lower than those of a simpler model by more than a standard error.

    A choice made by chance on few folds generalises badly to new speakers. Never with one fold.
    Source: the one-standard-error rule, Breiman et al. 1984, Classification and Regression Trees, §3.4.3.
    """
    gains = plainer - losses
    return len(gains) > 1 and bool(gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)))


def fold_losses(method: Method, raw: Floats, labels: Floats, weights: Floats, folds: NDArray[np.int64]) -> Floats:
    """Mean cross-entropy of every fold, calibrated on the other folds: (folds,)."""
    losses = []
    for name in np.unique(folds):
        own = folds == name
        calibration = FITS[method](raw[~own], labels[~own], weights[~own])
        losses.append(_loss(calibration, raw[own], labels[own], weights[own]))
    return np.array(losses)


def choose_bands(probability: Floats, labels: Floats, share: float = 0.2) -> Bands:
    """The band of about `share` of the memos around the threshold that raises both sensitivity and specificity.

    probability, labels: (memos,), from models not trained on the memo's speaker. The threshold is the prevalence: at
    this calibrated probability the memo's features are equally likely in both classes. The best band maximises the
    smaller of the two gains, as expected from the probabilities: measured by the labels, the few wrong memos would
    determine it.
    """
    threshold = float(np.clip(labels.mean(), 0.05, 0.95))
    ordered = np.sort(probability)
    at = int(np.searchsorted(ordered, threshold))
    width = round(share * len(ordered))
    starts = range(max(at - width, 0), min(at, len(ordered) - width) + 1)
    candidates = [_edges(ordered, start, width, threshold) for start in starts]
    none = Bands(threshold, threshold, threshold)
    without = _expected(none, ordered)

    def gain(bands: Bands) -> float:
        return min(has - had for has, had in zip(_expected(bands, ordered), without, strict=True))

    return max(candidates, key=gain, default=none)


def _steps(raw: Floats, labels: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Middle, share of positives and weight of every step of the isotonic regression, from left to right."""
    order = np.argsort(raw, kind="stable")
    fitted = IsotonicRegression(increasing=True).fit(raw, labels, sample_weight=weights)
    increasing: Floats = fitted.predict(raw[order])
    starts = np.flatnonzero(np.r_[True, np.diff(increasing) > 0])
    sizes = np.add.reduceat(weights[order], starts)
    return np.add.reduceat((weights * raw)[order], starts) / sizes, increasing[starts], sizes


def _loss(calibration: Calibration, raw: Floats, labels: Floats, weights: Floats) -> float:
    """Mean cross-entropy."""
    logit = calibration.logit(raw.astype(np.float32)).astype(np.float64)
    return float(np.sum(weights * (np.logaddexp(0, logit) - labels * logit)) / np.sum(weights))


def _edges(ordered: Floats, start: int, width: int, threshold: float) -> Bands:
    low = ordered[start] if width else threshold
    high = ordered[start + width] if start + width < len(ordered) else 1.0
    return Bands(min(float(low), threshold), threshold, max(float(high), threshold))


def _expected(bands: Bands, probability: Floats) -> tuple[float, float]:
    """Sensitivity and specificity of the decided memos, expected from their probabilities; 0 without any."""
    above, below = probability[probability >= bands.high], probability[probability < bands.low]
    positives, negatives = float(np.sum(above) + np.sum(below)), float(np.sum(1 - above) + np.sum(1 - below))
    return float(np.sum(above)) / max(positives, TINY), float(np.sum(1 - below)) / max(negatives, TINY)
