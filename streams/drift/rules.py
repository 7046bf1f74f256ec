"""The parameters of charts and alerts, derived from the settings."""

from typing import NamedTuple

from schemas.settings import Settings
from streams.drift.cusum import PHI, ChartRules
from streams.drift.thresholds import YEAR_DAYS, threshold_for

YOUNG = 0.5
CORRELATED = 5.0
PHI_WEIGHT = 12.0
MEMOS_CAP = 4.0


class Rules(NamedTuple):
    """All parameters that turn scores into alerts; deterministic: equal rules and scores give equal alerts."""

    chart: ChartRules
    reorder_s: float
    cooldown_s: float
    level_high: int
    """How many of the last `level_of` scores in the high band raise a level alert; level_of 0 disables it."""
    level_of: int
    alerts_per_memo: float
    """False alerts that the false-alarm budget allows per memo."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "Rules":
        """The rules for the false-alarm budget in the settings. Raises ConfigurationError outside the shipped table."""
        return cls(
            chart_rules_for(settings.alerts_per_user_year, settings.memos_per_day, settings.autocorrelation),
            settings.reorder_window_s,
            settings.alert_cooldown_s,
            settings.level_high,
            settings.level_of,
            settings.alerts_per_user_year / YEAR_DAYS / settings.memos_per_day,
        )


def chart_rules_for(
    alerts_per_user_year: float, memos_per_day: float, autocorrelation: float | None = None
) -> ChartRules:
    """The chart's rules for a false-alarm budget. autocorrelation: of successive memos; None (usual) when unknown.

    Raises ConfigurationError outside the shipped table.
    """
    return chart_rules(threshold_for(alerts_per_user_year, memos_per_day, autocorrelation), memos_per_day)


def chart_rules(threshold: float, memos_per_day: float) -> ChartRules:
    """The chart's rules for a threshold; the shipped table was computed with these."""
    return ChartRules(threshold, YOUNG, CORRELATED, PHI, PHI_WEIGHT, MEMOS_CAP, max(1.0, 1.0 / memos_per_day))
