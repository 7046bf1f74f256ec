"""Sentences about episodes in the reader's language, with numbers as the language writes them."""

from dataclasses import replace

from schemas.event_enums import AlertState
from schemas.events import AlertEvidence, RiskAlert
from streams.history.episode import Episode, made_from
from streams.web.episode.sentences import episode_words, step_words
from streams.web.languages import languages
from tests.history import alert

ENGLISH, GERMAN = languages()["en"], languages()["de"]
PITCH = AlertEvidence("pitch_range", 2.5, 3.25, -2.3, contribution=0.5)
PAUSES = AlertEvidence("pause_share", 0.41, 0.22, 2.3, contribution=0.5)


def step(evidence: AlertEvidence, days_ago: float = 3.0, state: AlertState = AlertState.RAISED) -> RiskAlert:
    return replace(alert("north-anna", days_ago, state), evidence=(evidence,))


def episode(*steps: RiskAlert) -> Episode:
    made = made_from(steps, ())
    assert made is not None
    return made


def test_a_number_and_a_unit_are_those_of_the_language() -> None:
    assert "0.41, usually 0.22" in step_words(step(PAUSES), ENGLISH)
    assert "0,41, sonst 0,22" in step_words(step(PAUSES), GERMAN)
    assert "2,5 Halbtöne" in step_words(step(PITCH), GERMAN)
    without = step_words(step(replace(PAUSES, usual=None)), GERMAN)
    assert "2,3" in without
    assert "2.3" not in without


def test_an_episode_says_what_it_said_before_it_was_over() -> None:
    over = episode(step(PAUSES), step(PITCH, 2.0, AlertState.ESCALATED), step(PAUSES, 1.0, AlertState.RESOLVED))
    assert episode_words(over, ENGLISH) == over.summary
    assert episode_words(over, GERMAN) == step_words(over.steps[1], GERMAN)


def test_an_episode_of_a_version_without_sentences_has_one() -> None:
    old = episode(replace(alert("north-anna", 3.0), summary="", evidence=()))
    assert episode_words(old, ENGLISH).startswith("scores have moved away")
