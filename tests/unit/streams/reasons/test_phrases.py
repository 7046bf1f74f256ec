"""The sentences about an alert."""

from dataclasses import replace

import pytest

from schemas.events import AlertEvidence, AlertKind, AlertState
from schemas.markers import MARKERS
from streams.reasons.phrases import caution, evidence_said, finding, past_finding, said
from streams.reasons.summary import summary_of
from tests.unit.streams.alerts import alert

PAUSES = AlertEvidence("pause_share", 0.41, 0.22, 2.3, contribution=0.4)
RAISED = alert(AlertState.RAISED)


@pytest.mark.parametrize("kind", AlertKind)
def test_every_kind_has_a_sentence_for_an_open_and_for_a_resolved_episode(kind: AlertKind) -> None:
    assert finding(kind) != past_finding(kind)
    assert str(kind) not in finding(kind).split()


def test_only_alerts_of_the_demonstration_model_say_nothing_about_a_person() -> None:
    assert caution("demo-1").startswith(caution("clinic-7"))
    assert caution("clinic-7").startswith("A compass, never a diagnosis")
    assert "says nothing about any person" in caution("demo-1")
    assert "says nothing about any person" not in caution("clinic-7")


@pytest.mark.parametrize("kind", AlertKind)
@pytest.mark.parametrize("state", AlertState)
def test_our_own_summaries_are_said_as_they_are(kind: AlertKind, state: AlertState) -> None:
    for marker in MARKERS:
        for usual, fragile, contribution in ((0.22, False, 0.4), (None, True, None)):
            evidence = (AlertEvidence(marker.name, -0.41, usual, 2.3, fragile, contribution),)
            step = replace(alert(state, kind=kind), evidence=evidence)
            summary = summary_of(step)
            assert said(replace(step, summary=summary)) == summary


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "<!channel> look",
        "look at https://evil.example",
        "look at evil.example/x",
        "hello @here",
        "*bold*",
        "_slanted_",
        "`code`",
        "[a](b)",
        "&lt;b&gt;",
        "two\nlines",
        "\u202ereversed",
        "speaks " * 100,
    ],
)
def test_a_summary_that_is_not_plain_words_is_replaced_by_the_finding(hostile: str) -> None:
    assert said(replace(RAISED, summary=hostile)) == finding(AlertKind.DRIFT)
    assert said(replace(RAISED, summary=hostile, state=AlertState.RESOLVED)) == past_finding(AlertKind.DRIFT)


def test_evidence_is_said_with_values_deviations_and_contributions_in_its_order() -> None:
    doubtful = AlertEvidence("hnr", 9.0, None, -3.0, fragile=True)
    foreign = AlertEvidence("<!channel>", 1.0, 2.0, 9.0)
    assert evidence_said([foreign, PAUSES, doubtful]) == (
        "pause share 0.41, usually 0.22 (+2.3 SD, logit +0.40); "
        "clearness of voice 9.0 dB, 3.0 SD below usual (-3.0 SD, perhaps by the recording)"
    )
    assert evidence_said([PAUSES] * 5, 2).count("pause share") == 2
    assert evidence_said([]) == ""
