"""Markers in words and units, in both languages."""

import pytest

from streams.web.languages import languages
from streams.web.markers import heard, measured

ENGLISH, GERMAN = languages()["en"], languages()["de"]


@pytest.mark.parametrize(
    ("deviation", "words"),
    [(2.0, "longer pauses than usual"), (-2.0, "shorter pauses than usual"), (0.9, "as usual")],
)
def test_deviations_become_words(deviation: float, words: str) -> None:
    assert heard("pause_share", deviation) == words


@pytest.mark.parametrize(
    ("name", "value", "english", "german"),
    [
        ("pause_share", 0.4137, "0.41", "0,41"),
        ("pitch_median", 187.4, "187 Hz", "187 Hz"),
        ("pause_rate", 12.3, "12 per minute", "12 pro Minute"),
        ("pitch_range", 4.0, "4.0 semitones", "4,0 Halbtöne"),
        ("new_marker", 1.234, "1.234", "1,234"),
        ("hnr", None, "–", "–"),
    ],
)
def test_values_have_their_unit_and_shares_have_none(name: str, value: float | None, english: str, german: str) -> None:
    assert measured(name, value, ENGLISH.locale, ENGLISH.gettext) == english
    assert measured(name, value, GERMAN.locale, GERMAN.gettext) == german
