"""Change detectors to compare: each tells, for many users at once, after which memos it says "worse".

All take scores as (memos, users) and give flags of the same shape. The one number that sets how often a detector
alarms is its `level`; the higher, the fewer alarms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import drift

from streams.rules import chart_rules
from tests.benchmarks.drift_simulation import simulate
from tests.benchmarks.drift_table import COOLDOWN_S

Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Alarms = Callable[[float, Array, Array], Flags]
"""level, scores (memos, users), day of each memo → flags."""


@dataclass(frozen=True, slots=True)
class Detector:
    """A detector and where to search for its level. users: how many it can be tried on in the time there is."""

    name: str
    alarms: Alarms
    levels: tuple[float, float]
    users: int
    scaled: bool = False
    """Whether it is given scores in SDs from each user's true mean, which nobody knows."""


def detectors(phi: float, shift: float) -> list[Detector]:
    """All of them. phi, shift: of the data; only the known-parameter bound is told."""
    return [
        Detector("Undertone", undertone, (2.0, 9.0), 1000),
        Detector("known-parameter CUSUM", partial(known_cusum, phi, shift), (1.0, 40.0), 1000, scaled=True),
        Detector("ADWIN", adwin, (0.0, 9.0), 300),
        Detector("Page–Hinkley δ .25", partial(page_hinkley, 0.25), (2.0, 60.0), 300),
        Detector("Page–Hinkley δ .5", partial(page_hinkley, 0.5), (2.0, 60.0), 300),
        Detector("KSWIN 40/12", partial(kswin, 40, 12), (0.3, 6.0), 20),
    ]


def undertone(level: float, scores: Array, days: Array) -> Flags:
    """The shipped rule; level: its threshold."""
    history = simulate(scores[:, None, :], chart_rules(level, 1.0), COOLDOWN_S, days)
    return history.raised[:, 0]


def known_cusum(phi: float, shift: float, level: float, scores: Array, days: Array) -> Flags:
    """The bound: mean 0, SD 1, autocorrelation and the size of the change are told; level: h."""
    flags, value, before = np.zeros(scores.shape, bool), np.zeros(scores.shape[1]), np.zeros(scores.shape[1])
    reference = shift * np.sqrt((1 - phi) / (1 + phi)) / 2
    for t, score in enumerate(scores):
        rho = phi ** (days[t] - days[t - 1]) if t else 0.0
        value = np.maximum(0.0, value + (score - rho * before) / np.sqrt(1 - rho * rho) - reference)
        flags[t], before = value > level, score
        value[flags[t]] = 0.0
    return flags


def adwin(level: float, scores: Array, days: Array) -> Flags:
    """River's ADWIN, asked at every memo; level: -log10 of its delta."""

    def worse(detector: Any, score: float) -> bool:
        before = detector.estimation
        detector.update(score)
        return bool(detector.drift_detected and detector.estimation > before)

    return _one_by_one(
        lambda: drift.ADWIN(delta=10.0**-level, clock=1, grace_period=5, min_window_length=3), worse, scores
    )


def page_hinkley(delta: float, level: float, scores: Array, days: Array) -> Flags:
    """River's Page–Hinkley, upward; level: its threshold; delta: in SDs of the scores, which it is told thereby."""

    def worse(detector: Any, score: float) -> bool:
        detector.update(score)
        return bool(detector.drift_detected)

    return _one_by_one(
        lambda: drift.PageHinkley(min_instances=7, delta=delta, threshold=level, mode="up"), worse, scores
    )


def kswin(window: int, recent: int, level: float, scores: Array, days: Array) -> Flags:
    """River's KSWIN; level: -log10 of its alpha."""

    def worse(detector: Any, score: float) -> bool:
        before = np.mean(list(detector.window)[:-recent]) if len(detector.window) > recent else 0.0
        detector.update(score)
        return bool(detector.drift_detected and np.mean(list(detector.window)[-recent:]) > before)

    return _one_by_one(
        lambda: drift.KSWIN(alpha=10.0**-level, window_size=window, stat_size=recent, seed=7), worse, scores
    )


def _one_by_one(make: Callable[[], Any], worse: Callable[[Any, float], bool], scores: Array) -> Flags:
    flags = np.zeros(scores.shape, bool)
    for user in range(scores.shape[1]):
        detector = make()
        flags[:, user] = [worse(detector, float(score)) for score in scores[:, user]]
    return flags
