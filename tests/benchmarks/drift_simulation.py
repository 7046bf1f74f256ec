"""The charts and episodes of many users at once, in numpy: what makes the shipped thresholds.

The same arithmetic as `streams.drift.cusum`, `streams.drift.detector` and the drift half of `streams.drift.episodes`,
for memos that come in order; `tests/unit/streams/drift/test_simulation.py` holds the two together on the same data.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.drift import cusum, episodes
from streams.drift.cusum import Chart, ChartRules

Array: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]
Charts: TypeAlias = dict[str, Array]
"""Fields of `Chart`, each (users,)."""


@dataclass(frozen=True, slots=True)
class History:
    """What happened, memo by memo: raised, escalated and resolved are (days, memos a day, users)."""

    raised: Flags
    escalated: Flags
    resolved: Flags
    last: Charts


def simulate(logits: Array, rules: ChartRules, cooldown_s: float, days: Array | None = None) -> History:
    """Follow every user through all memos. logits: (days, memos a day, users); days: their numbers, 0, 1, … if None."""
    n_days, n_memos, users = logits.shape
    now: Charts = {name: np.zeros(users) for name in Chart._fields} | {"prior": np.full(users, rules.phi)}
    opened, quiet_until = np.full(users, -1.0), np.zeros(users)
    escalated_now = np.zeros(users, bool)
    raised, escalated, resolved = (np.zeros(logits.shape, bool) for _ in range(3))
    numbers = np.arange(n_days) * rules.spacing if days is None else days
    for d in range(n_days):
        before, total, count = now, np.zeros(users), np.zeros(users)
        for j in range(n_memos):
            # Millionths, as the agent rounds them, so that the two can be held together exactly.
            total, count = total + np.round(logits[d, j] * 1e6), count + 1
            now = step(before, numbers[d], total / (1e6 * count), count, rules)
            at = round((numbers[d] + j / n_memos) * 86400.0, 3)
            threshold = _limit(now, rules)
            begins = (opened < 0) & (now["up"] > threshold) & (at >= quiet_until)
            grows = (opened >= 0) & ~escalated_now & (now["up"] > episodes.ESCALATES_AT * threshold)
            over = np.where(escalated_now, episodes.RECOVERED_AT, episodes.PASSED_AT)
            back = (opened >= 0) & ~grows & (now["down"] > over)
            settles = (opened >= 0) & ~grows & ~back & (at >= opened + episodes.LONGEST_S)
            ends = back | settles
            raised[d, j], escalated[d, j], resolved[d, j] = begins, grows, ends
            escalated_now = (escalated_now | grows) & ~ends
            opened = np.where(begins, at, np.where(ends, -1.0, opened))
            quiet_until = np.where(ends, at + cooldown_s, quiet_until)
            if begins.any() or ends.any():
                now = _mended(now, begins, back, settles)
                closed = begins | ends
                before = {name: np.where(closed, now[name], before[name]) for name in now}
                total, count = np.where(closed, 0.0, total), np.where(closed, 0.0, count)
    return History(raised, escalated, resolved, now)


def step(c: Charts, day: float, mean: Array, memos: Array, rules: ChartRules) -> Charts:
    """As `streams.drift.cusum.step`, for every user."""
    if float(c["n"].max()) < 3:
        return _start(c, day, mean, memos, rules)
    n, m, squares, z0 = c["n"], c["mean"], c["squares"], c["z"]
    gap = (day - c["day"]) / rules.spacing
    faded = np.where(gap > cusum.GRACE_DAYS, 0.5 ** ((gap - cusum.GRACE_DAYS) / cusum.HALF_LIFE_DAYS), 1.0)
    weight = np.minimum(memos, rules.memos_cap)
    shrinkage = np.maximum(0.5, 1.0 - 2.0 * c["phi"] / ((1.0 - c["phi"]) * n))
    sd = np.maximum(cusum.SD_FLOOR, np.sqrt(squares / (n - 1) / shrinkage))
    r = (mean - m) / sd * np.sqrt(weight)
    rho = np.where(gap <= 1, c["phi"], c["phi"] ** np.maximum(gap, 1.0))
    u = normal_score((r - rho * z0) / np.sqrt((1 - rho * rho) * (1 + 1 / n)), n - 1)
    z = np.clip(r, -cusum.Z_LIMIT, cusum.Z_LIMIT)
    ewma = c["ewma"] + cusum.EWMA_WEIGHT * (mean - c["ewma"])
    episode = c["recovery"] > 0
    share = np.where((c["run"] > 0) & ~episode, np.maximum(cusum.KEPT, (c["calm_n"] / n) ** 2), 1.0)
    up = np.maximum(0.0, c["up"] * faded + u - cusum.REFERENCE * share)
    down = c["down"] * faded - u + np.where(episode, c["recovery"], -cusum.REFERENCE)
    zero = (up == 0.0) & ~episode
    starts = ~zero & ~episode & (c["run"] == 0.0)
    run = np.where(zero, 0.0, c["run"] + 1)
    run_sum = np.where(zero, 0.0, c["run_sum"] + mean)
    pairs = c["pairs"] + (~episode & (gap < 2))
    products = c["products"] + np.where(~episode & (gap < 2), z * z0, 0.0)
    estimate = (products + rules.phi_weight * c["prior"]) / (pairs + rules.phi_weight)
    phi = np.where(zero, np.clip(estimate, 0.0, cusum.PHI_LIMIT), c["phi"])
    n1, m1, squares1 = _learn(n, m, squares, z * sd / np.sqrt(weight), weight)
    improved = ~episode & (n1 > cusum.RELEARN_DAYS) & (down > _height(n1, phi, rules))
    squares1 = np.where(improved, squares1 * (cusum.RELEARN_DAYS - 1) / (n1 - 1), squares1)
    n1 = np.where(improved, cusum.RELEARN_DAYS, n1)
    keep = np.where
    return {
        "n": keep(episode, n, n1),
        "mean": keep(episode, m, m1),
        "squares": keep(episode, squares, squares1),
        "pairs": pairs,
        "products": products,
        "phi": phi,
        "z": z,
        "day": np.full_like(n, day),
        "up": up,
        "down": np.where(improved, 0.0, np.maximum(0.0, down)),
        "run": run,
        "run_sum": run_sum,
        "since": keep(starts, day, c["since"]),
        "calm_n": keep(starts, n, c["calm_n"]),
        "calm_mean": keep(starts, m, c["calm_mean"]),
        "calm_squares": keep(starts, squares, c["calm_squares"]),
        "ewma": ewma,
        "recovery": c["recovery"],
        "prior": c["prior"],
    }


def normal_score(t: Array, nu: Array) -> Array:
    """As `streams.drift.cusum.normal_score`."""
    u = (8 * nu + 1) / (8 * nu + 3) * np.sqrt(nu * np.log1p(t * t / nu))
    return np.copysign(np.minimum(u, cusum.U_LIMIT), t)


def _limit(c: Charts, rules: ChartRules) -> Array:
    return np.where(c["n"] >= cusum.FIRST_JUDGED, _height(np.maximum(c["n"], 1.0), c["phi"], rules), np.inf)


def _height(n: Array, phi: Array, rules: ChartRules) -> Array:
    return rules.threshold * (1.0 + rules.young * (1.0 + rules.correlated * phi) * 10.0 / n)


def _start(c: Charts, day: float, mean: Array, memos: Array, rules: ChartRules) -> Charts:
    n, m, squares = _learn(c["n"], c["mean"], c["squares"], mean - c["mean"], np.minimum(memos, rules.memos_cap))
    ewma = np.where(c["n"] > 0, c["ewma"] + cusum.EWMA_WEIGHT * (mean - c["ewma"]), mean)
    return c | {"n": n, "mean": m, "squares": squares, "phi": c["prior"], "day": np.full_like(n, day), "ewma": ewma}


def _learn(n: Array, m: Array, squares: Array, surprise: Array, weight: Array) -> tuple[Array, Array, Array]:
    n = n + 1.0
    m = m + surprise / n
    squares = squares + weight * surprise * surprise * (1.0 - 1.0 / n)
    over = n > cusum.MEMORY
    return np.where(over, cusum.MEMORY, n), m, np.where(over, squares * cusum.MEMORY / n, squares)


def _mended(c: Charts, begins: Flags, back: Flags, settles: Flags) -> Charts:
    """The charts as episodes that begin or end leave them."""
    c = dict(c)
    run = np.maximum(1.0, c["run"])
    half = (c["up"] + cusum.REFERENCE * c["run"]) / run / 2 + cusum.DOUBT / np.sqrt(np.maximum(1.0, c["calm_n"]))
    half = np.clip(half, cusum.RECOVERY_MIN, cusum.RECOVERY_MAX)
    spread = c["squares"] / np.maximum(1.0, c["n"] - 1)
    c = _swapped(c, begins | back | settles)
    fresh = np.minimum(c["run"], cusum.RELEARN_DAYS)
    c["n"] = np.where(settles, fresh, c["n"])
    c["mean"] = np.where(settles, c["run_sum"] / run, c["mean"])
    c["squares"] = np.where(settles, spread * (fresh - 1), c["squares"])
    c["recovery"] = np.where(begins, half, c["recovery"])
    c["down"] = np.where(begins, 0.0, c["down"])
    for name in ("up", "down", "run", "run_sum", "recovery"):
        c[name] = np.where(back | settles, 0.0, c[name])
    return c


def _swapped(c: Charts, which: Flags) -> Charts:
    which = which & (c["calm_n"] >= cusum.FIRST_JUDGED)
    for one, other in (("n", "calm_n"), ("mean", "calm_mean"), ("squares", "calm_squares")):
        c[one], c[other] = np.where(which, c[other], c[one]), np.where(which, c[one], c[other])
    return c
