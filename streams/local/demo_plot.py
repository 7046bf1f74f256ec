"""The plot of the demo: every user's scores, their usual range, and the alerts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from schemas.events import RiskAlert, RiskScored
from streams.drift.plot import COLOURS

SETTLED = 14
"""Memos that the shaded band of usual scores is drawn from."""


def draw(path: Path, titles: dict[str, str], scores: Sequence[RiskScored], alerts: Sequence[RiskAlert]) -> None:
    """Write a PNG with one panel per user. titles: by user id, in the order of the panels."""
    rows = (len(titles) + 1) // 2
    figure = Figure(figsize=(12, 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, 2, sharey=True, squeeze=False).flat
    for panel, (user, title) in zip(panels, titles.items(), strict=False):
        _panel(panel, title, [s for s in scores if s.user_id == user], [a for a in alerts if a.user_id == user])
    figure.suptitle("Scores of synthetic users by a demonstration model: a compass, never a diagnosis", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _panel(axes: Axes, title: str, scores: Sequence[RiskScored], alerts: Sequence[RiskAlert]) -> None:
    known = sorted((s for s in scores if s.probability is not None), key=lambda s: s.recorded_at)
    times = date2num([s.recorded_at for s in known])
    values = np.array([s.probability for s in known], float)
    if len(values) >= SETTLED:
        low, high = np.quantile(values[:SETTLED], [0.1, 0.9])
        axes.axhspan(low, high, color="tab:blue", alpha=0.12, label=f"usual: first {SETTLED} memos, 10 to 90 %")
    axes.plot(times, values, ".-", color="tab:blue", linewidth=0.8, markersize=5)
    for alert in alerts:
        colour = COLOURS[alert.state]
        at = float(date2num(alert.at))
        axes.axvline(at, color=colour, linewidth=1.5)
        axes.annotate(alert.state, (at, 0.98), color=colour, fontsize=8, rotation=90, va="top", ha="right")
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_ylim(0, 1)
    axes.set_ylabel("probability")
    locator = AutoDateLocator(maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
