"""Makes `streams/drift/thresholds.json`: `python -m tests.benchmarks.drift_table`, about ten minutes on one core.

False alerts are counted over the year that follows the first seven days, in calm users; delays in users whose score
moves for good after 60 calm days and who had no episode open then.
"""

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streams.drift import cusum
from streams.drift.rules import CORRELATED, MEMOS_CAP, PHI_WEIGHT, YOUNG, chart_rules
from streams.drift.thresholds import YEAR_DAYS
from tests.benchmarks.drift_simulation import simulate

MEMOS = (1, 2, 3, 6, 12)
PHIS = (0.0, 0.3, 0.5)
THRESHOLDS = (2.5, 3.25, 4.0, 4.75, 5.5, 6.5, 8.0, 10.0, 13.0)
SHIFTS = (0.5, 1.0, 1.5, 2.0)
FIRST, YEAR, CALM, WATCHED = 7, 365, 60, 100
COOLDOWN_S = 7 * 86400.0
OUT = Path(__file__).parents[2] / "streams" / "drift" / "thresholds.json"

Array = NDArray[np.float64]


def calm_scores(phi: float, days: int, memos: int, users: int, rng: np.random.Generator) -> Array:
    """Standard normal scores whose neighbours correlate by phi, (days, memos, users)."""
    noise = rng.standard_normal((days * memos, users))
    for t in range(1, len(noise)):
        noise[t] = phi * noise[t - 1] + np.sqrt(1 - phi * phi) * noise[t]
    return noise.reshape(days, memos, users)


def false_alerts(threshold: float, phi: float, memos: int, users: int, seed: int) -> tuple[float, float]:
    """Log of false alerts a user-year, and the standard error of that logarithm."""
    scores = calm_scores(phi, FIRST + YEAR, memos, users, np.random.default_rng(seed))
    counts = simulate(scores, chart_rules(threshold, memos), COOLDOWN_S).raised[FIRST:].sum((0, 1))
    mean = max(float(counts.mean()), 0.5 / users)
    return float(np.log(mean * YEAR_DAYS / YEAR)), float(counts.std() / np.sqrt(users) / mean)


def delay(threshold: float, phi: float, memos: int, shift: float, users: int, seed: int) -> list[float]:
    """Mean delay in memos, its standard error, the median, and the share found within 30 memos."""
    days = CALM + max(40, WATCHED // memos)
    scores = calm_scores(phi, days, memos, users, np.random.default_rng(seed))
    scores[CALM:] += shift
    history = simulate(scores, chart_rules(threshold, memos), COOLDOWN_S)
    closed = history.raised[:CALM].sum((0, 1)) == history.resolved[:CALM].sum((0, 1))
    after = history.raised[CALM:].reshape(-1, users)[:, closed]
    # Users not found while watched count with the whole watch: the mean is that of min(delay, watch).
    memo = np.where(after.any(0), after.argmax(0) + 1, len(after))
    error = float(memo.std() / np.sqrt(len(memo)))
    return [float(memo.mean()), error, float(np.median(memo)), float((memo <= 30).mean())]


def main() -> None:
    """Write the table, row by row to the terminal and whole at the end."""
    rates, delays = [], []
    for i, memos in enumerate(MEMOS):
        users = max(1000, 5000 // memos)
        grid = [[false_alerts(h, phi, memos, users, 10 * i + j) for h in THRESHOLDS] for j, phi in enumerate(PHIS)]
        rates.append(grid)
        print(memos, [[round(float(np.exp(rate)), 3) for rate, _ in row] for row in grid], file=sys.stderr, flush=True)
        users = max(500, 1500 // memos)
        delays.append(
            [
                [[delay(h, phi, memos, shift, users, 1000 + 10 * i + j) for shift in SHIFTS] for h in THRESHOLDS]
                for j, phi in enumerate(PHIS)
            ]
        )
    table = {
        "memos_per_day": MEMOS,
        "autocorrelation": PHIS,
        "threshold": THRESHOLDS,
        "shift": SHIFTS,
        "rates": [[[round(rate, 4) for rate, _ in row] for row in grid] for grid in rates],
        "errors": [[[round(error, 4) for _, error in row] for row in grid] for grid in rates],
        "delays": [[[[[round(x, 3) for x in d] for d in h] for h in phi] for phi in grid] for grid in delays],
        "rule": rule(),
    }
    OUT.write_text(json.dumps(table, separators=(",", ":")) + "\n")


def rule() -> dict[str, float]:
    """The constants that the table depends on; a test compares them with those it was made with."""
    own = {"young": YOUNG, "correlated": CORRELATED, "phi_weight": PHI_WEIGHT, "memos_cap": MEMOS_CAP}
    return own | {name.lower(): value for name, value in vars(cusum).items() if name.isupper()}


if __name__ == "__main__":
    main()
