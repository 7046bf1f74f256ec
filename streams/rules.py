"""What an operator asked for, turned into what the charts and the alerts go by."""

from typing import NamedTuple

from schemas.settings import Settings
from streams.calibration import threshold_for
from streams.chart import ChartRules

PHI_WEIGHT = 15.0
"""Pairs of days that the assumed autocorrelation is worth, for a user of whom nothing is known."""


class Rules(NamedTuple):
    """Everything that turns scores into alerts; the same rules and scores give the same alerts, always."""

    chart: ChartRules
    reorder_s: float
    cooldown_s: float
    level_high: int
    """So many of the last `level_of` scores in the high band raise a level alert; level_of 0 raises none."""
    level_of: int

    @classmethod
    def from_settings(cls, settings: Settings) -> "Rules":
        """The rules that keep what the settings promise. Raises ConfigurationError outside the shipped table."""
        return cls(
            chart_rules(settings.alerts_per_user_year, settings.memos_per_day),
            settings.reorder_window_s,
            settings.alert_cooldown_s,
            settings.level_high,
            settings.level_of,
        )


def chart_rules(alerts_per_user_year: float, memos_per_day: float) -> ChartRules:
    """The chart's rules for a promise. Raises ConfigurationError outside the shipped table."""
    found = threshold_for(alerts_per_user_year, memos_per_day)
    return ChartRules(
        threshold=found.threshold,
        young=found.young,
        correlated=found.correlated,
        phi=found.phi,
        phi_weight=PHI_WEIGHT,
        memos_cap=4.0,
        spacing=max(1.0, 1.0 / memos_per_day),
    )
