"""The promise as an operator checks it: `python -m tests.benchmarks.drift_promise` writes results/drift_promise.md.

First a grid of budgets, memos a day, autocorrelations and baselines, with enough users for narrow intervals, by the
agent's charts compiled (`tests/benchmarks/drift_simulation.py`). Then streams of made-up users go as lines of JSON
through `undertone drift replay`, and the alerts that come out are counted: there neither the code nor the users are
those of the simulation that made the shipped thresholds.
"""

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streams.drift.rules import COOLDOWN_S, chart_rules_for
from streams.drift.thresholds import YEAR_DAYS
from tests.benchmarks.drift_simulation import simulate
from tests.benchmarks.machine import provenance

RESULTS = Path(__file__).parent / "results"
START = np.datetime64("2025-01-01T00:00:00.000")
DAY_MS = 86_400_000
YEAR, SOON = 365, 30
ASKED, MEMOS, PHIS, BASELINES = (
    (0.1, 0.2, 1.0, 4.0),
    (1, 3),
    (0.0, 0.1, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5),
    (7, 14, 30, 60),
)
ALERTS, BLOCK = 2500, 1000
"""False alerts that a cell of the grid should have, and users at once."""
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Users and how they speak. Logits have a mean and an SD of each user's own, and neighbours correlate by phi."""

    name: str
    users: int
    memos: float = 1.0
    phi: float = 0.0
    baseline: int = 7
    noise: str = "normal"
    times: str = "even"
    mean: float = -1.0
    shift: float = 0.0
    """SDs by which every score after the baseline lies higher."""
    days: int = YEAR
    shaken: bool = False
    """Lines out of order within the reorder window, and one in ten twice."""

    def stream(self, seed: int) -> tuple[NDArray[np.int64], Array]:
        """When each memo was recorded, in milliseconds, and its probability: (memos, users) both."""
        rng = np.random.default_rng(seed)
        shape = (self.baseline + round(self.days * self.memos), self.users)
        draw: dict[str, Callable[[], Array]] = {
            "normal": lambda: rng.standard_normal(shape),
            "t3": lambda: rng.standard_t(3, shape) / np.sqrt(3),
            "gamma": lambda: (rng.gamma(4, size=shape) - 4) / 2,
            "outliers": lambda: rng.standard_normal(shape) + 8 * (rng.random(shape) < 0.02),
        }
        z = draw[self.noise]()
        for i in range(1, len(z)):
            z[i] = self.phi * z[i - 1] + np.sqrt(1 - self.phi**2) * z[i]
        z[self.baseline :] += self.shift
        gaps: dict[str, Callable[[], Array]] = {
            "even": lambda: np.full(shape, 1.0),
            "random": lambda: rng.exponential(1.0, shape),
            "silences": lambda: 1.0 + self.memos * (rng.random(shape) < 0.01) * rng.uniform(5, 40, shape),
        }
        at = np.cumsum(gaps[self.times](), 0) / self.memos
        logits = rng.normal(self.mean, 1.0, self.users) + np.exp(rng.normal(-0.5, 0.4, self.users)) * z
        return (at * DAY_MS).astype(np.int64), 1 / (1 + np.exp(-logits))

    def lines(self, at: NDArray[np.int64], probability: Array, seed: int) -> Iterator[str]:
        """The lines, by time or shaken."""
        rng = np.random.default_rng(seed)
        late = rng.uniform(0, 1.9 * DAY_MS, at.shape) if self.shaken else 0
        for flat in np.array_split(np.argsort(at + late, axis=None, kind="stable"), 1 + at.size // 100_000):
            memos, users = np.divmod(flat, self.users)
            times = np.datetime_as_string(START + at[memos, users].astype("timedelta64[ms]"))
            for i, user, time, p in zip(memos, users, times, probability[memos, users], strict=True):
                line = f'{{"user_id":"u{user}","memo_id":"{user}-{i}","recorded_at":"{time}Z","probability":{p}}}\n'
                yield line * (2 if self.shaken and rng.random() < 0.1 else 1)


def replayed(crowd: Crowd, requested: float, seed: int) -> tuple[list[tuple[int, int]], Array]:
    """(user, memo) of every alert that was raised, of whatever kind, and how many years each user was watched."""
    at, probability = crowd.stream(seed)
    rates = ["--alerts-per-user-year", f"{requested:g}", "--memos-per-day", f"{crowd.memos:g}"]
    command = [sys.executable, "-m", "streams.cli", "drift", "replay", *rates]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        feeding = threading.Thread(target=_feed, args=(process.stdin, crowd.lines(at, probability, seed)))
        feeding.start()
        alerts = [json.loads(line) for line in process.stdout]
        feeding.join()
    raised = [alert["memo_id"].split("-") for alert in alerts if alert["state"] == "raised"]
    years = (at[-1] - at[crowd.baseline - 1]) / DAY_MS / YEAR_DAYS
    return [(int(user), int(memo)) for user, memo in raised], years


def _feed(stdin, lines: Iterator[str]) -> None:  # type: ignore[no-untyped-def]
    with stdin:
        stdin.writelines(lines)


def grid_counts(asked: float, memos: int, phi: float, seed: int) -> Array:
    """Alerts of each user in the year after each of BASELINES, counted in memos: (baselines, users)."""
    rng = np.random.default_rng(seed)
    rules, year = chart_rules_for(asked, memos), YEAR * memos
    days = YEAR + -(-BASELINES[-1] // memos)
    counts = []
    for _ in range(-(-ALERTS // round(BLOCK * asked))):
        z = rng.standard_normal((days * memos, BLOCK))
        for i in range(1, len(z)):
            z[i] = phi * z[i - 1] + np.sqrt(1 - phi**2) * z[i]
        logits = rng.normal(-1.0, 1.0, BLOCK) + np.exp(rng.normal(-0.5, 0.4, BLOCK)) * z
        raised = simulate(logits.reshape(days, memos, BLOCK), rules, COOLDOWN_S).raised.reshape(-1, BLOCK)
        counts.append([raised[first : first + year].sum(0) for first in BASELINES])
    return np.concatenate(counts, axis=1).astype(float)


def grid_row(asked: float, memos: int, phi: float) -> tuple[str, float]:
    """One row, of achieved over asked and its upper 95 % confidence bound by baseline; and the largest bound."""
    counts = grid_counts(asked, memos, phi, seed=round(1e6 * asked + 1e3 * memos + 100 * phi))
    ratio = counts.mean(1) * YEAR_DAYS / YEAR / asked
    bound = ratio + 1.96 * counts.std(1) / np.sqrt(counts.shape[1]) * YEAR_DAYS / YEAR / asked
    cells = " | ".join(f"{r:.3f} (≤ {b:.3f})" for r, b in zip(ratio, bound, strict=True))
    return f"{asked:g} | {memos} | {phi:g} | {counts.shape[1]:,} | {cells}", float(bound.max())


def grid() -> Iterator[str]:
    """The table of the promise itself."""
    yield "\n## Normal scores, every budget\n"
    yield "Drift alerts raised a user-year over what was asked for (and the upper 95 % confidence bound), in the year"
    yield "after a baseline of so many memos, with no setting but R and M.\n"
    yield "R | M | φ | users | " + " | ".join(f"baseline {b}" for b in BASELINES)
    yield "---|" * (3 + len(BASELINES)) + "---"
    bounds = []
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for row, bound in pool.map(grid_row, *zip(*product(ASKED, MEMOS, PHIS), strict=True)):
            bounds.append(bound)
            yield row
    yield f"\nThe largest upper bound of the {len(bounds) * len(BASELINES)} cells is {max(bounds):.3f}."


def kept(crowd: Crowd, requested: float, seed: int = 1) -> str:
    """One row: alerts a user-year over what was requested, with a standard error over users."""
    raised, years = replayed(crowd, requested, seed)
    counts = Counter(user for user, memo in raised if memo >= crowd.baseline)
    ratio = np.array([counts[user] for user in range(crowd.users)]) / years / requested
    error = ratio.std() / np.sqrt(crowd.users)
    settings = f"{requested:g} | {crowd.memos:g} | {crowd.phi:g} | {crowd.baseline}"
    return f"{crowd.name} | {settings} | {years.sum():.0f} | {ratio.mean():.2f} ± {error:.2f}"


def found(shift: float, users: int = 2000, seed: int = 2) -> str:
    """One row: how soon a step after 60 memos is alerted about, users with an alert open at the change included."""
    crowd = Crowd("", users, baseline=60, shift=shift, days=60)
    raised, _ = replayed(crowd, 1.0, seed)
    first = np.full(users, np.inf)
    for user, memo in raised:
        if memo >= crowd.baseline:
            first[user] = min(first[user], memo - crowd.baseline + 1)
    within = (first <= SOON).mean()
    return f"{shift:g} SD | {np.median(first):.0f} | {within:.1%} ± {np.sqrt(within * (1 - within) / users):.1%}"


def crowds() -> Iterator[tuple[Crowd, float]]:
    """Every row of the table, and the false alerts a user-year to ask for."""
    for memos, users in ((1.0, 400), (3.0, 150)):
        for phi in (0.0, 0.5):
            yield Crowd("normal scores", users, memos, phi), 1.0
    yield Crowd("means near the high band", 200, mean=1.5), 1.0
    yield Crowd("out of order, one line in ten twice", 200, shaken=True), 1.0
    for phi in (0.0, 0.5):
        yield Crowd("at random times", 200, phi=phi, times="random"), 1.0
        yield Crowd("silences of 5 to 40 days", 200, phi=phi, times="silences"), 1.0
        yield Crowd("every other day", 200, memos=0.5, phi=phi), 1.0
        yield Crowd("every seventh day", 600, memos=1 / 7, phi=phi), 1.0
    for noise, name in (("t3", "heavy tails, t₃"), ("gamma", "skewness 1"), ("outliers", "2 % outliers at 8 SD")):
        yield Crowd(name, 600, noise=noise), 1.0


def main() -> None:
    """Write results/drift_promise.md."""
    lines = [
        "# The false-alarm budget",
        f"\n{provenance('python -m tests.benchmarks.drift_promise')}",
    ]
    for line in grid():
        lines.append(line)
        print(line, file=sys.stderr, flush=True)
    lines += ["\n## Through the command\n"]
    lines += ["Alerts raised a user-year, drift and level together, over what was requested, in the year after the"]
    lines += ["baseline: `undertone drift replay --alerts-per-user-year R --memos-per-day M`, with no other setting.\n"]
    lines += ["users | R | M | φ | baseline | user-years | achieved / requested", "---|---|---|---|---|---|---"]
    for crowd, requested in crowds():
        lines.append(kept(crowd, requested))
        print(lines[-1], file=sys.stderr, flush=True)
    lines += ["\n## A step after 60 memos, R = 1, M = 1\n", "step | median memos | found within 30", "---|---|---"]
    lines += [found(1.0), found(1.5)]
    print(*lines[-2:], sep="\n", file=sys.stderr)
    (RESULTS / "drift_promise.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
