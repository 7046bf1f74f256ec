"""The data of the charts of markers: what `marker_chart.py` leaves empty. Pure."""

from collections.abc import Sequence

from streams.web.charts.layout import Attributes, columns
from streams.web.charts.marker_chart import LARGEST_SD
from streams.web.charts.palette import LIGHT
from streams.web.charts.person_series import time_frame
from streams.web.person.evidence import MarkerSeries
from streams.web.person.reader import Reader
from streams.web.person.spans import Span
from streams.web.person.timeline import Timeline


def marker_figures(
    shown: Timeline, markers: Sequence[MarkerSeries], spans: Sequence[Span], reader: Reader
) -> dict[str, Attributes]:
    """The data of the charts of these markers, in their order, by the names of models."""
    _ = reader.translate
    found = time_frame(shown, spans, reader)
    for index, series in enumerate(markers):
        found[f"title{index}"] = {"text": f"{_capital(_(series.title))}:\n{_(series.words)}"}
        found[f"dots{index}"] = _dots(series, reader)
    return found


def _dots(series: MarkerSeries, reader: Reader) -> Attributes:
    _ = reader.translate
    found = [(point.at, point.evidence) for point in series.points]
    return columns(
        {
            "at": [reader.axis(at) for at, _each in found],
            "sd": [max(-LARGEST_SD, min(LARGEST_SD, each.deviation_sd)) for _at, each in found],
            "shape": ["triangle" if each.fragile else "circle" for _at, each in found],
            "fill": [LIGHT.paper if each.fragile else LIGHT.score for _at, each in found],
            "when": [reader.when(at) for at, _each in found],
            "value": [reader.measured(series.name, each.value) for _at, each in found],
            "deviation": [f"{reader.signed(each.deviation_sd)} SD" for _at, each in found],
            "adds": [reader.signed(each.contribution, 2) for _at, each in found],
            "note": [_("the recording may have moved it") if each.fragile else "" for _at, each in found],
        }
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
