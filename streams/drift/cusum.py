"""One user's control chart: a self-starting CUSUM of the daily logit score, whitened and robust.

A day's value is the mean of its memos, so that several memos count as one day. With baseline mean m and standard
deviation s of the n previous days, and φ the autocorrelation of days, the standardised residual of a day is

    t = ((y − m)/s − φ z) / sqrt((1 − φ²)(1 + 1/n)),    z: the previous day's (y − m)/s,

which in control follows Student's t with n − 1 degrees of freedom, whatever the user's own mean and spread; its normal
score u updates the upward chart, C ← max(0, C + u − k), and the downward one. No parameter is known in advance: the
baseline starts with the first memo and learns from every day outside an episode.
Source: Hawkins 1987, "Self-Starting Cusum Charts for Location and Scale", The Statistician 36.

The baseline learns a change too: when n₀ of its N days precede the change, n₀/N of the change remains, soon less than a
fixed k. So while the chart is above zero, k falls with (n₀/N)², down to KEPT times its value; n₀ are the days before
the chart left zero. This detects changes after a short baseline. (The exponent exceeds one because the SD learns the
change as well; without a lower limit, a few old false alarms would never end.)

Outliers are winsorised twice: u before it is summed, y before it is learnt. The state is one tuple of plain floats, and
every function here compiles: the shipped thresholds come from this code (`tests/benchmarks/drift_simulation.py`).
"""

from math import copysign, inf, log1p, sqrt
from typing import NamedTuple

REFERENCE = 0.4
"""k: half of the smallest change to detect, in SDs of whitened days; between 0.4 and 0.5 for 1 SD."""
KEPT = 0.4
"""Lowest share of k while the baseline learns a change. Found by simulation, as its exponent was."""
FIRST_JUDGED = 7
"""Days of baseline before the first alert."""
U_LIMIT = 2.25
"""Maximum SDs that a day counts: low, so that upward-skewed scores keep the false-alarm budget too."""
U_VARIANCE = 0.9565
"""Variance of a standard normal value within ±U_LIMIT."""
Z_LIMIT = 3.0
"""Maximum SDs from the mean that the baseline learns from a day."""
PHI = 0.3
"""Default autocorrelation of days."""
PHI_LIMIT = 0.7
SD_FLOOR = 0.02
"""Logits; keeps the residuals of constant scores finite."""
MEMORY = 365.0
"""Days of baseline memory: beyond it, the past fades exponentially."""
EWMA_WEIGHT = 0.2
GRACE_DAYS = 7.0
HALF_LIFE_DAYS = 14.0
"""After a gap of more than GRACE_DAYS the charts halve every HALF_LIFE_DAYS: a gap shows neither calm nor change."""
RECOVERY_MIN = 0.3
RECOVERY_MAX = 1.5
DOUBT = 0.75
"""Standard errors of the earlier baseline, added to `recovery`: false alarms occur where that baseline was too low."""
RELEARN_DAYS = 14.0
"""Weight of the past in days, after a user has lastingly improved or settled at a new level."""


class Chart(NamedTuple):
    """The state after a day; `day` counts from 1970-01-01 UTC, values are logits, charts are in SDs."""

    n: float = 0.0
    """Days in the baseline, at most MEMORY."""
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared deviations from the mean, of n days."""
    pairs: float = 0.0
    """Pairs of successive days, and the sum of their `pair_product`: for estimating the autocorrelation."""
    products: float = 0.0
    phi: float = 0.0
    """Current autocorrelation: estimated when the upward chart was last at zero."""
    z: float = 0.0
    day: float = 0.0
    up: float = 0.0
    down: float = 0.0
    run: float = 0.0
    """Days, and the sum of their values, since the upward chart was last at zero; 0 at zero."""
    run_sum: float = 0.0
    since: float = 0.0
    """First day of the run."""
    calm_n: float = 0.0
    """The baseline before the run; in an episode, which uses that one as baseline, the baseline at the alert."""
    calm_mean: float = 0.0
    calm_squares: float = 0.0
    ewma: float = 0.0
    recovery: float = 0.0
    """In an episode half of the change in SDs, the downward chart's reference, with the baseline frozen; else 0."""
    prior: float = PHI
    """Prior autocorrelation of this user when the chart started; later pooled estimates do not change it."""

    @property
    def sd(self) -> float:
        """Standard deviation of the baseline (logits)."""
        return max(SD_FLOOR, sqrt(self.squares / (self.n - 1))) if self.n > 1 else SD_FLOOR


class ChartRules(NamedTuple):
    """The parameters of a chart, from the false-alarm budget."""

    threshold: float
    """h: the upward chart alerts above it, for an old baseline."""
    young: float
    """Relative increase of the threshold for a baseline of ten days; half as much for twenty."""
    correlated: float
    """Relative increase of `young` per unit of autocorrelation: correlated days carry less information."""
    whitened: float
    """Relative increase of the threshold per unit of autocorrelation, at any age: whitening by an estimate is not
    perfect."""
    phi: float
    """Autocorrelation of days assumed for new users, before their own is known: the `prior` of their chart."""
    phi_weight: float
    """Weight of that assumption, in pairs of days."""
    memos_cap: float
    """Memos above which a day gains no more weight."""
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
    """The threshold of this chart; infinite before FIRST_JUDGED days of baseline."""
    if chart.n < FIRST_JUDGED:
        return inf
    return height(chart.n, chart.phi, rules)


def height(n: float, phi: float, rules: ChartRules) -> float:
    """The threshold for a baseline of n days with autocorrelation phi."""
    young = rules.young * (1.0 + rules.correlated * phi) * 10.0 / n
    return rules.threshold * (1.0 + rules.whitened * phi) * (1.0 + young)


def shrinkage(n: float, phi: float) -> float:
    """Expected share of the variance that n days with autocorrelation phi show: at most 1, at least a half.

    E s² = σ² (1 − 2 Σ (1 − k/n) φᵏ / (n − 1)), k = 1 … n − 1; here to first order in 1/n.
    """
    return max(0.5, 1.0 - 2.0 * phi / ((1.0 - phi) * n))


def raise_episode(chart: Chart) -> Chart:
    """The chart after its change was alerted: with the baseline from before the change, frozen."""
    shift = (chart.up + REFERENCE * chart.run) / max(1.0, chart.run)
    half = max(RECOVERY_MIN, min(RECOVERY_MAX, shift / 2 + DOUBT / sqrt(max(1.0, chart.calm_n))))
    return _swapped(chart)._replace(recovery=half, down=0.0)


def end_episode(chart: Chart) -> Chart:
    """The chart after a recovery: from zero, learning again from the baseline at the alert.

    That baseline includes the first days of the change. Excluding them would be wrong for false alarms, whose days were
    the user's highest by chance: the next false alarm would follow soon.
    """
    return _swapped(chart)._replace(up=0.0, down=0.0, run=0.0, run_sum=0.0, recovery=0.0)


def _swapped(chart: Chart) -> Chart:
    """The chart with the baseline before the run and the one at the alert exchanged."""
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
    """The chart after a change has become the user's normal: the baseline is the days since the change."""
    n = min(chart.run, RELEARN_DAYS)
    spread = chart.squares / max(1.0, chart.n - 1)
    return end_episode(chart)._replace(n=n, mean=chart.run_sum / chart.run, squares=spread * (n - 1))


def normal_score(t: float, nu: float) -> float:
    """The standard normal quantile of Student's t with nu degrees of freedom, within ±U_LIMIT.

    Source: Wallace 1959, "Bounds on normal approximations to Student's and the chi-square distributions".
    """
    u = (8 * nu + 1) / (8 * nu + 3) * sqrt(nu * log1p(t * t / nu))
    return copysign(min(U_LIMIT, u), t)


def pair_product(z: float, z0: float, n: float) -> float:
    """What two successive days add to the estimate of the autocorrelation, which expects as much. n: days before them.

    Of normal scores: the residuals themselves have Student's tails while the baseline is young, and their products so
    much variance that seven days of baseline tell a user of φ = 0 from one of .5 no better than chance.
    """
    return normal_score(z, n - 1.0) * normal_score(z0, n - 2.0) / U_VARIANCE


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
    chart: Chart, day: float, mean: float, u: float, z: float, gap: float, deviation: float, weight: float,
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
        products += pair_product(z, z0, n)
    if up == 0.0:
        phi = (products + rules.phi_weight * prior) / (pairs + rules.phi_weight)
        phi = max(0.0, min(PHI_LIMIT, phi))
    n, m, squares = _learn(n, m, squares, deviation, weight)
    if down < 0.0:
        down = 0.0
    elif n > RELEARN_DAYS and down > height(n, phi, rules):
        squares *= (RELEARN_DAYS - 1) / (n - 1)
        n, down = RELEARN_DAYS, 0.0
    ewma += EWMA_WEIGHT * (mean - ewma)
    return Chart(
        n, m, squares, pairs, products, phi, z, day, up, down, run, run_sum, since, n0, m0, squares0, ewma, 0.0, prior
    )


def _learn(n: float, m: float, squares: float, deviation: float, weight: float) -> tuple[float, float, float]:
    """Baseline with one more day, `deviation` logits from its mean (Welford's update)."""
    n += 1.0
    m += deviation / n
    squares += weight * deviation * deviation * (1.0 - 1.0 / n)
    if n > MEMORY:
        return MEMORY, m, squares * MEMORY / n
    return n, m, squares
