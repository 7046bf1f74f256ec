"""Scores as a small line and in words."""

from streams.web.caseload.sparkline import HEIGHT, WIDTH, sparkline
from streams.web.languages import languages

ENGLISH, GERMAN = languages()["en"], languages()["de"]


def test_the_line_breaks_where_a_memo_was_not_judged() -> None:
    line = sparkline((0.0, 0.5, None, 1.0), ENGLISH)
    assert line.path.count("M") == 2
    assert line.path.count("L") == 1
    assert len(line.unjudged) == 1
    assert line.words == "last 3 scores: 0% to 100%, now 100%; 1 memo not judged"


def test_a_higher_score_is_drawn_higher_within_the_drawing() -> None:
    low, high = (sparkline((score,), ENGLISH).last for score in (-1.0, 2.0))
    assert low is not None
    assert high is not None
    assert 0 < high[1] < low[1] < HEIGHT
    assert 0 < high[0] < WIDTH


def test_words_are_in_the_language_and_in_the_right_number() -> None:
    assert sparkline((0.3,), GERMAN).words == "letzter Wert 30\xa0%"
    assert sparkline((None, None), GERMAN).words == "keine Aufnahme war beurteilbar"
    assert sparkline((), ENGLISH).words == "no score yet"
    assert sparkline((), ENGLISH).last is None
