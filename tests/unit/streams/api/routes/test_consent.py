"""Consent over HTTP: recorded before it is answered, in force for uploads at once, and shown on the person's page."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from schemas import topics
from schemas.event_enums import AuditAction
from tests.dashboards import Dashboard, dashboard, people

NORTH = "/api/v1/people/north-1/consent"


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Dashboard]:
    async with dashboard(tmp_path) as made:
        await made.store(*people("north-1"))
        yield made


async def test_a_word_is_recorded_holds_at_once_and_a_withdrawal_links_the_erasure(here: Dashboard) -> None:
    assert (await here.client.get(NORTH)).json() == {
        "user_id": "north-1", "state": None, "since": None, "read": True, "erasure": None
    }  # fmt: skip
    wanted = {"state": "withdrawn", "reason": "asked on the phone"}
    answer = await here.client.post(NORTH, json=wanted)
    assert answer.status_code == 201
    found = answer.json()
    assert (found["state"], found["read"], found["erasure"]) == ("withdrawn", False, "/api/v1/erasures")
    (said,) = await here.records(topics.CONSENTS)
    assert (said.user_id, said.state, said.actor, said.reason) == (
        "north-1",
        "withdrawn",
        "local",
        "asked on the phone",
    )
    looks = await here.records(topics.AUDIT)
    assert [(look.action, look.resource, look.reason) for look in looks] == [
        (AuditAction.VIEWED, "consent", None),
        (AuditAction.ACTED, "consent.withdrawn", "asked on the phone"),
    ]
    page = await here.client.get("/people/north-1", headers={"accept": "text/html"})
    assert "consent withdrawn: no memo is read" in page.text


async def test_no_upload_is_taken_without_consent_and_nothing_of_it_is_kept(here: Dashboard, tmp_path: Path) -> None:
    await here.client.post("/api/v1/people/south-9/consent", json={"state": "paused", "reason": "on holiday"})
    params = {"user_id": "south-9", "recorded_at": datetime.now(UTC).isoformat()}
    answer = await here.client.post(
        "/api/v1/memos", params=params, content=b"RIFF", headers={"content-type": "audio/wav"}
    )
    assert (answer.status_code, "paused" in answer.json()["detail"]) == (409, True)
    assert await here.records(topics.UPLOADED) == []
    assert [path for path in (tmp_path / "audio").rglob("*") if path.is_file()] == []


async def test_what_is_wrong_is_refused_and_records_nothing(here: Dashboard) -> None:
    wrong = (
        {"state": "unknown", "reason": "x"},
        {"state": "given"},
        {"state": "given", "reason": ""},
        {"state": "given", "reason": "north-1 asked"},
    )
    for body in wrong:
        assert (await here.client.post(NORTH, json=body)).status_code == 422, body
    assert (await here.client.get("/api/v1/people/ x/consent")).status_code == 422
    assert await here.records(topics.CONSENTS) == []
