"""A panel of a dashboard, and the queries that many panels share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. queries: expression → legend; worry: value from which it turns red, upwards; kind: Grafana's type."""

    title: str
    says: str
    unit: str
    queries: dict[str, str]
    worry: float | None = None
    kind: str = "timeseries"
    width: int = 8
    height: int = 7
    stacked: bool = False
    most: float | None = None


def p95(metric: str, by: str = "stage") -> str:
    """The 95th percentile of a histogram."""
    return f"histogram_quantile(0.95, sum by (le, {by}) (rate({metric}_bucket[$__rate_interval])))"


def per_second(metric: str, by: str) -> str:
    """A counter's rate."""
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"
