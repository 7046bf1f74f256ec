"""The shipped table: false alerts per user-year and detection delay of a threshold.

Both were simulated with the shipped rule (`python -m tests.benchmarks.drift_table` recomputes the table) on a grid of
memos per day, autocorrelation and threshold; values in between are interpolated, rates by their logarithm. A budget is
kept by the upper 95 % confidence bound of the simulated rate, at every autocorrelation of the table when it is unknown,
and in the worst of the years that begin after 7, 14, 30 and 60 days of baseline. Less than one memo a week counts as
one a week on a slower clock.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from math import ceil, exp, floor, log, log10
from typing import Any, TypeAlias, cast

from schemas.errors import ConfigurationError

YEAR_DAYS = 365.25
CONFIDENCE = 1.96
"""Standard errors from an estimate to its 95 % confidence bounds."""
Nested: TypeAlias = Sequence["Nested | float"]


class OutsideTable(ConfigurationError, ValueError):
    """A budget, memos per day or autocorrelation that the shipped table does not hold; the message names the range."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A simulated value and its standard error."""

    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Delay:
    """The detection delay of a change. shift: of the score, in SDs; memos until the alert, counting the first."""

    shift: float
    mean_memos: Estimate
    median_memos: float
    within_30: float
    """Share of users detected within 30 memos."""


@dataclass(frozen=True, slots=True)
class Condition:
    """The performance of a threshold at one autocorrelation. in_control_run: memos between false alerts (ARL₀).

    at_most: the upper 95 % confidence bound of false_alerts_per_user_year, which the budget keeps.
    """

    autocorrelation: float
    false_alerts_per_user_year: Estimate
    at_most: float
    in_control_run: Estimate
    delays: tuple[Delay, ...]


@dataclass(frozen=True, slots=True)
class ThresholdReport:
    """A threshold and its performance: at the given autocorrelation, or else at each one of the table.

    guarantee: what holds, in one sentence.
    """

    alerts_per_user_year: float
    memos_per_day: float
    threshold: float
    conditions: tuple[Condition, ...]
    guarantee: str


@dataclass(frozen=True, slots=True)
class Table:
    """The grid. rates: log of false alerts per user-year, (memos per day, autocorrelation, threshold); errors: theirs.

    delays: (memos per day, autocorrelation, threshold, shift, 4): mean, its error, median, share within 30 memos.
    """

    memos_per_day: Sequence[float]
    autocorrelation: Sequence[float]
    threshold: Sequence[float]
    shift: Sequence[float]
    rates: Nested
    errors: Nested
    delays: Nested
    rule: dict[str, float]
    """The constants of the rule that the table was computed with."""


@cache
def shipped() -> Table:
    """The table that all agents use."""
    fields: Any = json.loads((resources.files("streams.drift") / "thresholds.json").read_text())
    return Table(**fields)


def threshold_report(
    alerts_per_user_year: float, memos_per_day: float, autocorrelation: float | None = None
) -> ThresholdReport:
    """The threshold for a false-alarm budget, and its performance. Raises ConfigurationError outside the table."""
    threshold = threshold_for(alerts_per_user_year, memos_per_day, autocorrelation)
    phis = shipped().autocorrelation if autocorrelation is None else (autocorrelation,)
    conditions = tuple(
        Condition(
            phi,
            false_alerts(threshold, memos_per_day, phi),
            exp(_log_bound(threshold, memos_per_day, phi)),
            in_control_run(threshold, memos_per_day, phi),
            delays(threshold, memos_per_day, phi),
        )
        for phi in phis
    )
    guarantee = _guarantee(alerts_per_user_year, autocorrelation, conditions)
    return ThresholdReport(alerts_per_user_year, memos_per_day, threshold, conditions, guarantee)


def _guarantee(asked: float, autocorrelation: float | None, conditions: Sequence[Condition]) -> str:
    where = f"any from 0 to {conditions[-1].autocorrelation:g}" if autocorrelation is None else f"{autocorrelation:g}"
    return (
        f"A user without a change gets at most {asked:g} false alerts a year, on average, in any year after the first "
        f"seven days of memos, where the log odds of scores are normal and neighbouring ones correlate by {where}; "
        f"the simulation says at most {max(one.at_most for one in conditions):.2g}, with 95 % confidence."
    )


@lru_cache(64)  # a monitor for each of many people asks for the same one
def threshold_for(alerts_per_user_year: float, memos_per_day: float, autocorrelation: float | None = None) -> float:
    """The threshold for a false-alarm budget, in false alerts per user-year.

    autocorrelation: None when unknown; the budget is then kept at any from 0 to the largest of the table, 0.5. Raises
    OutsideTable, which names the range, for what the table does not hold.
    """
    least, most = budgets(memos_per_day, autocorrelation)
    if not least <= alerts_per_user_year <= most:
        raise OutsideTable(
            f"a budget of {alerts_per_user_year:g} false alarms per user and year (alerts_per_user_year) cannot be "
            f"kept: at {memos_per_day:g} memos per day give a number from {least:g} to {most:g}"
        )
    low, high = shipped().threshold[0], shipped().threshold[-1]
    for _ in range(50):
        middle = (low + high) / 2
        above = _budget(middle, memos_per_day, autocorrelation) > alerts_per_user_year
        low, high = (middle, high) if above else (low, middle)
    return (low + high) / 2


def budgets(memos_per_day: float, autocorrelation: float | None = None) -> tuple[float, float]:
    """The lowest and the highest budget that the table holds, rounded inwards to three digits.

    Raises OutsideTable for other memos_per_day or autocorrelation.
    """
    least, most = (_budget(shipped().threshold[i], memos_per_day, autocorrelation) for i in (-1, 0))
    return _rounded(least, ceil), _rounded(most, floor)


def _rounded(value: float, direction: Callable[[float], int]) -> float:
    unit = 10.0 ** (floor(log10(value)) - 2)
    return float(f"{direction(value / unit) * unit:.3g}")


def _budget(threshold: float, memos_per_day: float, autocorrelation: float | None) -> float:
    """The budget that a threshold keeps."""
    phis = shipped().autocorrelation if autocorrelation is None else (autocorrelation,)
    return exp(max(_log_bound(threshold, memos_per_day, phi) for phi in phis))


def false_alerts(threshold: float, memos_per_day: float, autocorrelation: float) -> Estimate:
    """False alerts per user-year of a threshold, with the standard error of the simulation."""
    rate = exp(_log_rate(threshold, memos_per_day, autocorrelation))
    return Estimate(rate, rate * _at(shipped().errors, memos_per_day, autocorrelation, threshold))


def in_control_run(threshold: float, memos_per_day: float, autocorrelation: float) -> Estimate:
    """Mean number of memos between false alerts (ARL₀)."""
    rate = false_alerts(threshold, memos_per_day, autocorrelation)
    memos = YEAR_DAYS * memos_per_day / rate.value
    return Estimate(memos, memos * rate.error / rate.value)


def delays(threshold: float, memos_per_day: float, autocorrelation: float) -> tuple[Delay, ...]:
    """The detection delay of a lasting change after 60 in-control days, for each shift of the table."""
    found = []
    for i, shift in enumerate(shipped().shift):
        mean, error, median, within = (
            _at(shipped().delays, memos_per_day, autocorrelation, threshold, i, j) for j in range(4)
        )
        found.append(Delay(shift, Estimate(mean, error), median, within))
    return tuple(found)


def _log_rate(threshold: float, memos_per_day: float, autocorrelation: float) -> float:
    """Log of false alerts per user-year."""
    slower = log(min(1.0, memos_per_day / shipped().memos_per_day[0]))
    return _at(shipped().rates, memos_per_day, autocorrelation, threshold) + slower


def _log_bound(threshold: float, memos_per_day: float, autocorrelation: float) -> float:
    """Log of the upper 95 % confidence bound of false alerts per user-year."""
    error = _at(shipped().errors, memos_per_day, autocorrelation, threshold)
    return _log_rate(threshold, memos_per_day, autocorrelation) + CONFIDENCE * error


def _at(values: Nested, memos_per_day: float, autocorrelation: float, threshold: float, *rest: int) -> float:
    table = shipped()
    if not 0.0 <= autocorrelation <= table.autocorrelation[-1]:
        raise OutsideTable(
            f"autocorrelation is {autocorrelation:g}: it must be a number from 0 to {table.autocorrelation[-1]:g}"
        )
    if not 0.0 < memos_per_day <= table.memos_per_day[-1]:
        raise OutsideTable(
            f"memos_per_day is {memos_per_day:g}: it must be a number above 0, at most {table.memos_per_day[-1]:g}"
        )
    axes = (
        ([log(m) for m in table.memos_per_day], log(max(table.memos_per_day[0], memos_per_day))),
        (table.autocorrelation, autocorrelation),
        (table.threshold, threshold),
    )
    return _interpolated(values, axes, rest)


def _interpolated(values: Nested, axes: Sequence[tuple[Sequence[float], float]], rest: Sequence[int]) -> float:
    if not axes:
        for index in rest:
            values = cast("Nested", values[index])
        return cast("float", values)
    (knots, x), *others = axes
    i = max(0, min(len(knots) - 2, sum(knot <= x for knot in knots) - 1))
    share = min(1.0, max(0.0, (x - knots[i]) / (knots[i + 1] - knots[i])))
    low, high = (_interpolated(cast("Nested", values[j]), others, rest) for j in (i, i + 1))
    return low + share * (high - low)
