"""The shipped table of thresholds: how many false alerts a user-year each leads to, found by simulation."""

import math
from typing import NamedTuple


class Threshold(NamedTuple):
    """What the chart needs to keep a promise: the fields of `ChartRules` that depend on it."""

    threshold: float
    young: float
    correlated: float
    phi: float


def threshold_for(alerts_per_user_year: float, memos_per_day: float) -> Threshold:
    """The threshold that gives so many false alerts."""
    days = 365.25 * min(1.0, memos_per_day)
    return Threshold(4.7 + 1.1 * math.log(days / 365.25 / alerts_per_user_year), 1.5, 1.0, 0.35)
