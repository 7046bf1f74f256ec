"""What people do over HTTP: once on the topic's effect, however often it is asked for."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from schemas.state_keys import MUTES
from streams.drift import mutes
from tests.dashboards import Dashboard, dashboard, people

EPISODE = "/api/v1/episodes/episode north-1/actions"
PERSON = "/api/v1/people/north-1/actions"
SOON = (datetime.now(UTC) + timedelta(days=2)).isoformat()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Dashboard]:
    async with dashboard(tmp_path) as made:
        await made.store(*people("north-1"))
        yield made


async def test_an_acknowledgement_is_on_its_topic_and_at_once_in_the_episode(here: Dashboard) -> None:
    body = {"action": "acknowledged", "outcome": "contacted", "note": "<b>called</b>"}
    first = await here.client.post(EPISODE, json=body, headers={"Idempotency-Key": "form-1"})
    again = await here.client.post(EPISODE, json=body, headers={"Idempotency-Key": "form-1"})
    assert [(each.status_code, each.json()["repeated"]) for each in (first, again)] == [(201, False), (200, True)]
    episode = (await here.client.get("/api/v1/episodes/episode north-1")).json()
    assert (episode["outcome"], len(episode["actions"])) == ("contacted", 1)
    assert {record.action_id for record in await here.records(topics.CARE)} == {"form-1"}
    looks = [look.action.value for look in await here.records(topics.AUDIT)]
    assert looks == ["acted", "acted", "viewed"]


async def muted(here: Dashboard) -> list[tuple[str, str]]:
    found = mutes.load((await here.services.store.read([MUTES.key()]))[MUTES.key()])
    now = datetime.now(UTC)
    return [(mute.name, mute.by) for mute in found if mute.applies_to("north-1", now)]


async def test_a_mute_holds_for_the_drift_agent_until_it_is_ended(here: Dashboard) -> None:
    body = {"action": "muted", "until": SOON, "note": "holidays", "action_id": "mute-1"}
    for _ in range(2):
        await here.client.post(PERSON, json=body)
    assert await muted(here) == [("north-1", "local")]
    await here.client.post(PERSON, json={"action": "unmuted"})
    assert await muted(here) == []


async def test_a_mark_is_shown_until_it_is_taken_back(here: Dashboard) -> None:
    body = {"action": "marked", "mark": "illness", "since": "2026-01-01T00:00:00Z", "excluded": True, "action_id": "m1"}
    assert (await here.client.post(PERSON, json=body)).status_code == 201
    (mark,) = (await here.client.get("/api/v1/people/north-1")).json()["marks"]
    assert (mark["kind"], mark["excluded"]) == ("illness", True)
    await here.client.post(PERSON, json={"action": "unmarked", "mark_id": "m1"})
    assert (await here.client.get("/api/v1/people/north-1")).json()["marks"] == []


WRONG: tuple[tuple[str, dict[str, Any], str], ...] = (
    (EPISODE, {"action": "muted"}, "action"),
    (PERSON, {"action": "acknowledged"}, "action"),
    (PERSON, {"action": "unknown"}, "action"),
    (PERSON, {"action": "noted"}, "note"),
    (EPISODE, {"action": "handed_over"}, "assignee"),
    (PERSON, {"action": "marked"}, "mark"),
    (PERSON, {"action": "muted", "until": "2020-01-01T00:00:00Z"}, "until"),
    (PERSON, {"action": "marked", "mark": "travel", "since": SOON, "until": SOON}, "until"),
    (PERSON, {"action": "noted", "note": "a", "made_up": 1}, "made_up"),
    (PERSON, {"action": "noted", "note": "a" * 2001}, "note"),
    (EPISODE, {"action": "acknowledged", "outcome": "cured"}, "outcome"),
)


async def test_what_is_not_valid_names_the_field_and_does_nothing(here: Dashboard) -> None:
    for path, body, where in WRONG:
        answer = await here.client.post(path, json=body)
        assert answer.status_code == 422, answer.text
        assert {error["where"] for error in answer.json()["errors"]} == {f"body.{where}"}
    for content in (b"{", b"[]", b'{"action":"noted","note":"\\ud800"}', b""):
        answer = await here.client.post(PERSON, content=content, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert await here.records(topics.CARE) == []


async def test_an_action_about_nobody_is_not_found(here: Dashboard) -> None:
    answer = await here.client.post("/api/v1/people/nobody/actions", json={"action": "noted", "note": "a"})
    assert answer.status_code == 404
