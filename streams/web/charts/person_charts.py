"""The charts of a person's page as texts for `<script type="application/json">`, which `charts.js` draws."""

import json
from dataclasses import dataclass
from functools import cache

from streams.web.charts.figures import Wording
from streams.web.charts.layout import Json, Layout
from streams.web.charts.marker_chart import marker_layout
from streams.web.charts.marker_series import marker_figures
from streams.web.charts.palette import dark_of_light
from streams.web.charts.person_chart import person_layout
from streams.web.charts.person_series import person_series
from streams.web.languages import languages
from streams.web.person.reader import Reader
from streams.web.person.report import PersonReport

MARKERS = 6
"""Markers that are drawn: those that moved the score most. The table has all."""
DATES = {"de": ("%d.\n%m.", "%m\n%Y")}
"""Patterns of the axis: Bokeh knows the English names of months only."""
IN_SCRIPT = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})
"""What would end a script element, or a line of it, as JSON writes it elsewhere."""


@dataclass(frozen=True, slots=True)
class PersonCharts:
    """Texts of JSON that may stand in a script element: `item` and `dark`, as `charts.js` reads them.

    markers: empty when no memo named a marker.
    """

    score: str
    markers: str


def person_charts(report: PersonReport, tag: str, reader: Reader) -> PersonCharts:
    """The charts in the language of this tag."""
    score = _person_layout(tag).filled(person_series(report.shown, report.spans, report.steps, reader))
    drawn = report.markers[:MARKERS]
    if not drawn:
        return PersonCharts(_text(score), "")
    markers = _marker_layout(tag, len(drawn)).filled(marker_figures(report.shown, drawn, report.spans, reader))
    return PersonCharts(_text(score), _text(markers))


def warm() -> None:
    """Build every layout, so that no reader waits for the first one."""
    for tag in languages():
        _person_layout(tag)
        _marker_layout(tag, MARKERS)


@cache
def _person_layout(tag: str) -> Layout:
    return person_layout(_wording(tag))


@cache
def _marker_layout(tag: str, markers: int) -> Layout:
    return marker_layout(_wording(tag), markers)


def _wording(tag: str) -> Wording:
    translate = languages()[tag].gettext
    return Wording(translate, *DATES[tag]) if tag in DATES else Wording(translate)


def _text(item: Json) -> str:
    return json.dumps({"item": item, "dark": dark_of_light()}, separators=(",", ":")).translate(IN_SCRIPT)
