"""Lanes of spans: their names are messages that have a German text."""

from streams.web.languages import languages
from streams.web.person.spans import Lane


def test_every_lane_has_its_german_name() -> None:
    known = languages()["de"].translations.info()
    assert known["language"] == "de"
    assert [languages()["de"].gettext(lane) for lane in Lane] == ["Episode", "Kontext", "Stumm", "Modell"]
