"""Fitting the map from held-out logits to probabilities, and the band within which the system abstains. Pure.

raw, labels, weights, folds: (memos,). The logits must come from models that never saw the memo's speaker; labels may be
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
"""Memos that the straight line weighs in every step of the isotonic map: a step of few memos proves little."""
FEWEST = 100.0
"""Weight of the memos of either label from which isotonic is considered: fewer are parted wholly by chance."""
TINY = 1e-9
"""Memos: beside any that there are, none."""
RISE = 0.01
"""Share of the straight line in the isotonic map: two steps at the bound still rise."""
STEEPEST = 0.95
"""Share of LOGIT_BOUND that a step may reach: the map stays invertible."""


@dataclass(frozen=True, slots=True)
class Calibrated:
    """own: the map of the head for people with a baseline; first: of the head for the others; bands: of both."""

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
    """Scale and shift of the logits by maximum likelihood, pulled slightly to 1 and 0 so that few memos do no harm.

    Source: Platt 1999 (scale and shift); Guo et al. 2017, arXiv:1706.04599 (temperature scaling).
    """

    def loss(parameters: Floats) -> tuple[float, Floats]:
        scaled = np.exp(parameters[0]) * raw
        bent = np.tanh((scaled + parameters[1]) / LOGIT_BOUND)
        line = LOGIT_BOUND * bent
        likelihood = np.sum(weights * (np.logaddexp(0, line) - labels * line))
        slopes = weights * (special.expit(line) - labels) * (1 - bent**2)
        gradient = np.array([np.sum(slopes * scaled), np.sum(slopes)]) + parameters
        return float(likelihood + 0.5 * np.sum(parameters**2)), gradient

    found = optimize.minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-5, 3), (-5, 5)])
    return Calibration("temperature", slope=float(np.exp(found.x[0])), offset=float(found.x[1]))


def fit_isotonic(raw: Floats, labels: Floats, weights: Floats) -> Calibration:
    """The rising map of greatest likelihood, straight between the middles of its steps so that no two memos tie.

    Every step is pulled to the temperature's line by PULL memos, and the line goes on outside the steps. With fewer
    than two steps, the line itself. Source: Zadrozny & Elkan 2002, doi:10.1145/775047.775151; middles of steps as in
    centred isotonic regression (Oron & Flournoy 2017, arXiv:1701.05964).
    """
    line = fit_temperature(raw, labels, weights)
    middles, shares, sizes = _steps(raw, labels, weights)
    said = line.probability(middles.astype(np.float32)).astype(np.float64)
    middles, shares, _ = _steps(middles, (sizes * shares + PULL * said) / (sizes + PULL), sizes + PULL)
    if len(middles) < 2:
        return line
    bound = STEEPEST * LOGIT_BOUND
    logits = np.clip(np.log(shares / (1 - shares)), -bound, bound)
    # `Calibration.logit` bends what it reads off the knots towards its bound: they lie where that puts them right.
    knots = LOGIT_BOUND * np.arctanh(logits / LOGIT_BOUND)
    knots += RISE * (line.slope * middles + line.offset - knots)
    return Calibration("isotonic", line.slope, line.offset, tuple(map(float, middles)), tuple(map(float, knots)))


FITS = {"temperature": fit_temperature, "isotonic": fit_isotonic}


def better_method(raw: Floats, labels: Floats, weights: Floats, folds: NDArray[np.int64]) -> Method:
    """Isotonic, where it predicts held-out folds better than temperature by more than a standard error.

    folds: speaker-disjoint. Temperature has two numbers to learn and isotonic as many as it likes: where they tie, the
    first is the safer on speakers to come. With fewer than three folds, or FEWEST, there is nothing to compare.
    """
    count = len(np.unique(folds))
    if count < 3 or min(np.sum(weights * labels), np.sum(weights * (1 - labels))) < FEWEST:
        return "temperature"
    known = raw, labels, weights, folds
    lower = clearly_lower(fold_losses("isotonic", *known), fold_losses("temperature", *known))
    return "isotonic" if lower else "temperature"


def clearly_lower(losses: Floats, plainer: Floats) -> bool:
    """Whether the losses (folds,) are lower than those of something plainer by more than a standard error.

    Few folds tell little: a choice that they make by chance is paid for by the speakers to come. Never with one fold.
    Source: the rule of one standard error, Breiman et al. 1984, Classification and Regression Trees, §3.4.3.
    """
    gains = plainer - losses
    return len(gains) > 1 and bool(gains.mean() > gains.std(ddof=1) / np.sqrt(len(gains)))


def fold_losses(method: Method, raw: Floats, labels: Floats, weights: Floats, folds: NDArray[np.int64]) -> Floats:
    """Mean cross-entropy of every fold, calibrated by the other folds: (folds,)."""
    losses = []
    for name in np.unique(folds):
        own = folds == name
        calibration = FITS[method](raw[~own], labels[~own], weights[~own])
        losses.append(_loss(calibration, raw[own], labels[own], weights[own]))
    return np.array(losses)


def choose_bands(probability: Floats, labels: Floats, share: float = 0.2) -> Bands:
    """The band of about `share` of the memos around the threshold that raises sensitivity and specificity both.

    probability, labels: (memos,), from models that never saw the memo's speaker. The threshold is the prevalence:
    there, a calibrated probability says that both classes are equally likely to have made the memo's features. The
    best band is the one that raises the less raised of the two most, as the probabilities expect it: by the labels the
    few memos that are wrong would place it.
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
    """Middle, share of positives and weight of every step of the rising regression, from left to right."""
    order = np.argsort(raw, kind="stable")
    fitted = IsotonicRegression(increasing=True).fit(raw, labels, sample_weight=weights)
    rising: Floats = fitted.predict(raw[order])
    starts = np.flatnonzero(np.r_[True, np.diff(rising) > 0])
    sizes = np.add.reduceat(weights[order], starts)
    return np.add.reduceat((weights * raw)[order], starts) / sizes, rising[starts], sizes


def _loss(calibration: Calibration, raw: Floats, labels: Floats, weights: Floats) -> float:
    """Mean cross-entropy."""
    logit = calibration.logit(raw.astype(np.float32)).astype(np.float64)
    return float(np.sum(weights * (np.logaddexp(0, logit) - labels * logit)) / np.sum(weights))


def _edges(ordered: Floats, start: int, width: int, threshold: float) -> Bands:
    low = ordered[start] if width else threshold
    high = ordered[start + width] if start + width < len(ordered) else 1.0
    return Bands(min(float(low), threshold), threshold, max(float(high), threshold))


def _expected(bands: Bands, probability: Floats) -> tuple[float, float]:
    """Sensitivity and specificity among the decided memos, as their probabilities expect them; 0 of none."""
    above, below = probability[probability >= bands.high], probability[probability < bands.low]
    positives, negatives = float(np.sum(above) + np.sum(below)), float(np.sum(1 - above) + np.sum(1 - below))
    return float(np.sum(above)) / max(positives, TINY), float(np.sum(1 - below)) / max(negatives, TINY)
