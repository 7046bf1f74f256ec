"""The plot of the demo: every user's scores, their usual range, and what changed."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from schemas.events import RiskAlert
from streams.views.changes import changes
from streams.views.mark_plot import (
    date_axis,
    draw_changes,
    draw_legend,
    draw_scores,
    draw_silence,
    draw_unjudged,
    label_changes,
    scored,
    times_of,
)
from streams.views.marks import Mark, latest_marks, silence_of
from streams.views.silence import Span, silences

SETTLED = 14
"""Memos that the shaded band of usual scores is drawn from."""


def draw(
    path: Path, titles: dict[str, str], marks: Mapping[str, Sequence[Mark]], alerts: Sequence[RiskAlert], heading: str
) -> None:
    """Write a PNG with one panel per user. titles: by user, in the order of the panels; marks: of memos, by user."""
    rows = (len(titles) + 1) // 2
    figure = Figure(figsize=(12, 2.7 * rows + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(rows, 2, sharex=True, sharey=True, squeeze=False).flat)
    days = [float(time) for some in marks.values() for time in times_of(some)]
    whole = (min(days, default=0.0), max(days, default=0.0))
    for panel, (user, title) in zip(panels, titles.items(), strict=False):
        of_user = [alert for alert in alerts if alert.user_id == user]
        _panel(panel, title, latest_marks(marks.get(user, ())), of_user, whole)
    for panel in panels[len(titles) :]:
        panel.set_axis_off()
    draw_legend(figure, columns=5)
    figure.suptitle(heading, fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _panel(axes: Axes, title: str, marks: Sequence[Mark], alerts: Sequence[RiskAlert], whole: Span) -> None:
    """One user. whole: first and last day of all users, so that one who fell silent is seen to be."""
    known = scored(marks)
    silence = silence_of(marks)
    unjudged = "" if silence is None else f"; {silence.memos} of {silence.of} not judged: {silence.reason}"
    axes.set_title(title + (unjudged if marks else "; no memo"), fontsize=8, loc="left", pad=16)
    axes.set(ylim=(0, 1), ylabel="probability")
    date_axis(axes, ticks=6)
    silent = silences([float(time) for time in times_of(known)], *whole)
    values = np.array([mark.probability for mark in known], float)
    if len(values) >= SETTLED:
        low, high = np.quantile(values[:SETTLED], [0.1, 0.9])
        axes.axhspan(low, high, color="tab:blue", alpha=0.12, label=f"usual: first {SETTLED} memos, 10 to 90 %")
    found = changes(alerts)
    draw_silence(axes, silent)
    draw_changes(axes, found, whole[1])
    draw_scores(axes, marks, silent, color="tab:blue", linestyle="-", linewidth=0.8)
    draw_unjudged(axes, marks, height=0.03)
    label_changes(axes, found, fontsize=7)
