"""Makes `streams/drift/thresholds.json`: `python -m tests.benchmarks.drift_table`, about ten minutes of one core.

False alerts are counted in calm users over a year, which begins when the baseline has 7, 14, 30 or 60 days: the table
has the worst of the four. Delays are of users whose score moves for good after 60 calm days and who had no episode open
then.
"""

import json
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streams.drift import cusum, rules
from streams.drift.rules import COOLDOWN_S, chart_rules
from streams.drift.thresholds import YEAR_DAYS
from tests.benchmarks.drift_simulation import simulate

MEMOS = (1 / 7, 0.5, 1, 2, 3, 6, 12)
PHIS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
THRESHOLDS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.75, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5, 12.0, 14.0, 16.0)
SHIFTS = (0.5, 1.0, 1.5, 2.0)
BASELINES = (7, 14, 30, 60)
YEAR, CALM, WATCHED = 365, 60, 100
USUAL = (1, 3)
ALERTS, MEMOS_LIMIT = {True: 2500, False: 1200}, {True: 12_000_000, False: 4_000_000}
"""False alerts to wait for in each cell, and the most memos to simulate for them: more at USUAL memos a day."""
BLOCK_MEMOS = 500_000
OUT = Path(__file__).parents[2] / "streams" / "drift" / "thresholds.json"

Array = NDArray[np.float64]


def calm_scores(phi: float, days: int, memos: int, users: int, rng: np.random.Generator) -> Array:
    """Standard normal scores whose neighbours correlate by phi, (days, memos, users)."""
    noise = rng.standard_normal((days * memos, users))
    for t in range(1, len(noise)):
        noise[t] = phi * noise[t - 1] + np.sqrt(1 - phi * phi) * noise[t]
    return noise.reshape(days, memos, users)


def alerts_of(threshold: float, phi: float, memos: float, users: int, rng: np.random.Generator) -> Array:
    """False alerts of each user in the year after each of BASELINES, (baselines, users)."""
    year = round(YEAR * min(1.0, memos))
    scores = calm_scores(phi, BASELINES[-1] + year, max(1, round(memos)), users, rng)
    raised = simulate(scores, chart_rules(threshold, memos), COOLDOWN_S).raised.sum(1)
    return np.array([raised[first : first + year].sum(0) for first in BASELINES], float)


def false_alerts(threshold: float, phi: float, memos: float, seed: int) -> tuple[float, float]:
    """Log of false alerts a user-year, of the baseline with most, and the standard error of that logarithm."""
    rng = np.random.default_rng(seed)
    counts = np.zeros((len(BASELINES), 0))
    days = BASELINES[-1] + YEAR * min(1.0, memos)
    each, usual = days * max(1.0, memos), memos in USUAL
    while counts[0].sum() < ALERTS[usual] and counts.size * each < MEMOS_LIMIT[usual] * len(BASELINES):
        more = alerts_of(threshold, phi, memos, int(BLOCK_MEMOS / each), rng)
        counts = np.concatenate([counts, more], axis=1)
    users, means = counts.shape[1], counts.mean(1)
    worst = int(means.argmax())
    mean = max(float(means[worst]), 0.5 / users)
    error = max(float(counts[worst].std()), mean**0.5) / np.sqrt(users) / mean
    return float(np.log(mean * YEAR_DAYS / YEAR)), float(error)


def delay(threshold: float, phi: float, memos: float, shift: float, users: int, seed: int) -> list[float]:
    """Mean delay in memos, its standard error, the median, and the share found within 30 memos."""
    a_day = max(1, round(memos))
    days = CALM + max(40, WATCHED // a_day)
    scores = calm_scores(phi, days, a_day, users, np.random.default_rng(seed))
    scores[CALM:] += shift
    history = simulate(scores, chart_rules(threshold, memos), COOLDOWN_S)
    closed = history.raised[:CALM].sum((0, 1)) == history.resolved[:CALM].sum((0, 1))
    after = history.raised[CALM:].reshape(-1, users)[:, closed]
    # Users not found while watched count with the whole watch: the mean is that of min(delay, watch).
    memo = np.where(after.any(0), after.argmax(0) + 1, len(after))
    error = float(memo.std() / np.sqrt(len(memo)))
    return [float(memo.mean()), error, float(np.median(memo)), float((memo <= 30).mean())]


def row(cell: tuple[float, float]) -> tuple[list[tuple[float, float]], list[list[list[float]]]]:
    """Everything at these memos a day and this autocorrelation: rates by threshold, delays by threshold and shift."""
    memos, phi = cell
    seed, users = 100 * MEMOS.index(memos) + PHIS.index(phi), round(1200 / max(1.0, memos) ** 0.5)
    rates = [false_alerts(h, phi, memos, seed) for h in THRESHOLDS]
    print(f"{memos:.3g} memos a day, φ = {phi}:", [round(float(np.exp(rate)), 3) for rate, _ in rates], file=sys.stderr)
    return rates, [[delay(h, phi, memos, shift, users, 10_000 + seed) for shift in SHIFTS] for h in THRESHOLDS]


def main() -> None:
    """Write the table; its rows go to the terminal when they are done."""
    cells = [(memos, phi) for memos in MEMOS for phi in PHIS]
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(row, cells))
    grid = [rows[i : i + len(PHIS)] for i in range(0, len(rows), len(PHIS))]
    table = {
        "memos_per_day": MEMOS,
        "autocorrelation": PHIS,
        "threshold": THRESHOLDS,
        "shift": SHIFTS,
        "rates": [[[round(rate, 4) for rate, _ in rates] for rates, _ in memos] for memos in grid],
        "errors": [[[round(error, 4) for _, error in rates] for rates, _ in memos] for memos in grid],
        "delays": [[[[[round(x, 3) for x in d] for d in h] for h in delays] for _, delays in memos] for memos in grid],
        "rule": rule(),
    }
    OUT.write_text(json.dumps(table, separators=(",", ":")) + "\n")


def rule() -> dict[str, float]:
    """The constants that the table depends on; a test compares them with those it was made with."""
    constants = vars(cusum) | {name: vars(rules)[name] for name in RULES}
    return {name.lower(): value for name, value in constants.items() if name.isupper()}


RULES = ("YOUNG", "CORRELATED", "WHITENED", "PHI_WEIGHT", "MEMOS_CAP", "COOLDOWN_S")

if __name__ == "__main__":
    main()
