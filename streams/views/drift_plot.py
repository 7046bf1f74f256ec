"""Plot of one user's history: scores with the baseline, memos that were not judged, and the statistic."""

from collections.abc import Sequence
from datetime import datetime
from math import isfinite, nan
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import date2num
from matplotlib.figure import Figure

from schemas.events import RiskAlert
from streams.drift.detector import Outcome
from streams.drift.replay import Moment
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
from streams.views.marks import Judged, Mark, latest_marks, silence_sentence
from streams.views.silence import Array, Span, broken, silences

CHARTED = (Outcome.CHARTED, Outcome.RESTARTED)
SHOWN_FROM = 3
"""Days of baseline from which its mean and spread are drawn."""


def draw(
    path: Path,
    moments: Sequence[Moment],
    marks: Sequence[Mark],
    published: Sequence[RiskAlert] | None = None,
    note: str = "",
    until: datetime | None = None,
) -> None:
    """Write a PNG of one user's history.

    moments: of the memos that changed the state; marks: of all memos; published: the alerts to show, None for those of
    `moments`; note: below the title, empty for none; until: the end of the time axis, None for the last memo.
    """
    marks = latest_marks(_with_left_out(marks, moments))
    times = times_of(marks)
    end = float(times[-1]) if until is None else max(float(times[-1]), float(date2num(until)))
    silent = silences([float(time) for time in times_of(scored(marks))], float(times[0]), end)
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    charted = [moment for moment in moments if moment.verdict.outcome in CHARTED]
    alerts = [alert for moment in moments for alert in moment.alerts] if published is None else published
    found = changes(alerts)
    for axes in (upper, lower):
        draw_silence(axes, silent)
        draw_changes(axes, found, end)
        axes.grid(alpha=0.2)
    _draw_baseline(upper, charted, silent)
    draw_scores(upper, marks, silent)
    draw_unjudged(upper, marks, height=0.02)
    label_changes(upper, found)
    upper.set(ylim=(0, 1), ylabel="probability")
    _draw_statistic(lower, charted, silent)
    lower.set_xlim(float(times[0]) - 1, end + 1)
    date_axis(lower)
    draw_legend(figure)
    lines = ("Risk score against the user's own past: a compass, never a diagnosis", note, silence_sentence(marks))
    figure.suptitle("\n".join(line for line in lines if line), fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _with_left_out(marks: Sequence[Mark], moments: Sequence[Moment]) -> list[Mark]:
    """The marks; scores that changed no state count as left out."""
    followed = {moment.observation.memo_id for moment in moments}
    return [
        mark._replace(judged=Judged.LEFT_OUT) if mark.judged is Judged.SCORED and mark.memo_id not in followed else mark
        for mark in marks
    ]


def _draw_baseline(axes: Axes, charted: Sequence[Moment], silent: Sequence[Span]) -> None:
    charts = [moment.verdict.chart for moment in charted]
    old = np.array([chart.n >= SHOWN_FROM for chart in charts], bool)
    mean = np.where(old, [chart.mean for chart in charts], nan)
    sd = np.array([chart.sd for chart in charts])
    ewma = np.where(old, [chart.ewma for chart in charts], nan)
    if not old.any():
        return
    times, low = broken(_times(charted), _probability(mean - sd), silent)
    _, high = broken(_times(charted), _probability(mean + sd), silent)
    axes.fill_between(times, low, high, color="tab:blue", alpha=0.12, label="baseline ± 1 SD")
    for values, colour, label in ((mean, "tab:blue", "baseline mean"), (ewma, "tab:orange", "EWMA of scores")):
        axes.plot(*broken(_times(charted), _probability(values), silent), color=colour, linewidth=1.2, label=label)


def _draw_statistic(axes: Axes, charted: Sequence[Moment], silent: Sequence[Span]) -> None:
    axes.set_ylabel("statistic (SD)")
    charts = [moment.verdict.chart for moment in charted]
    thresholds = np.array([t if isfinite(t := moment.verdict.threshold) else nan for moment in charted])
    if not np.isfinite(thresholds).any():
        note = "no threshold yet: too few memos were judged"
        axes.annotate(note, (0.5, 0.5), xycoords="axes fraction", ha="center", va="center", backgroundcolor="white")
        axes.set_yticks([])
        return
    shown: tuple[tuple[Array, dict[str, Any], str], ...] = (
        (np.array([chart.up for chart in charts]), {"color": "tab:purple"}, "upward statistic"),
        (np.array([chart.down for chart in charts]), {"color": "tab:green", "alpha": 0.7}, "downward statistic"),
        (thresholds, {"color": "0.3", "linestyle": "--"}, "threshold (none while the baseline is young)"),
    )
    for values, style, label in shown:
        axes.plot(*broken(_times(charted), values, silent), label=label, **{"linewidth": 1, **style})
    # The statistic of a long episode would flatten everything else; values this high need no detail.
    axes.set_ylim(0, max(4 * float(np.nanmin(thresholds)), 1.1 * float(np.nanmax(thresholds))))


def _times(moments: Sequence[Moment]) -> Array:
    return np.array([float(date2num(moment.observation.recorded_at)) for moment in moments])


def _probability(logits: Array) -> Array:
    probabilities: Array = 1 / (1 + np.exp(-logits))
    return probabilities
