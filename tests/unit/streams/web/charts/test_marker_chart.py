"""The charts of markers: as many as asked for, which take what the series make."""

from streams.web.charts.figures import Wording
from streams.web.charts.marker_chart import marker_layout
from streams.web.charts.marker_series import marker_figures
from streams.web.person.evidence import marker_series
from tests.unit.streams.web.charts.shown import READER, SPANS, changed


def test_it_takes_all_data_of_its_markers() -> None:
    shown = changed()
    markers = marker_series(shown.memos)
    layout = marker_layout(Wording(str), len(markers))
    data = marker_figures(shown, markers, SPANS, READER)
    assert layout.names == data.keys()
    layout.filled(data)
