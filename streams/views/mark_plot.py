"""Draws memos and silence: the parts that every plot of scores over time has in common."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.figure import Figure

from schemas.events import AlertState
from streams.views.changes import Change
from streams.views.marks import Judged, Mark
from streams.views.silence import Array, Span, broken

INK, SILENT = "0.25", "0.88"
COLOURS = {AlertState.RAISED: "tab:red", AlertState.ESCALATED: "darkred", AlertState.RESOLVED: "tab:green"}
STYLES: dict[str, Any] = {"drift": "-", "level": (0, (4, 2))}
"""Lines of alerts by kind; any other is dotted."""
SHAPES = {
    Judged.UNDECIDED: ("o", "none"),
    Judged.UNUSABLE: ("x", "tab:brown"),
    Judged.INCOMPLETE: ("^", "none"),
    Judged.LEFT_OUT: ("+", "0.4"),
    Judged.FAILED: ("X", "black"),
}
"""Marker and face of memos that were not judged."""
SILENCE = "silence: no memo was judged"


def times_of(marks: Sequence[Mark]) -> Array:
    """Times of recording, (n,) in days."""
    return np.array([float(date2num(mark.recorded_at)) for mark in marks])


def scored(marks: Sequence[Mark]) -> list[Mark]:
    """Those that were judged."""
    return [mark for mark in marks if mark.judged is Judged.SCORED]


def draw_scores(axes: Axes, marks: Sequence[Mark], silent: Sequence[Span], **line: Any) -> None:
    """Scores as dots, with a line that ends where silence begins; abstentions with a probability as hollow dots."""
    known = scored(marks)
    values = np.array([np.nan if mark.probability is None else mark.probability for mark in known])
    axes.plot(*broken(times_of(known), values, silent), ".", label="score", **{"color": INK, "markersize": 5, **line})
    for judged in (Judged.UNDECIDED, Judged.LEFT_OUT):
        some = [mark for mark in marks if mark.judged is judged and mark.probability is not None]
        _draw_some(axes, some, judged, [mark.probability or 0.0 for mark in some])


def draw_unjudged(axes: Axes, marks: Sequence[Mark], height: float) -> None:
    """Memos without a probability, in a row at this height of the axes."""
    for judged in SHAPES:
        some = [mark for mark in marks if mark.judged is judged and not _has_height(mark)]
        _draw_some(axes, some, judged, [height] * len(some))


def draw_silence(axes: Axes, silent: Sequence[Span]) -> None:
    """Hatch the silent stretches."""
    for number, (start, end) in enumerate(silent):
        label = SILENCE if number == 0 else None
        axes.axvspan(start, end, facecolor="none", edgecolor=SILENT, hatch="///", linewidth=0, label=label, zorder=0)


def draw_changes(axes: Axes, changes: Sequence[Change], end: float) -> None:
    """Shade each change from its estimated start to its end, with a line for every alert."""
    for change in changes:
        until = end if change.until is None else float(date2num(change.until))
        axes.axvspan(float(date2num(change.since)), until, color="tab:red", alpha=0.07, zorder=0, label="change")
        for step in change.steps:
            label = f"{step.kind} {step.state}"
            style = STYLES.get(step.kind, ":")
            axes.axvline(float(date2num(step.at)), color=COLOURS[step.state], linestyle=style, lw=1.3, label=label)


def label_changes(axes: Axes, changes: Sequence[Change], fontsize: int = 8) -> None:
    """Name each change once above the axes, at its estimated start; neighbours take turns between two lines."""
    for number, change in enumerate(changes):
        axes.annotate(
            change.label,
            (float(date2num(change.since)), 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2 + (number % 2) * (fontsize + 2)),
            textcoords="offset points",
            fontsize=fontsize,
            color=COLOURS[AlertState.RAISED],
        )


def date_axis(axes: Axes, ticks: int = 9) -> None:
    """Dates below the axes."""
    locator = AutoDateLocator(maxticks=ticks)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))


def draw_legend(figure: Figure, columns: int = 4) -> None:
    """One legend for all panels below them, each entry once."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns, fontsize=8)


def _has_height(mark: Mark) -> bool:
    return mark.judged in (Judged.UNDECIDED, Judged.LEFT_OUT) and mark.probability is not None


def _draw_some(axes: Axes, marks: Sequence[Mark], judged: Judged, heights: Sequence[float]) -> None:
    if marks:
        shape, face = SHAPES[judged]
        colour = face if face != "none" else "0.45"
        faces: dict[str, Any] = {} if shape in "x+" else {"markerfacecolor": face}
        axes.plot(times_of(marks), heights, shape, color=colour, markersize=5, label=judged.value, zorder=3, **faces)
