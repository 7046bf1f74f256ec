"""Change detectors to compare: each tells, for many users at once, after which memos it says "worse".

All take scores as (memos, users) and give flags of the same shape. The one number that sets how often a detector
alarms is its `level`; the higher, the fewer alarms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from river import drift
from scipy import stats

from streams.drift.cusum import ChartRules
from streams.drift.rules import COOLDOWN_S, chart_rules
from tests.benchmarks.drift_simulation import simulate

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
        Detector("Undertone", undertone, (2.0, 9.0), 600),
        Detector("Undertone, given φ", partial(undertone_told, phi), (2.0, 9.0), 600),
        Detector("known-parameter CUSUM", partial(known_cusum, phi, shift), (1.0, 40.0), 600, scaled=True),
        # Beyond δ = 1, which level 0 is, ADWIN means nothing any more, but only there does it alarm once a year.
        Detector("ADWIN", adwin, (-1.0, 9.0), 600),
        Detector("Page–Hinkley δ .25", partial(page_hinkley, 0.25), (2.0, 60.0), 600),
        Detector("Page–Hinkley δ .5", partial(page_hinkley, 0.5), (2.0, 60.0), 600),
        Detector("KSWIN 40/12", partial(kswin, 40, 12), (0.3, 6.0), 60),
    ]


def undertone(level: float, scores: Array, days: Array) -> Flags:
    """The shipped rule, whose alarms are alerts raised and escalated; level: its threshold."""
    return _alerts(chart_rules(level, 1.0), scores, days)


def undertone_told(phi: float, level: float, scores: Array, days: Array) -> Flags:
    """The shipped rule where the autocorrelation need not be learnt: told, as tuning on such data tells the others."""
    return _alerts(chart_rules(level, 1.0)._replace(phi=phi, phi_weight=1e9), scores, days)


def _alerts(rules: ChartRules, scores: Array, days: Array) -> Flags:
    history = simulate(scores[:, None, :], rules, COOLDOWN_S, days)
    return (history.raised | history.escalated)[:, 0]


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

    with patch.object(drift.kswin, "stats", SimpleNamespace(ks_2samp=_ks_2samp)):
        return _one_by_one(
            lambda: drift.KSWIN(alpha=10.0**-level, window_size=window, stat_size=recent, seed=7), worse, scores
        )


def _ks_2samp(one: list[float], other: list[float], method: str) -> tuple[float, float]:
    """SciPy's, for two samples of one size without ties; its p-values, looked up, for it takes half a millisecond."""
    signs = np.repeat([1, -1], len(one))[np.argsort(one + other)]
    apart = int(np.abs(signs.cumsum()).max())
    return apart / len(one), _p_value(apart, len(one), method)


@cache
def _p_value(apart: int, size: int, method: str) -> float:
    one = np.arange(size, dtype=float)
    return float(stats.ks_2samp(one, one + apart - 0.5, method=method).pvalue)


def _one_by_one(make: Callable[[], Any], worse: Callable[[Any, float], bool], scores: Array) -> Flags:
    flags = np.zeros(scores.shape, bool)
    for user in range(scores.shape[1]):
        detector = make()
        flags[:, user] = [worse(detector, float(score)) for score in scores[:, user]]
    return flags
