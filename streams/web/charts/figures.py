"""What all figures of a page share: axes, lines of time, hatches, and a reader's hover box."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bokeh.models import ColumnDataSource, DatetimeTickFormatter, FactorRange, GlyphRenderer, HoverTool, Range1d, Title
from bokeh.plotting import figure

from streams.web.charts.palette import LIGHT

LEFT = 62
"""Pixels of the vertical axis: figures above each other begin at one line."""
FONT = "12px"


@dataclass(frozen=True, slots=True)
class Wording:
    """A reader's language. translate: an English message into it; day, month: patterns of dates on the axis."""

    translate: Callable[[str], str]
    day: str = "%d\n%b"
    month: str = "%b\n%Y"


def time_figure(height: int, time: Range1d, values: Range1d | FactorRange, wording: Wording, title: str) -> figure:
    """An empty figure over a time. height: in pixels; values: range of the vertical axis; title: above it."""
    made = figure(
        height=height,
        sizing_mode="stretch_width",
        x_range=time,
        y_range=values,
        x_axis_type="datetime",
        toolbar_location=None,
        tools="",
        min_border_left=LEFT,
        min_border_right=12,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=LIGHT.grid,
        title=Title(text=title, text_color=LIGHT.ink, text_font_size="13px", offset=8 - LEFT),
    )
    made.xaxis.formatter = DatetimeTickFormatter(
        **dict.fromkeys(("hours", "days"), wording.day),
        **dict.fromkeys(("months", "years"), wording.month),
        **dict.fromkeys(("microseconds", "milliseconds", "seconds", "minsec", "minutes", "hourmin"), "%H:%M"),
    )
    for axis in (*made.xaxis, *made.yaxis):
        axis.major_label_text_color = LIGHT.quiet
        axis.major_label_text_font_size = FONT
        axis.axis_line_color = axis.major_tick_line_color = LIGHT.grid
        axis.minor_tick_line_color = None
    made.xgrid.grid_line_color = made.ygrid.grid_line_color = LIGHT.grid
    return made


def source(name: str, *columns: str) -> ColumnDataSource:
    """An empty source, to be filled under its name."""
    return ColumnDataSource({column: [] for column in columns}, name=name)


def add_gaps(plot: figure, gaps: ColumnDataSource) -> None:
    """Hatched stretches without a judged memo. gaps: columns `since`, `until`."""
    plot.vstrip(
        x0="since", x1="until", source=gaps, fill_color=LIGHT.gap, fill_alpha=0.08, line_color=None,
        hatch_pattern="right_diagonal_line", hatch_color=LIGHT.gap, hatch_alpha=0.45, hatch_weight=0.6, hatch_scale=12,
        level="underlay",
    )  # fmt: skip


def add_episodes(plot: figure, episodes: ColumnDataSource) -> None:
    """Shaded episodes; a critical one is hatched as well. episodes: columns `since`, `until`, `colour`, `hatch`."""
    plot.vstrip(
        x0="since", x1="until", source=episodes, fill_color="colour", fill_alpha=0.13, line_color="colour",
        line_alpha=0.7, hatch_pattern="hatch", hatch_color="colour", hatch_alpha=0.22, hatch_scale=14, hatch_weight=0.8,
        level="underlay",
    )  # fmt: skip


def add_bundle_changes(plot: figure, bundles: ColumnDataSource) -> None:
    """Dashed lines where another model began. bundles: column `at`."""
    plot.vspan(x="at", source=bundles, line_color=LIGHT.bundle, line_dash=[8, 4], line_width=1.5)


def add_hover(plot: figure, renderers: Sequence[GlyphRenderer], *rows: tuple[str, str]) -> None:
    """A box with these rows for the memo under the pointer. rows: a label and a column."""
    tips = [(label, f"@{column}") for label, column in rows]
    plot.add_tools(HoverTool(renderers=[*renderers], tooltips=tips, point_policy="snap_to_data", attachment="vertical"))
