"""Drift against River's detectors and against the bound: `python -m tests.benchmarks.drift` writes results/drift.md.

Every detector is tuned, by search, to the same false alarms on calm data of the same kind, one a user-year, and then
meets the same changes. A delay counts the memos from the change to the alarm; users not found within 60 memos count 60.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from streams.calibration import threshold_for
from tests.benchmarks.drift_detectors import Array, Detector, Flags, detectors
from tests.benchmarks.drift_throughput import machine, throughput

RESULTS = Path(__file__).parent / "results"
BURN, YEAR, WATCH = 30, 365, 60
BASELINES = (14, 30, 60)
SHIFT = 1.0


WHAT = """
Mean memos from a change to the alarm ± 95 % confidence (share found within 30 memos); users not found within 60 memos
count 60. Every detector is tuned by search to one false alarm a user-year on calm data of the same kind. The step is
1 SD of the user's own scores, the ramp 1.5 SD over four weeks. Mean and SD differ between users, as they do in life,
unless a section says that all are alike. The known-parameter CUSUM is told each user's mean and SD, the autocorrelation
and the size of the step: it is the bound, not a competitor."""


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
    """Scores that grow by SHIFT at once, or by 1.5 over four weeks, after `baseline` memos."""
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
    for _ in range(4 if detector.users < 100 else 8):
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
    scores, days = changed(kind, change, baseline, min(detector.users, 1000), 2)
    flags = detector.alarms(level, seen(detector, kind, scores), days)
    delays = delay(flags, baseline)
    half_width = 1.96 * float(delays.std()) / np.sqrt(len(delays))
    return Cell(float(delays.mean()), float(half_width), float((delays <= 30).mean()), flags)


def section(kind: Kind, pictures: dict[str, Cell]) -> Iterator[str]:
    """The table of one kind of data."""
    found = detectors(kind.phi, SHIFT)
    levels = [tuned(detector, kind) for detector in found]
    yield f"\n## {kind.name}\n"
    yield "change, baseline | " + " | ".join(detector.name for detector in found)
    yield "---|" * len(found) + "---"
    rates = [rate(detector, level, kind) for detector, level in zip(found, levels, strict=True)]
    yield "false alarms a user-year | " + " | ".join(f"{r:.2f}" for r in rates)
    for change in ("step", "ramp"):
        for baseline in BASELINES:
            cells = [cell(one, level, kind, change, baseline) for one, level in zip(found, levels, strict=True)]
            yield f"{change}, {baseline} memos | " + " | ".join(map(str, cells))
            if (change, baseline) == ("step", 60):
                pictures |= {f"{kind.name}|{one.name}": c for one, c in zip(found, cells, strict=True)}
    shipped = threshold_for(1.0, 1.0)
    achieved, step = rate(found[0], shipped, kind), cell(found[0], shipped, kind, "step", 60)
    yield f"\nUndertone with the shipped threshold, told nothing of the data: {achieved:.2f} false alarms a user-year;"
    yield f"step after 60 memos: {step}."


def draw(pictures: dict[str, Cell]) -> None:
    """Share of users found, by memos since the change, for a step of 1 SD after 60 memos."""
    figure = Figure(figsize=(14, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, kind in zip(figure.subplots(2, 4, sharex=True, sharey=True).flat, KINDS, strict=False):
        for name, one in pictures.items():
            of, detector = name.split("|")
            if of == kind.name:
                share = np.maximum.accumulate(one.flags[60:], axis=0).mean(1)
                axes.plot(np.arange(1, WATCH + 1), share, linewidth=2 if detector == "Undertone" else 1, label=detector)
        axes.set_title(kind.name, fontsize=10)
        axes.grid(alpha=0.2)
        axes.set_ylim(0, 1)
    axes.legend(fontsize=7)
    figure.supxlabel("memos since a change of 1 SD, after 60 calm memos")
    figure.supylabel("share of users found, at one false alarm a user-year")
    figure.savefig(RESULTS / "drift.png", dpi=80)


def main(log: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)) -> None:
    """Write results/drift.md and results/drift.png."""
    pictures: dict[str, Cell] = {}
    lines = [
        "# Drift",
        f"\n{machine()}; `python -m tests.benchmarks.drift`",
        *throughput(),
        "\n## Delays",
        WHAT,
    ]
    for kind in KINDS:
        for line in section(kind, pictures):
            lines.append(line)
            log(line)
    draw(pictures)
    (RESULTS / "drift.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
