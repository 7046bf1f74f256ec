"""Layouts: a copy has its data, the layout stays empty, and a misspelt name is an error."""

import json

import pytest
from bokeh.models import ColumnDataSource, Range1d
from bokeh.plotting import figure

from streams.web.charts.layout import Layout, columns


@pytest.fixture
def layout() -> Layout:
    plot = figure(x_range=Range1d(start=0, end=2, name="time"))
    plot.line("x", "y", source=ColumnDataSource({"x": [], "y": []}, name="line"))
    return Layout(plot)


def test_a_copy_has_its_attributes_and_the_next_one_has_none_of_them(layout: Layout) -> None:
    mine = json.dumps(layout.filled({"line": columns({"x": [1.0], "y": [4242.5]}), "time": {"start": 7171}}))
    assert '[["x", [1.0]], ["y", [4242.5]]]' in mine
    assert '"start": 7171' in mine
    assert '"end": 2' in mine
    other = json.dumps(layout.filled({}))
    assert "4242.5" not in other
    assert "7171" not in other


def test_what_is_not_a_number_is_written_so_that_bokeh_reads_it() -> None:
    not_a_number = {"type": "number", "value": "nan"}
    found = columns({"y": [1.0, None, float("nan"), float("inf")], "text": ["a"]})
    assert found == {"data": {"type": "map", "entries": [["y", [1.0, *[not_a_number] * 3]], ["text", ["a"]]]}}


def test_a_name_that_no_model_has_is_an_error(layout: Layout) -> None:
    with pytest.raises(KeyError, match="lime"):
        layout.filled({"lime": {}})
