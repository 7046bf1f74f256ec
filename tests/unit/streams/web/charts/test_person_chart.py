"""The person's chart: it can be filled with what the series make, and says everything in the reader's language."""

import json

from streams.web.charts.figures import Wording
from streams.web.charts.person_chart import person_layout
from streams.web.charts.person_series import person_series
from tests.unit.streams.web.charts.shown import READER, SPANS, STEPS, changed

WORDING = Wording(lambda message: f"<{message}>")


def test_it_takes_all_data_of_a_person() -> None:
    layout, data = person_layout(WORDING), person_series(changed(), SPANS, STEPS, READER)
    assert layout.names == data.keys()
    assert '"inverted_triangle"' in json.dumps(layout.filled(data))


def test_its_titles_and_lanes_are_translated() -> None:
    text = json.dumps(person_layout(WORDING).filled({}))
    for message in ("Score and own normal (band)", "Change and alert threshold", "What happened", "Episode"):
        assert f'"<{message}>"' in text
