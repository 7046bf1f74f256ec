"""What each detector's own parameters give, and what an update costs: sections of results/drift.md.

The detectors are used as their users do: one value after the other, a probability, with the parameters that they ship
with or that name what is wanted. DDM and its relatives take errors, 0 or 1: they are given whether the probability is
above a half.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import drift
from river.drift import binary

from streams.drift.api import RiverDriftMonitor
from tests.benchmarks.drift_trials import BURN, KINDS, SHIFT, WATCH, YEAR, Kind, calm

Array = NDArray[np.float64]
USERS, CHANGED, AFTER = 120, 200, 60
SHOWN = [kind for kind in KINDS if not kind.weekly and not kind.missing and not kind.alike]


@dataclass(frozen=True, slots=True)
class Shipped:
    """A detector with the parameters that its user would write. takes: what of a probability it is given."""

    name: str
    meaning: str
    make: Callable[[], Any]
    takes: Callable[[float], Any] = float
    users: int = USERS

    def alarms(self, stream: Array) -> Array:
        """Which values of one user it alarms at."""
        detector, flags = self.make(), np.zeros(len(stream))
        for i, value in enumerate(stream.tolist()):
            detector.update(self.takes(value))
            flags[i] = detector.drift_detected
        return flags


def _high(value: float) -> bool:
    return value > 0.5


SHIPPED = (
    Shipped("Undertone, 0.2", "false alarms a year", lambda: RiverDriftMonitor(0.2)),
    Shipped("Undertone, 1", "false alarms a year", lambda: RiverDriftMonitor(1.0)),
    Shipped("Undertone, 4", "false alarms a year", lambda: RiverDriftMonitor(4.0)),
    Shipped("ADWIN, δ .002", "significance of one comparison", drift.ADWIN),
    Shipped("ADWIN, δ .002, every value", "the same, looked at each time", lambda: drift.ADWIN(clock=1)),
    Shipped("Page–Hinkley, λ 50", "sum of deviations", drift.PageHinkley),
    Shipped("Page–Hinkley, λ 1", "sum of deviations", lambda: drift.PageHinkley(threshold=1.0, min_instances=7)),
    Shipped("KSWIN, α .005", "significance of one test", lambda: drift.KSWIN(seed=7), users=12),
    Shipped("DDM", "3 SDs of the error rate", binary.DDM, _high),
    Shipped("HDDM-A, .001", "confidence of one comparison", binary.HDDMA, _high),
    Shipped("HDDM-W, .001", "confidence of one comparison", binary.HDDMW, _high),
)


def probabilities(kind: Kind, memos: int, users: int, seed: int, changed_at: int | None = None) -> Array:
    """(memos, users): each user with a mean and an SD of their own; the logit is a step higher from `changed_at` on."""
    rng = np.random.default_rng(seed)
    scores, _ = calm(kind, memos, users, seed)
    if changed_at is not None:
        scores[changed_at:] += SHIFT
    mean, sd = rng.normal(-1.0, 1.0, users), np.exp(rng.normal(-0.5, 0.4, users))
    return np.asarray(1.0 / (1.0 + np.exp(-(mean + sd * scores))))


def as_shipped() -> Iterator[str]:
    """The section on parameters."""
    yield "\n## What a parameter gives\n"
    yield "False alarms a user-year (365 daily memos, after the first 7) of detectors used as their users do: with a"
    yield "parameter that has a name of its own, on the probabilities of users with different means and SDs. Then the"
    yield f"share of users found within {WATCH} memos of a step of 1 SD after {AFTER} memos. DDM and HDDM take binary"
    yield "values: whether the probability is above a half. Undertone's parameter is the figure itself.\n"
    yield "detector | its parameter says | " + " | ".join(kind.name for kind in SHOWN) + " | found, independent"
    yield "---|" * (2 + len(SHOWN)) + "---"
    for one in SHIPPED:
        cells = []
        for kind in SHOWN:
            stream = probabilities(kind, BURN + YEAR, one.users, 21)
            counts = np.array([one.alarms(stream[:, user])[BURN:].sum() for user in range(one.users)])
            cells.append(f"{counts.mean():.2f} ± {1.96 * counts.std() / np.sqrt(one.users):.2f}")
        stream = probabilities(KINDS[0], AFTER + WATCH, one.users, 22, AFTER)
        found = np.mean([one.alarms(stream[:, user])[AFTER:].any() for user in range(one.users)])
        yield f"{one.name} | {one.meaning} | " + " | ".join(cells) + f" | {found:.0%}"


def costs() -> Iterator[str]:
    """The section on time."""
    yield "\n## Time of an update\n"
    yield "CPU time of this process per value, one user, one value after the other, through River's interface.\n"
    yield "detector | µs per update\n---|---"
    stream = probabilities(KINDS[0], 4000, 1, 23)[:, 0]
    for one in SHIPPED[1:]:
        values = stream[:400] if one.users < USERS else stream
        started = time.process_time()
        one.alarms(values)
        yield f"{one.name} | {(time.process_time() - started) / len(values) * 1e6:.1f}"
