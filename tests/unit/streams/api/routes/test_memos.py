"""Memos over HTTP: from the upload to the score, step by step."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile
from httpx import Response

from schemas import topics
from schemas.codec import Codec
from schemas.events import Band, MemoUploaded
from streams.api.routes.memos import Stored, stored_state
from streams.history.person import ScoreRow
from tests.dashboards import Dashboard, dashboard, recent
from tests.unit.schemas.records import FEATURES, SCORED
from tests.unit.streams.access.protected import MemoryTrail

AT = "2026-03-01T10:30:00Z"
CODEC = Codec()
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def recording() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(3200), 16000, format="WAV")
    return file.getvalue()


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Dashboard]:
    async with dashboard(tmp_path) as made:
        yield made


async def upload(here: Dashboard, user: str = "north-1") -> Response:
    params = {"user_id": user, "recorded_at": AT}
    headers = {"Content-Type": "audio/wav"}
    return await here.client.post("/api/v1/memos", params=params, content=recording(), headers=headers)


async def write(here: Dashboard, topic: topics.Topic, memo: MemoUploaded) -> None:
    record = replace(FEATURES if topic is topics.FEATURES else SCORED, user_id=memo.user_id, memo_id=memo.memo_id)
    await here.services.producer.send_and_wait(topic.name, CODEC.encode(record), memo.user_id.encode())


async def test_a_memo_is_on_kafka_when_it_is_accepted_and_followed_to_its_score(here: Dashboard) -> None:
    answer = await upload(here)
    assert (answer.status_code, answer.json()["repeated"]) == (202, False)
    (memo,) = await here.records(topics.UPLOADED)
    place = answer.headers["location"]
    assert (place, answer.json()["memo_id"]) == (f"/api/v1/memos/{memo.memo_id}", memo.memo_id)
    assert (await here.client.get(place)).json()["state"] == "accepted"

    seen = list[tuple[str, list[str]]]()

    async def follow() -> None:
        async with here.client.stream("GET", f"{place}/events") as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: {"):
                    state = json.loads(line.removeprefix("data: "))
                    seen.append((state["state"], [step["step"] for step in state["steps"]]))

    following = asyncio.create_task(follow())
    await write(here, topics.FEATURES, memo)
    progress = here.services.uploads.progress.get(memo.memo_id)
    while progress is None or not progress.features:
        await asyncio.sleep(0.01)
    await write(here, topics.SCORED, memo)
    await asyncio.wait_for(following, 20)
    assert seen[-1] == ("scored", ["accepted", f"features:{FEATURES.modality}", "scored"])

    state = (await here.client.get(place)).json()
    assert state["score"]["probability"] == pytest.approx(SCORED.probability)
    assert {marker["name"] for marker in state["markers"]} <= set(FEATURES.names)
    assert (await upload(here)).json()["repeated"] is True


async def test_every_look_at_a_memo_is_recorded_and_one_that_is_not_there_is_not_found(here: Dashboard) -> None:
    place = (await upload(here)).headers["location"]
    await here.client.get(place)
    answer = await here.client.get("/api/v1/memos/none")
    assert (answer.status_code, "`user_id`" in answer.json()["detail"]) == (404, True)
    looks = [(look.action.value, look.resource, look.user_ids) for look in await here.records(topics.AUDIT)]
    assert looks == [("uploaded", "memo", ("north-1",)), ("viewed", "memo", ("north-1",))]


async def test_an_upload_that_cannot_be_recorded_is_not_taken(here: Dashboard) -> None:
    here.app.state.access.trail = MemoryTrail(refuses=True)
    assert (await upload(here)).status_code == 503
    assert await here.records(topics.UPLOADED) == []


async def test_any_process_knows_the_score_of_a_memo(here: Dashboard) -> None:
    """A process that did not accept the memo answers from the history, for the person whose memo it is."""
    memo = (await upload(here)).json()["memo_id"]
    progress = here.services.uploads.progress
    known = progress.get(memo)
    assert known is not None
    progress.forget(known)
    place, of_anna = f"/api/v1/memos/{memo}", {"user_id": "north-1"}
    answer = await here.client.get(place, params=of_anna)
    assert (answer.status_code, "no score of it" in answer.json()["detail"]) == (404, True)

    await here.store(recent(replace(SCORED, user_id="north-1", memo_id=memo)))
    state = (await here.client.get(place, params=of_anna)).json()
    assert (state["state"], [step["step"] for step in state["steps"]]) == ("scored", ["accepted", "scored"])
    assert (state["user_id"], state["score"]["bundle_id"]) == ("north-1", SCORED.bundle_id)
    followed = (await here.client.get(f"{place}/events", params=of_anna)).text
    assert followed.count("event: memo") == 1
    for user_id in ("south-1", "north-\0"):
        assert (await here.client.get(place, params={"user_id": user_id})).status_code == 404
    looks = [(look.action.value, look.user_ids) for look in await here.records(topics.AUDIT)]
    assert looks == [("uploaded", ("north-1",)), ("viewed", ("north-1",)), ("viewed", ("north-1",))]


def test_who_may_only_upload_sees_of_a_stored_memo_that_it_is_scored() -> None:
    row = ScoreRow("s", "m", NOW, NOW, NOW, 0.5, Band.LOW, (), (), (), "bundle")
    shown, hidden = (stored_state(Stored("north-1", row), scores=scores) for scores in (True, False))
    assert (hidden.state, hidden.score) == ("scored", None)
    assert shown.score is not None
