"""The data of the charts of markers: what `marker_chart.py` leaves empty. Pure."""

from collections.abc import Sequence

from schemas.markers import MARKER
from streams.web.charts.layout import Attributes, columns
from streams.web.charts.marker_chart import LARGEST_SD
from streams.web.charts.palette import LIGHT
from streams.web.charts.person_series import time_frame
from streams.web.person.evidence import MarkerSeries
from streams.web.person.reader import Reader
from streams.web.person.spans import Span
from streams.web.person.timeline import Timeline

_ = str  # marks messages; they are translated where they are shown

UNITS = {
    "semitones": _("semitones"),
    "1/min": _("per min"),
    "1/s": _("per s"),
    "share of period": "",
    "share of voiced time": "",
    "share of time": "",
    "share of mean": "",
}
"""Units in words; a share has none, and any other unit is a symbol."""


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


def value_text(name: str, value: float | None, reader: Reader) -> str:
    """A marker's value as people read it, with its unit; a share has none."""
    marker = MARKER.get(name)
    if marker is None or value is None:
        return reader.number(value)
    unit = UNITS.get(marker.unit, marker.unit)
    number = reader.number(value, marker.decimals)
    return f"{number} {reader.translate(unit)}" if unit else number


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
            "value": [value_text(series.name, each.value, reader) for _at, each in found],
            "deviation": [f"{reader.signed(each.deviation_sd)} SD" for _at, each in found],
            "adds": [reader.signed(each.contribution, 2) for _at, each in found],
            "note": [_("the recording may have moved it") if each.fragile else "" for _at, each in found],
        }
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
