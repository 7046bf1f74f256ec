"""The data of charts of markers: titles in words, deviations within the axis, fragile ones in another shape."""

from streams.web.charts.marker_chart import LARGEST_SD
from streams.web.charts.marker_series import marker_figures
from streams.web.person.evidence import marker_series
from tests.unit.streams.web.charts.shown import READER, SPANS, changed, column

SHOWN = changed()
FOUND = marker_figures(SHOWN, marker_series(SHOWN.memos), SPANS, READER)


def test_a_title_says_what_is_heard() -> None:
    assert [FOUND[f"title{i}"]["text"] for i in range(3)] == [
        "Pause share:\nlonger pauses than usual",
        "New marker:\nmore than usual",
        "Clearness of voice:\na breathier or hoarser voice than usual",
    ]


def test_a_deviation_beyond_the_axis_is_drawn_at_its_end_and_told_as_it_is() -> None:
    assert set(column(FOUND["dots0"], "sd")) == {LARGEST_SD}
    assert set(column(FOUND["dots0"], "deviation")) == {"+7.5 SD"}
    assert set(column(FOUND["dots0"], "adds")) == {"+0.80"}


def test_what_the_recording_may_have_moved_is_an_open_triangle_with_a_note() -> None:
    assert set(column(FOUND["dots2"], "shape")) == {"triangle"}
    assert set(column(FOUND["dots2"], "note")) == {"the recording may have moved it"}
    assert set(column(FOUND["dots0"], "shape")) == {"circle"}
