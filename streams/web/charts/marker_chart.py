"""Markers along the time, one figure each under the other, in the person's own standard deviations."""

from bokeh.layouts import column
from bokeh.models import BoxAnnotation, FixedTicker, Range1d, Title
from bokeh.plotting import figure

from streams.web.charts.figures import LEFT, Wording, add_episodes, add_gaps, add_hover, source, time_figure
from streams.web.charts.layout import Layout
from streams.web.charts.palette import LIGHT

DAYS_PX = 34
"""Height of the axis of time, which the last figure alone has."""
LARGEST_SD = 5.0
"""Deviations beyond it are drawn at it: how far a marker is out of the ordinary matters no more there."""


def marker_layout(wording: Wording, markers: int) -> Layout:
    """So many figures; the sources of the first are `marker0` and `dots0`, its title `title0`."""
    time = Range1d(start=0, end=1, name="time")
    gaps = source("gaps", "since", "until")
    episodes = source("episodes", "since", "until", "colour", "hatch")
    plots = [_marker(wording, time, index, DAYS_PX * (index == markers - 1)) for index in range(markers)]
    for plot in plots:
        add_gaps(plot, gaps)
        add_episodes(plot, episodes)
        plot.xaxis.visible = plot is plots[-1]
    return Layout(column(*plots, sizing_mode="stretch_width", spacing=4))


def _marker(wording: Wording, time: Range1d, index: int, more_px: int) -> figure:
    _ = wording.translate
    plot = time_figure(134 + more_px, time, Range1d(start=-LARGEST_SD - 0.5, end=LARGEST_SD + 0.5), wording, "")
    plot.yaxis.ticker = FixedTicker(ticks=[-4, -2, 0, 2, 4])
    plot.title = Title(
        text="",
        name=f"title{index}",
        text_color=LIGHT.ink,
        text_font_size="13px",
        text_font_style="normal",
        offset=8 - LEFT,
    )
    plot.add_layout(BoxAnnotation(bottom=-1, top=1, fill_color=LIGHT.normal, fill_alpha=0.2, level="underlay"))
    plot.hspan(y=0, line_color=LIGHT.quiet)
    dots = source(f"dots{index}", "at", "sd", "shape", "fill", "when", "value", "deviation", "adds", "note")
    plot.segment("at", 0, "at", "sd", source=dots, line_color=LIGHT.score, line_alpha=0.5)
    points = plot.scatter("at", "sd", source=dots, marker="shape", size=7, fill_color="fill", line_color=LIGHT.score)
    add_hover(plot, [points], (_("recorded"), "when"), (_("value"), "value"), (_("deviation"), "deviation"),
              (_("adds to the score"), "adds"), (_("note"), "note"))  # fmt: skip
    return plot
