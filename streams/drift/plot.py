"""Plot of one user's history: scores with the baseline, and the statistic with its threshold."""

from collections.abc import Sequence
from math import isfinite, nan
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure
from numpy.typing import NDArray

from schemas.events import AlertState, RiskAlert
from streams.drift.replay import Moment

COLOURS = {AlertState.RAISED: "tab:red", AlertState.ESCALATED: "darkred", AlertState.RESOLVED: "tab:green"}
Array = NDArray[np.float64]


def draw(path: Path, moments: Sequence[Moment], published: Sequence[RiskAlert] | None = None, note: str = "") -> None:
    """Write a PNG of one user's history.

    published: the alerts to show, None for those of `moments`; note: below the title, empty for none.
    """
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    times = date2num([moment.observation.recorded_at for moment in moments])
    _scores(upper, times, moments)
    _statistic(lower, times, moments)
    alerts = [alert for moment in moments for alert in moment.alerts] if published is None else published
    for axes in (upper, lower):
        _episodes(axes, alerts, float(times[-1]))
        axes.legend(loc="upper left", fontsize=8, framealpha=0.9)
        axes.grid(alpha=0.2)
    for alert in alerts:
        upper.annotate(
            f"{alert.kind} {alert.state}", (float(date2num(alert.at)), 0.99), xycoords=("data", "axes fraction"),
            color=COLOURS[alert.state], fontsize=8, rotation=90, va="top", ha="right",
        )  # fmt: skip
    locator = AutoDateLocator()
    lower.xaxis.set_major_locator(locator)
    lower.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    figure.suptitle(
        "Risk score against the user's own past: a compass, never a diagnosis" + (f"\n{note}" if note else ""),
        fontsize=10,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _scores(axes: Axes, times: Array, moments: Sequence[Moment]) -> None:
    charts = [moment.verdict.chart for moment in moments]
    mean = np.array([chart.mean for chart in charts])
    sd = np.array([chart.sd if chart.n > 2 else nan for chart in charts])
    logits = np.array([nan if (known := moment.observation.logit) is None else known for moment in moments])
    axes.fill_between(
        times, _probability(mean - sd), _probability(mean + sd), color="tab:blue", alpha=0.12, label="baseline ± 1 SD"
    )
    axes.plot(times, _probability(mean), color="tab:blue", linewidth=1, label="baseline mean")
    axes.plot(times, _probability(logits), ".", color="0.35", markersize=4, label="score")
    axes.plot(
        times, _probability(np.array([chart.ewma for chart in charts])), color="tab:orange", linewidth=1.4, label="EWMA"
    )
    axes.set_ylim(0, 1)
    axes.set_ylabel("probability")


def _statistic(axes: Axes, times: Array, moments: Sequence[Moment]) -> None:
    up = np.array([moment.verdict.chart.up for moment in moments])
    down = np.array([moment.verdict.chart.down for moment in moments])
    thresholds = np.array([t if isfinite(t := moment.verdict.threshold) else nan for moment in moments])
    axes.plot(times, up, color="tab:red", linewidth=1.2, label="upward statistic")
    axes.plot(times, down, color="tab:green", linewidth=1, alpha=0.7, label="downward statistic")
    axes.plot(times, thresholds, "--", color="0.3", linewidth=1, label="threshold")
    # The statistic of a long episode would flatten everything else; values this high need no detail.
    axes.set_ylim(0, 4 * float(np.nanmax(thresholds)) if np.isfinite(thresholds).any() else None)
    axes.set_ylabel("SDs of whitened days")


def _episodes(axes: Axes, alerts: Sequence[RiskAlert], last: float) -> None:
    """Shade from the estimated start of a change to the end of its episode."""
    for alert in alerts:
        axes.axvline(float(date2num(alert.at)), color=COLOURS[alert.state], linewidth=1.2)
        if alert.state is AlertState.RAISED:
            ends = [
                float(date2num(a.at))
                for a in alerts
                if a.dedup_key == alert.dedup_key and a.state is AlertState.RESOLVED
            ]
            axes.axvspan(float(date2num(alert.since)), ends[0] if ends else last, color="tab:red", alpha=0.06)


def _probability(logits: Array) -> Array:
    return 1 / (1 + np.exp(-logits))
