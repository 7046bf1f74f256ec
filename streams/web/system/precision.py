"""Of how many alerts people found a change, with its uncertainty, for each cohort and bundle. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from schemas.event_enums import CareOutcome
from streams.history.operations import Precision

FEWEST = 10
"""Answered alerts below which nothing can be said: even of ten, the interval is half as wide as the scale."""
Z = 1.96
"""Of a 95 % interval."""


@dataclass(frozen=True, slots=True)
class PrecisionRow:
    """One cohort and bundle. answered: alerts with an outcome; true_alerts: those that were no false alarms.

    share, low, high: of `answered`, with the 95 % Wilson interval; None below FEWEST answers.
    """

    cohort: str
    bundle_id: str
    raised: int
    answered: int
    true_alerts: int
    share: float | None
    low: float | None
    high: float | None


def precision_rows(found: Iterable[Precision]) -> list[PrecisionRow]:
    """Every cohort and bundle, as given."""
    return [_row(each) for each in found]


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """The 95 % score interval of a share. Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.

    >>> [round(end, 3) for end in wilson(5, 10)]
    [0.237, 0.763]
    """
    share = successes / trials
    middle = share + Z * Z / (2 * trials)
    half = Z * sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    whole = 1 + Z * Z / trials
    return max(0.0, (middle - half) / whole), min(1.0, (middle + half) / whole)


def _row(found: Precision) -> PrecisionRow:
    known = {outcome: number for outcome, number in found.outcomes.items() if outcome is not CareOutcome.UNKNOWN}
    answered = sum(known.values())
    true_alerts = answered - known.get(CareOutcome.FALSE_ALARM, 0)
    share = low = high = None
    if answered >= FEWEST:
        share = true_alerts / answered
        low, high = wilson(true_alerts, answered)
    return PrecisionRow(found.cohort, found.bundle_id, found.raised, answered, true_alerts, share, low, high)
