"""The sentence of every step, in words that fit any alert."""

import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from schemas.events import (
    AlertEvidence,
    AlertKind,
    AlertState,
    BaselineSummary,
    RecentSummary,
    RiskAlert,
    Severity,
)
from schemas.markers import MARKERS
from streams.reasons.summary import PHRASES, summary_of

PAUSES = AlertEvidence("pause_share", 0.41, 0.22, 2.3, contribution=0.5)
SINCE = datetime(2026, 3, 2, tzinfo=UTC)


def alert(
    *evidence: AlertEvidence,
    kind: AlertKind = AlertKind.DRIFT,
    state: AlertState = AlertState.RAISED,
    days: float = 9.3,
    statistic: float = 7.0,
) -> RiskAlert:
    return RiskAlert(
        "a", "k", "u", state, kind, Severity.WARNING, statistic, 5.0, BaselineSummary(30, -1.0, 0.5),
        RecentSummary(4, 0.5), SINCE, SINCE + timedelta(days=days), "m", "demo-1", evidence,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("step", "sentence"),
    [
        (alert(PAUSES), "speaks with longer pauses than usual for 9 days: pause share 0.41, usually 0.22"),
        (
            alert(PAUSES, state=AlertState.ESCALATED, days=0.9),
            "the change has grown: speaks with longer pauses than usual for 1 day: pause share 0.41, usually 0.22",
        ),
        (
            alert(PAUSES, state=AlertState.RESOLVED),
            "speaks as usual again, after 9 days with longer pauses than usual: pause share 0.41, usually 0.22",
        ),
        (
            alert(PAUSES, state=AlertState.RESOLVED, days=90, statistic=1.0),
            "the change has lasted 90 days and counts as usual from now on",
        ),
        (alert(state=AlertState.RESOLVED), "scores are back to this person's own past, after 9 days"),
        (alert(), "scores have moved away from this person's own past for 9 days"),
        (
            alert(replace(PAUSES, deviation_sd=0.4)),
            "scores have moved away from this person's own past for 9 days; "
            "every marker of the voice is about as usual",
        ),
        (
            alert(replace(PAUSES, usual=None, deviation_sd=-2.26)),
            "speaks with shorter pauses than usual for 9 days: pause share 0.41, 2.3 SD below usual",
        ),
        (
            alert(replace(PAUSES, fragile=True)),
            "speaks with longer pauses than usual for 9 days: pause share 0.41, usually 0.22; "
            "noise or a narrow band of the recordings may cause this",
        ),
        (
            alert(replace(PAUSES, name="a.{0}.marker")),
            "speaks with an unusual a.{0}.marker for 9 days: a.{0}.marker 0.41, usually 0.22",
        ),
        (
            alert(PAUSES, kind=AlertKind.LEVEL),
            "most recent scores are in the high band, for 9 days; "
            "speaks with longer pauses than usual: pause share 0.41, usually 0.22",
        ),
        (alert(kind=AlertKind.LEVEL), "most recent scores are in the high band, for 9 days"),
        (
            alert(PAUSES, kind=AlertKind.LEVEL, state=AlertState.RESOLVED),
            "few recent scores are in the high band again, after 9 days",
        ),
        (alert(kind=AlertKind.SILENCE), "no memo for 7 days, longer than usual for this person"),
        (
            alert(kind=AlertKind.SILENCE, state=AlertState.RESOLVED),
            "speaks again, after 7 days without a memo",
        ),
        (alert(PAUSES, kind=AlertKind.UNKNOWN), "a rule of a newer Undertone has fired"),
    ],
)
def test_the_sentence(step: RiskAlert, sentence: str) -> None:
    assert summary_of(step) == sentence


def test_it_names_the_first_marker_that_raised_the_scores() -> None:
    against = replace(PAUSES, name="jitter", deviation_sd=4.0, contribution=-0.3)
    doubtful = replace(PAUSES, name="hnr", fragile=True)
    assert "longer pauses" in summary_of(alert(against, PAUSES, doubtful))
    assert "rougher" in summary_of(alert(against))
    assert "clearer" in summary_of(alert(against, doubtful))


def test_every_step_of_every_kind_and_marker_has_a_harmless_sentence() -> None:
    markers = [*(marker.name for marker in MARKERS), "foreign"]
    for kind, state, name, sd in product(AlertKind, AlertState, markers, (-3.0, 0.0, 3.0)):
        sentence = summary_of(alert(replace(PAUSES, name=name, deviation_sd=sd), kind=kind, state=state))
        assert sentence
        assert not {"{", "}", "\n"} & set(sentence)
        assert "depress" not in sentence.lower()
        assert len(sentence) < 300


def test_every_phrase_can_be_translated() -> None:
    asked = set[str]()

    def translate(phrase: str) -> str:
        asked.add(phrase)
        return phrase.upper() if "{" not in phrase else f"≈{phrase}"

    for kind, state, marker, days in product(AlertKind, AlertState, (*MARKERS, None), (1, 9)):
        for sd, usual, fragile, statistic in product((-2.0, 0.5, 2.0), (None, 0.2), (True, False), (1.0, 7.0)):
            name = marker.name if marker else "foreign"
            told = AlertEvidence(name, 0.4, usual, sd, fragile)
            for evidence in ((told,), ()):
                sentence = summary_of(
                    alert(*evidence, kind=kind, state=state, days=days, statistic=statistic), translate
                )
                assert sentence.startswith("≈") or sentence.isupper()
    assert asked == set(PHRASES)
    fields = {name for phrase in PHRASES for _, name, _, _ in string.Formatter().parse(phrase) if name}
    assert fields <= {"days", "words", "length", "values", "sentence", "title", "value", "usual", "sd", "name"}
