"""A person's scores against their own normal, the drift statistic against its threshold, and lanes of what happened.

The three figures share one axis of time. Sources and ranges are empty: `person_series.py` fills them.
"""

from bokeh.layouts import column
from bokeh.models import FactorRange, FixedTicker, NumeralTickFormatter, Range1d
from bokeh.plotting import figure

from streams.web.charts.figures import (
    Wording,
    add_bundle_changes,
    add_episodes,
    add_gaps,
    add_hover,
    source,
    time_figure,
)
from streams.web.charts.layout import Layout
from streams.web.charts.palette import LIGHT
from streams.web.person.spans import Lane

LANES = (Lane.BUNDLE, Lane.MUTE, Lane.CONTEXT, Lane.EPISODE)
"""From the bottom."""


def person_layout(wording: Wording) -> Layout:
    """The three figures."""
    time = Range1d(start=0, end=1, name="time")
    gaps = source("gaps", "since", "until")
    episodes = source("episodes", "since", "until", "colour", "hatch")
    bundles = source("bundles", "at")
    scores = _scores(wording, time)
    statistic = _statistic(wording, time)
    for plot in (scores, statistic):
        add_gaps(plot, gaps)
        add_episodes(plot, episodes)
        add_bundle_changes(plot, bundles)
    return Layout(column(scores, statistic, _lanes(wording, time), sizing_mode="stretch_width", spacing=2))


def _scores(wording: Wording, time: Range1d) -> figure:
    _ = wording.translate
    plot = time_figure(310, time, Range1d(start=-0.08, end=1.02), wording, _("Score and own normal (band)"))
    plot.yaxis.ticker = FixedTicker(ticks=[0, 0.25, 0.5, 0.75, 1])
    plot.yaxis.formatter = NumeralTickFormatter(format="0%")
    band = source("normal", "times", "edges")
    plot.patches(
        "times", "edges", source=band, fill_color=LIGHT.normal, fill_alpha=0.28, line_color=LIGHT.normal, line_alpha=0.6
    )
    mean = source("mean", "at", "mean")
    plot.line("at", "mean", source=mean, line_color=LIGHT.normal, line_dash=[6, 3], line_width=2)
    line = source("line", "at", "score")
    plot.line("at", "score", source=line, line_color=LIGHT.score, line_width=1.4, line_alpha=0.8)
    memos = source("memos", "at", "y", "shape", "fill", "size", "when", "what", "why", "first", "second", "third")
    points = plot.scatter(
        "at", "y", source=memos, marker="shape", size="size", line_color=LIGHT.score, line_width=1.4, fill_color="fill"
    )
    rows = ((_("recorded"), "when"), (_("score"), "what"), (_("judgement"), "why"))
    add_hover(plot, [points], *rows, (_("moved by"), "first"), ("", "second"), ("", "third"))
    return plot


def _statistic(wording: Wording, time: Range1d) -> figure:
    _ = wording.translate
    values = Range1d(start=0, end=1, name="statistic_range")
    plot = time_figure(215, time, values, wording, _("Change and alert threshold"))
    data = source("statistic", "at", "up", "limit", "when", "up_text", "limit_text")
    plot.line("at", "up", source=data, line_color=LIGHT.statistic, line_width=2)
    plot.step("at", "limit", source=data, line_color=LIGHT.threshold, line_dash=[4, 4], line_width=1.6, mode="after")
    points = plot.scatter("at", "up", source=data, size=5, color=LIGHT.statistic)
    steps = source("steps", "at", "statistic", "shape", "colour", "when", "step", "numbers")
    alerts = plot.scatter(
        "at", "statistic", source=steps, marker="shape", size=12, fill_color="colour", line_color=LIGHT.paper
    )
    add_hover(plot, [points], (_("recorded"), "when"), (_("change"), "up_text"), (_("threshold"), "limit_text"))
    add_hover(plot, [alerts], (_("recorded"), "when"), (_("alert"), "step"), (_("change"), "numbers"))
    return plot


def _lanes(wording: Wording, time: Range1d) -> figure:
    _ = wording.translate
    plot = time_figure(185, time, FactorRange(factors=[*map(_, LANES)]), wording, _("What happened"))
    plot.yaxis.major_tick_line_color = None
    bars = source("bars", "lane", "since", "until", "colour", "hatch", "what", "times")
    bar = plot.hbar(
        "lane", left="since", right="until", height=0.62, source=bars, fill_color="colour", fill_alpha=0.25,
        line_color="colour", hatch_pattern="hatch", hatch_color="colour", hatch_alpha=0.3, hatch_scale=14,
    )  # fmt: skip
    labels = source("labels", "at", "lane", "text")
    plot.text(
        "at", "lane", text="text", source=labels, text_color=LIGHT.ink, text_font_size="11px",
        text_baseline="middle", x_offset=4,
    )  # fmt: skip
    add_hover(plot, [bar], (_("what"), "what"), (_("time"), "times"))
    return plot
