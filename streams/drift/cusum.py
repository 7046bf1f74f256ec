"""One user's chart, a day at a time: a self-starting CUSUM of the logit score, whitened and robust.

A day's value is the mean of its memos, so that several memos of one day are one day. With baseline mean m and standard
deviation s of the n days before, and φ the autocorrelation of days, a day's surprise is

    t = ((y − m)/s − φ z) / sqrt((1 − φ²)(1 + 1/n)),    z: the previous day's (y − m)/s,

which for calm scores follows Student's t with n − 1 degrees of freedom, whatever the user's own mean and spread; its
normal score u feeds the charts upward, C ← max(0, C + u − k), and downward. Nothing is assumed known before: the
baseline starts with the first memo and learns from every calm day.
Source: Hawkins 1987, "Self-Starting Cusum Charts for Location and Scale", The Statistician 36.

Such a chart learns a change too: of N days in the baseline only n₀ lie before it, n₀/N of the change is left, and a
fixed k is soon above that. So k falls with (n₀/N)² while the chart stands above zero, n₀ being the days before it left
zero, to KEPT of itself. That is what finds changes after a short baseline. (The power is more than one because the SD
learns the change as well; without an end to the fall, few and old false alarms would never end.)

Outliers are winsorised twice: u before it is summed, y before it is learnt. Everything is plain floats in one tuple:
the same arithmetic, for many users at once, makes the shipped thresholds (`tests/benchmarks/drift_simulation.py`).
"""

from math import copysign, inf, log1p, sqrt
from typing import NamedTuple

REFERENCE = 0.4
"""k: half of the smallest change worth finding, in SDs of whitened days; between 0.4 and 0.5 for 1 SD."""
KEPT = 0.4
"""Share of k that is left at the least while the baseline learns a change. Found by simulation, as its power was."""
FIRST_JUDGED = 7
"""Days of baseline before the first alert."""
U_LIMIT = 2.25
"""SDs that a day can count for at most: low, so that users whose scores are skewed upward keep the promise too."""
Z_LIMIT = 3.0
"""SDs from the mean that a day can be learnt as at most."""
PHI = 0.3
"""Autocorrelation of days to assume where nothing better is known."""
PHI_LIMIT = 0.7
SD_FLOOR = 0.02
"""Logits; a user whose scores never vary is not infinitely surprising."""
MEMORY = 365.0
"""Days that the baseline remembers: beyond it, the past fades exponentially."""
EWMA_WEIGHT = 0.2
GRACE_DAYS = 7.0
HALF_LIFE_DAYS = 14.0
"""After a gap of more than GRACE_DAYS the evidence halves every HALF_LIFE_DAYS: silence is not calm, nor change."""
RECOVERY_MIN = 0.3
RECOVERY_MAX = 1.5
DOUBT = 0.75
"""Standard errors of the baseline before the change, added to that half: false alarms come where it lay too low."""
RELEARN_DAYS = 14.0
"""Weight that the past keeps when the user has lastingly improved, or has settled at a new level."""


class Chart(NamedTuple):
    """What is known after a day; `day` counts from 1970-01-01 UTC, values are logits, charts are in SDs."""

    n: float = 0.0
    """Days in the baseline, at most MEMORY."""
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared deviations from the mean, of n days."""
    pairs: float = 0.0
    """Pairs of neighbouring days, and the sum of their products in SDs: the autocorrelation in the making."""
    products: float = 0.0
    phi: float = 0.0
    """Autocorrelation in force: as estimated when the upward chart last stood at zero."""
    z: float = 0.0
    day: float = 0.0
    up: float = 0.0
    down: float = 0.0
    run: float = 0.0
    """Days, and the sum of their values, since the upward chart last stood at zero; 0 there."""
    run_sum: float = 0.0
    since: float = 0.0
    """First day of the run."""
    calm_n: float = 0.0
    """The baseline before the run; in an episode, which is judged by that one, the baseline at the alert."""
    calm_mean: float = 0.0
    calm_squares: float = 0.0
    ewma: float = 0.0
    recovery: float = 0.0
    """In an episode half of the change, in SDs: the downward chart's reference; the baseline stands. 0: no episode."""
    prior: float = PHI
    """Autocorrelation assumed of this user when the chart began; it stays, whatever is known of all users later."""

    @property
    def sd(self) -> float:
        """Standard deviation of the baseline (logits)."""
        return max(SD_FLOOR, sqrt(self.squares / (self.n - 1))) if self.n > 1 else SD_FLOOR


class ChartRules(NamedTuple):
    """What an operator's promise means for a chart."""

    threshold: float
    """h: the upward chart alerts past it, for an old baseline."""
    young: float
    """Share that the threshold is higher by for a baseline of ten days; half as much for twenty."""
    correlated: float
    """How many times more that share is, per unit of autocorrelation: ten days that correlate tell less than ten."""
    phi: float
    """Autocorrelation of days to assume of users who begin, before their own is known: the `prior` of their chart."""
    phi_weight: float
    """How many pairs of days that assumption is worth."""
    memos_cap: float
    """More memos than this in one day make it no surer."""
    spacing: float
    """Usual days between memos: the unit of a lag."""


def step(chart: Chart, day: float, mean: float, memos: int, rules: ChartRules) -> Chart:
    """The chart after one more day. mean: of the day's logits; memos: how many. Days come in order."""
    if chart.n < 3:
        return _start(chart, day, mean, memos, rules)
    gap = (day - chart.day) / rules.spacing
    if gap > GRACE_DAYS:
        faded = 0.5 ** ((gap - GRACE_DAYS) / HALF_LIFE_DAYS)
        chart = chart._replace(up=chart.up * faded, down=chart.down * faded)
    weight = 1.0 if memos == 1 else float(min(memos, rules.memos_cap))
    sd = max(SD_FLOOR, sqrt(chart.squares / (chart.n - 1) / shrinkage(chart.n, chart.phi)))
    r = (mean - chart.mean) / sd * sqrt(weight)
    rho = chart.phi if gap <= 1 else chart.phi**gap
    u = normal_score((r - rho * chart.z) / sqrt((1 - rho * rho) * (1 + 1 / chart.n)), chart.n - 1)
    z = r if -Z_LIMIT <= r <= Z_LIMIT else copysign(Z_LIMIT, r)
    if chart.recovery:
        return _in_episode(chart, day, mean, u, z)
    return _calm(chart, day, mean, u, z, gap, z * sd / sqrt(weight), weight, rules)


def limit(chart: Chart, rules: ChartRules) -> float:
    """The threshold that holds for this chart; infinite before the baseline can be judged."""
    if chart.n < FIRST_JUDGED:
        return inf
    return height(chart.n, chart.phi, rules)


def height(n: float, phi: float, rules: ChartRules) -> float:
    """The threshold for a baseline of n days that correlate by phi."""
    return rules.threshold * (1.0 + rules.young * (1.0 + rules.correlated * phi) * 10.0 / n)


def shrinkage(n: float, phi: float) -> float:
    """How much of their variance n days show whose neighbours correlate by phi: at most 1, at least a half.

    E s² = σ² (1 − 2 Σ (1 − k/n) φᵏ / (n − 1)), k = 1 … n − 1; here to first order in 1/n.
    """
    return max(0.5, 1.0 - 2.0 * phi / ((1.0 - phi) * n))


def raise_episode(chart: Chart) -> Chart:
    """The chart once its change was alerted: it is judged by the baseline before the change, which stands still."""
    shift = (chart.up + REFERENCE * chart.run) / max(1.0, chart.run)
    half = max(RECOVERY_MIN, min(RECOVERY_MAX, shift / 2 + DOUBT / sqrt(max(1.0, chart.calm_n))))
    return _swapped(chart)._replace(recovery=half, down=0.0)


def end_episode(chart: Chart) -> Chart:
    """The chart once the user came back: from zero, learning again from the baseline as it was at the alert.

    That baseline holds the first days of the change. To leave them out would be wrong for false alarms, whose days
    were the user's highest by chance: the next false alarm would follow soon.
    """
    return _swapped(chart)._replace(up=0.0, down=0.0, run=0.0, run_sum=0.0, recovery=0.0)


def _swapped(chart: Chart) -> Chart:
    """The chart with the baseline before the run and the one at the alert in each other's place."""
    if chart.calm_n < FIRST_JUDGED:
        return chart
    return chart._replace(
        n=chart.calm_n,
        mean=chart.calm_mean,
        squares=chart.calm_squares,
        calm_n=chart.n,
        calm_mean=chart.mean,
        calm_squares=chart.squares,
    )


def settle_at_new_level(chart: Chart) -> Chart:
    """The chart once a change has lasted so long that it is the user's normal: the baseline is the days since it."""
    n = min(chart.run, RELEARN_DAYS)
    spread = chart.squares / max(1.0, chart.n - 1)
    return end_episode(chart)._replace(n=n, mean=chart.run_sum / chart.run, squares=spread * (n - 1))


def normal_score(t: float, nu: float) -> float:
    """The standard normal value as likely as Student's t with nu degrees of freedom, within ±U_LIMIT.

    Source: Wallace 1959, "Bounds on normal approximations to Student's and the chi-square distributions".
    """
    u = (8 * nu + 1) / (8 * nu + 3) * sqrt(nu * log1p(t * t / nu))
    return copysign(min(U_LIMIT, u), t)


def _start(chart: Chart, day: float, mean: float, memos: int, rules: ChartRules) -> Chart:
    weight = float(min(memos, rules.memos_cap))
    n, m, squares = _learn(chart.n, chart.mean, chart.squares, mean - chart.mean, weight)
    ewma = chart.ewma + EWMA_WEIGHT * (mean - chart.ewma) if chart.n else mean
    return chart._replace(n=n, mean=m, squares=squares, phi=chart.prior, day=day, ewma=ewma)


def _in_episode(chart: Chart, day: float, mean: float, u: float, z: float) -> Chart:
    return chart._replace(
        z=z,
        day=day,
        up=max(0.0, chart.up + u - REFERENCE),
        down=max(0.0, chart.down - u + chart.recovery),
        run=chart.run + 1,
        run_sum=chart.run_sum + mean,
        ewma=chart.ewma + EWMA_WEIGHT * (mean - chart.ewma),
    )


def _calm(
    chart: Chart, day: float, mean: float, u: float, z: float, gap: float, surprise: float, weight: float,
    rules: ChartRules,
) -> Chart:  # fmt: skip
    n, m, squares, pairs, products, phi, z0, _, up, down, run, run_sum, since, n0, m0, squares0, ewma, _, prior = chart
    up += u - REFERENCE * (max(KEPT, n0 * n0 / (n * n)) if run else 1.0)
    down -= u + REFERENCE
    if up <= 0.0:
        up = run = run_sum = 0.0
    else:
        if run == 0.0:
            since, n0, m0, squares0 = day, n, m, squares
        run += 1.0
        run_sum += mean
    if gap < 2.0:
        pairs += 1.0
        products += z * z0
    if up == 0.0:
        phi = (products + rules.phi_weight * prior) / (pairs + rules.phi_weight)
        phi = max(0.0, min(PHI_LIMIT, phi))
    n, m, squares = _learn(n, m, squares, surprise, weight)
    if down < 0.0:
        down = 0.0
    elif n > RELEARN_DAYS and down > height(n, phi, rules):
        squares *= (RELEARN_DAYS - 1) / (n - 1)
        n, down = RELEARN_DAYS, 0.0
    ewma += EWMA_WEIGHT * (mean - ewma)
    return Chart(
        n, m, squares, pairs, products, phi, z, day, up, down, run, run_sum, since, n0, m0, squares0, ewma, 0.0, prior
    )


def _learn(n: float, m: float, squares: float, surprise: float, weight: float) -> tuple[float, float, float]:
    """Baseline with one more day, `surprise` logits from its mean (Welford's update)."""
    n += 1.0
    m += surprise / n
    squares += weight * surprise * surprise * (1.0 - 1.0 / n)
    if n > MEMORY:
        return MEMORY, m, squares * MEMORY / n
    return n, m, squares
