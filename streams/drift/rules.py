"""What an operator asked for, turned into what the charts and the alerts go by."""

from typing import NamedTuple

from schemas.settings import Settings
from streams.drift.cusum import PHI, ChartRules
from streams.drift.thresholds import YEAR_DAYS, threshold_for

YOUNG = 0.5
CORRELATED = 5.0
PHI_WEIGHT = 12.0
MEMOS_CAP = 4.0


class Rules(NamedTuple):
    """Everything that turns scores into alerts; the same rules and scores give the same alerts, always."""

    chart: ChartRules
    reorder_s: float
    cooldown_s: float
    level_high: int
    """So many of the last `level_of` scores in the high band raise a level alert; level_of 0 raises none."""
    level_of: int
    alerts_per_memo: float
    """False alerts that the operator's budget allows for each memo that is followed."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "Rules":
        """The rules that keep what the settings promise. Raises ConfigurationError outside the shipped table."""
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
    """The chart's rules for a promise. autocorrelation: of memo after memo; None when nobody knows, which is usual.

    Raises ConfigurationError outside the shipped table.
    """
    return chart_rules(threshold_for(alerts_per_user_year, memos_per_day, autocorrelation), memos_per_day)


def chart_rules(threshold: float, memos_per_day: float) -> ChartRules:
    """The chart's rules for a threshold; the shipped table is made with these."""
    return ChartRules(threshold, YOUNG, CORRELATED, PHI, PHI_WEIGHT, MEMOS_CAP, max(1.0, 1.0 / memos_per_day))
