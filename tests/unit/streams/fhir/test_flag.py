"""An episode as a Flag of FHIR R4."""

from typing import Any

import pytest

from schemas.events import AlertKind, AlertState
from streams.fhir.elements import patient
from streams.fhir.flag import flag
from tests.unit.streams.fhir.resources import step, validated

SUBJECT = patient("https://fhir.example/r4/Patient/42")


def mapped(state: AlertState = AlertState.RAISED, **changes: Any) -> Any:
    return flag(step(state, **changes), SUBJECT)


@pytest.mark.parametrize("state", AlertState)
@pytest.mark.parametrize("kind", AlertKind)
def test_every_step_is_a_valid_resource(state: AlertState, kind: AlertKind) -> None:
    validated(mapped(state, kind=kind))


def test_an_open_episode_is_active_and_a_resolved_one_inactive_with_its_end() -> None:
    raised, escalated, resolved = (mapped(state) for state in AlertState)
    assert [each["status"] for each in (raised, escalated, resolved)] == ["active", "active", "inactive"]
    assert raised["period"] == {"start": "2026-04-25T08:00:00.000Z"}
    assert resolved["period"]["end"] == "2026-05-01T08:00:00.000Z"
    assert len({each["id"] for each in (raised, escalated, resolved)}) == 1
    assert raised["identifier"] == resolved["identifier"]
    assert "severity critical" not in raised["text"]["div"]
    assert "severity critical" in escalated["text"]["div"]


def test_it_says_why_and_that_it_is_no_diagnosis() -> None:
    resource = mapped()
    assert resource["code"]["text"] == (
        "speaks with longer pauses than usual for 6 days: pause share 0.41, usually 0.22 (a compass, never a diagnosis)"
    )
    assert "+2.3 SD, logit +0.50" in resource["text"]["div"]
    assert "A compass, never a diagnosis" in resource["text"]["div"]
    assert resource["category"][0]["coding"][0]["code"] == "clinical"


def test_the_demonstration_is_marked() -> None:
    resource = mapped(bundle_id="demo-1")
    assert resource["code"]["text"].startswith("Demonstration: ")
    assert resource["meta"]["security"][0]["code"] == "HTEST"


def test_a_hostile_summary_is_not_shown() -> None:
    resource = mapped(summary="<b>ring</b> https://evil.example")
    assert "evil" not in str(resource)
    validated(resource)


def test_a_start_after_the_end_is_none() -> None:
    early = step().since
    resource = mapped(AlertState.RESOLVED, at=early, since=step().at)
    assert resource["period"]["start"] <= resource["period"]["end"]
