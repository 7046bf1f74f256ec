"""Episodes as Alertmanager alerts."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from schemas.events import AlertEvidence, AlertKind, AlertState, Band, RiskAlert, ScorePoint
from streams.notify.alertmanager_payload import Episode, advanced, as_posted
from tests.unit.streams.alerts import START, alert, episode_of

NOW = START + timedelta(days=30)


def folded(steps: list[RiskAlert]) -> Episode:
    episode: Episode | None = None
    for step in steps:
        episode = advanced(episode, step) or episode
    assert episode is not None
    return episode


def posted(*steps: RiskAlert, now: datetime = NOW) -> Any:
    return as_posted(folded(list(steps)), now)


def test_labels_are_the_same_for_every_step_and_differ_between_episodes() -> None:
    raised, escalated, resolved = episode_of()
    labels = [posted(*steps)["labels"] for steps in ([raised], [raised, escalated], [raised, escalated, resolved])]
    assert labels[0] == labels[1] == labels[2]
    others = [alert(AlertState.RAISED, episode=1), alert(AlertState.RAISED, kind=AlertKind.LEVEL)]
    assert len({str(posted(other)["labels"]) for other in [raised, *others]}) == 3


def test_escalation_is_reported_in_the_annotations() -> None:
    raised, escalated, _ = episode_of()
    annotations = posted(raised, escalated)["annotations"]
    assert (annotations["severity"], annotations["state"]) == ("critical", "escalated")


def test_an_open_episode_ends_far_in_the_future_and_a_resolved_one_has_ended() -> None:
    raised, escalated, resolved = episode_of()
    still = posted(raised, escalated)
    assert still["startsAt"] == "2026-05-01T08:00:00.000Z"
    assert datetime.fromisoformat(still["endsAt"]) > NOW + timedelta(days=90)
    over = posted(raised, escalated, resolved)
    assert over["startsAt"] == still["startsAt"]
    assert over["endsAt"] == "2026-05-15T08:00:00.000Z"


def test_no_alert_starts_after_its_end_even_when_a_clock_is_ahead() -> None:
    lone = posted(episode_of()[-1], now=START)
    assert lone["startsAt"] <= lone["endsAt"] <= "2026-05-01T08:00:00.000Z"


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_redelivered_or_late_steps_never_reopen_a_resolved_episode(order: tuple[int, ...]) -> None:
    steps = episode_of()
    episode = folded([*(steps[n] for n in order), *steps])
    assert episode.last is steps[-1]


def test_the_pseudonym_is_in_no_label_and_the_memo_nowhere() -> None:
    payload = posted(alert(AlertState.RAISED, user="someone"))
    assert "someone" not in str(payload["labels"])
    assert payload["annotations"]["user"] == "someone"
    assert "memo-someone" not in str(payload)


def test_alerts_of_the_demonstration_say_so() -> None:
    assert "says nothing about any person" in posted(episode_of()[0])["annotations"]["description"]


def test_reasons_and_the_link_are_annotations() -> None:
    raised = alert(AlertState.RAISED)
    points = (
        ScorePoint(raised.at, 0.314, Band.LOW),
        ScorePoint(raised.at, 0.5, Band.INDETERMINATE),
        ScorePoint(raised.at, 0.8, Band.HIGH),
    )
    markers = (AlertEvidence("pause_share", 0.41, 0.22, 2.3, contribution=0.4),)
    summary = "speaks with longer pauses than usual for 6 days: pause share 0.41, usually 0.22"
    told = replace(raised, evidence=markers, scores=points, summary=summary)
    payload: Any = as_posted(folded([told]), NOW, "https://undertone.example")
    link = f"https://undertone.example/episodes/{raised.dedup_key}"
    annotations = payload["annotations"]
    assert payload["generatorURL"] == annotations["dashboard"] == link
    assert annotations["summary"] == f"user-1: {summary}"
    assert annotations["evidence"] == "pause share 0.41, usually 0.22 (+2.3 SD, logit +0.40)"
    assert annotations["scores"] == "0.31 - 0.80"


def test_an_alert_of_an_older_writer_has_neither_reasons_nor_a_link() -> None:
    payload = posted(alert(AlertState.RAISED))
    assert "generatorURL" not in payload
    assert not {"evidence", "scores", "dashboard"} & set(payload["annotations"])
    hostile = posted(replace(alert(AlertState.RAISED), summary="two\nlines <!channel>"))
    assert hostile["annotations"]["summary"] == "user-1: scores have moved away from this person's own past"
