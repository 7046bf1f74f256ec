"""What happens to users in the benchmark of drift: kinds of data, changes, and how long detectors take to see them."""

from dataclasses import dataclass

import numpy as np

from tests.benchmarks.drift_detectors import Array, Detector, Flags

BURN, YEAR, WATCH = 7, 365, 60
SHIFT = 1.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of data. phi: autocorrelation; noise: (memos, users) of unit variance; missing: share of days without."""

    name: str
    phi: float = 0.0
    heavy: bool = False
    weekly: bool = False
    missing: float = 0.0
    alike: bool = False
    """Whether all users have the same mean and SD; else both vary from user to user, the SD by a factor of 1.5."""


KINDS = (
    Kind("independent"),
    Kind("independent, all users alike", alike=True),
    Kind("AR(1), φ = .3", phi=0.3),
    Kind("AR(1), φ = .5", phi=0.5),
    Kind("heavy tails, t₃", heavy=True),
    Kind("weekends 1 SD higher", weekly=True),
    Kind("30 % of days missing, φ = .3", phi=0.3, missing=0.3),
)


def calm(kind: Kind, memos: int, users: int, seed: int) -> tuple[Array, Array]:
    """Scores (memos, users) of users whom nothing happens to, and the day of each memo."""
    rng = np.random.default_rng(seed)
    days = np.arange(int(memos / (1 - kind.missing)) + 1, dtype=float)
    days = np.sort(rng.choice(days, memos, replace=False)) if kind.missing else days[:memos]
    shape = (memos, users)
    scores = rng.standard_t(3, shape) / np.sqrt(3) if kind.heavy else rng.standard_normal(shape)
    for t in range(1, memos):
        rho = kind.phi ** (days[t] - days[t - 1])
        scores[t] = rho * scores[t - 1] + np.sqrt(1 - rho * rho) * scores[t]
    if kind.weekly:
        scores += np.where(days % 7 >= 5, 5 / 7, -2 / 7)[:, None]
    return scores, days


def seen(detector: Detector, kind: Kind, scores: Array) -> Array:
    """Scores as the detector is given them: on each user's own scale, unless it is told that."""
    if kind.alike or detector.scaled:
        return scores
    rng = np.random.default_rng(3)
    users = scores.shape[1]
    mean, sd = rng.normal(-1.0, 1.0, users), np.exp(rng.normal(0.0, np.log(1.5), users))
    return np.asarray(mean + sd * scores)


def changed(kind: Kind, change: str, baseline: int, users: int, seed: int) -> tuple[Array, Array]:
    """Scores that grow by SHIFT at once, or by 1.5 over four weeks, after `baseline` memos, and the days."""
    scores, days = calm(kind, baseline + WATCH, users, seed)
    since = days - days[baseline] + 1
    rise = np.where(since > 0, SHIFT, 0.0) if change == "step" else 1.5 * np.clip(since / 28, 0.0, 1.0)
    return scores + rise[:, None], days


def rate(detector: Detector, level: float, kind: Kind) -> float:
    """False alarms a user-year of 365 memos."""
    scores, days = calm(kind, BURN + YEAR, detector.users, 1)
    return float(detector.alarms(level, seen(detector, kind, scores), days)[BURN:].sum() / detector.users)


def tuned(detector: Detector, kind: Kind) -> float:
    """The level that gives one false alarm a user-year."""
    low, high = detector.levels
    for _ in range(5 if detector.users < 600 else 8):
        middle = (low + high) / 2
        low, high = (middle, high) if rate(detector, middle, kind) > 1.0 else (low, middle)
    return high


def delay(flags: Flags, baseline: int) -> Array:
    """Memos from the change to the first alarm, at most WATCH."""
    after = flags[baseline:]
    return np.where(after.any(0), after.argmax(0) + 1.0, WATCH)


@dataclass(frozen=True, slots=True)
class Cell:
    """What one detector did in one cell of the table."""

    mean: float
    half_width: float
    within_30: float
    flags: Flags

    def __str__(self) -> str:
        return f"{self.mean:.1f} ± {self.half_width:.1f} ({self.within_30:.0%})"


def cell(detector: Detector, level: float, kind: Kind, change: str, baseline: int) -> Cell:
    """Mean delay with its 95 % confidence interval, and the share found within 30 memos."""
    scores, days = changed(kind, change, baseline, detector.users, 2)
    flags = detector.alarms(level, seen(detector, kind, scores), days)
    delays = delay(flags, baseline)
    half_width = 1.96 * float(delays.std()) / np.sqrt(len(delays))
    return Cell(float(delays.mean()), float(half_width), float((delays <= 30).mean()), flags)
