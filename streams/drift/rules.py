"""The parameters of charts and alerts, derived from the settings."""

from typing import TYPE_CHECKING, NamedTuple

from streams.drift.cusum import PHI, ChartRules
from streams.drift.thresholds import YEAR_DAYS, threshold_for

if TYPE_CHECKING:
    from schemas.settings import Settings

YOUNG = 0.09
"""`ChartRules.young` per unit of threshold: the chart sums the error of a baseline, of variance 1/n, over days in
proportion to its threshold, which therefore rises with its own square over n."""
CORRELATED = 5.0
WHITENED = 0.2
PHI_WEIGHT = 7.0
MEMOS_CAP = 4.0
REORDER_S = 2 * 86400.0
"""How late a memo may arrive, and the cool-down between episodes, where no settings say it: the settings' defaults."""
COOLDOWN_S = 7 * 86400.0


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
    silences_per_year: float = 0.0
    """False silence alerts that are accepted of a user in a year; 0 raises none."""

    @staticmethod
    def from_settings(settings: "Settings") -> "Rules":
        """The rules for the false-alarm budget in the settings. Raises ConfigurationError outside the shipped table."""
        rules = rules_for(
            settings.alerts_per_user_year,
            settings.memos_per_day,
            settings.autocorrelation,
            settings.reorder_window_s,
            settings.alert_cooldown_s,
        )
        silences = settings.silence_alerts_per_user_year
        return rules._replace(
            level_high=settings.level_high,
            level_of=settings.level_of,
            alerts_per_memo=rules.alerts_per_memo + silences / YEAR_DAYS / settings.memos_per_day,
            silences_per_year=silences,
        )


def rules_for(
    alerts_per_user_year: float,
    memos_per_day: float,
    autocorrelation: float | None,
    reorder_s: float,
    cooldown_s: float,
) -> Rules:
    """The rules of drift episodes alone, without level episodes. Raises OutsideTable, which names the range."""
    chart = chart_rules_for(alerts_per_user_year, memos_per_day, autocorrelation)
    return Rules(chart, reorder_s, cooldown_s, 0, 0, alerts_per_user_year / YEAR_DAYS / memos_per_day)


def chart_rules_for(
    alerts_per_user_year: float, memos_per_day: float, autocorrelation: float | None = None
) -> ChartRules:
    """The chart's rules for a false-alarm budget. autocorrelation: of successive memos; None (usual) when unknown.

    Raises OutsideTable, a ConfigurationError, which names the range that the shipped table holds.
    """
    return chart_rules(threshold_for(alerts_per_user_year, memos_per_day, autocorrelation), memos_per_day)


def chart_rules(threshold: float, memos_per_day: float) -> ChartRules:
    """The chart's rules for a threshold; the shipped table was computed with these."""
    young, spacing = YOUNG * threshold, max(1.0, 1.0 / memos_per_day)
    return ChartRules(threshold, young, CORRELATED, WHITENED, PHI, PHI_WEIGHT, MEMOS_CAP, spacing)
