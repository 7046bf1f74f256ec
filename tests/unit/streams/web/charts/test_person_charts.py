"""Charts as texts of a script element: whole JSON that cannot end the element."""

import json
from dataclasses import replace
from datetime import timedelta

from schemas.events import Evidence
from streams.web.charts.person_charts import MARKERS, person_charts
from streams.web.person.report import Asked, Period, PersonReport, Stored, report
from tests.unit.streams.scores import RULES, START, calm, daily
from tests.unit.streams.web.charts.shown import READER

HOSTILE = "</script><script>alert(1)</script>\u2028"


def content(*evidence: Evidence, bundle: str = "demo-1") -> PersonReport:
    scores = [replace(score, evidence=evidence, bundle_id=bundle) for score in daily(calm(10))]
    return report(Stored(scores, (), (), ()), Asked(Period.ALL), RULES, READER, START + timedelta(days=12))


def test_no_text_ends_the_script_element_and_the_data_is_whole() -> None:
    charts = person_charts(content(Evidence(HOSTILE, 1.0, 2.0), bundle=HOSTILE), "en", READER)
    for text in (charts.score, charts.markers):
        assert not set(text) & set("<>&\u2028\u2029")
        assert json.loads(text).keys() == {"item", "dark"}
    assert HOSTILE in json.dumps(json.loads(charts.score), ensure_ascii=False)


def test_the_strongest_markers_are_drawn_and_without_one_there_is_no_chart() -> None:
    names = [f"marker_{i}" for i in range(MARKERS + 2)]
    drawn = person_charts(content(*(Evidence(name, 1.0, 2.0) for name in names)), "en", READER).markers
    assert drawn.count('"name":"title') == MARKERS
    assert person_charts(content(), "en", READER).markers == ""


def test_a_german_chart_has_german_words_and_dates() -> None:
    text = json.dumps(json.loads(person_charts(content(), "de", READER).score), ensure_ascii=False)
    assert "Änderung und Alarmschwelle" in text
    assert '"%d.\\n%m."' in text
