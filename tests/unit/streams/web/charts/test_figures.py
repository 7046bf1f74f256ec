"""Figures: they load nothing, need no eval, and every name of a column is one that the source has."""

import json

import pytest
from bokeh.embed import json_item
from bokeh.models import Range1d

from streams.web.charts.figures import Wording, add_episodes, add_gaps, add_hover, source, time_figure
from streams.web.charts.palette import LIGHT


def test_a_figure_has_no_tools_that_catch_the_wheel_and_no_code() -> None:
    plot = time_figure(100, Range1d(), Range1d(), Wording(str), "title")
    points = plot.scatter("at", "y", source=source("dots", "at", "y", "when"))
    add_hover(plot, [points], ("recorded", "when"))
    text = json.dumps(json_item(plot))
    assert '"@when"' in text
    assert "CustomJS" not in text
    assert "WheelZoom" not in text
    assert plot.toolbar_location is None
    assert plot.title.text_color == LIGHT.ink


@pytest.mark.parametrize("add", [add_gaps, add_episodes])
def test_spans_are_drawn_under_the_data(add: object) -> None:
    plot = time_figure(100, Range1d(), Range1d(), Wording(str), "")
    assert callable(add)
    add(plot, source("spans", "since", "until", "colour", "hatch"))
    assert [renderer.level for renderer in plot.renderers] == ["underlay"]
