"""Live events over HTTP: each once, in order, again after a cut, and only what a viewer may see."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from httpx import AsyncClient

from tests.dashboards import Dashboard, dashboard, over_http, people, recent
from tests.history import score


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Dashboard]:
    async with dashboard(tmp_path) as made:
        yield made


class Following:
    """One client of live events. last: id of the last event it has, `0` for none."""

    def __init__(self, client: AsyncClient, last: str | None = "0", **params: str) -> None:
        self._client, self._params = client, params
        self.events, self.last = list[Any](), last
        self.opened = asyncio.Event()

    async def until(self, events: int) -> None:
        """Read until there are so many in all, then cut the connection."""
        headers = {} if self.last is None else {"Last-Event-ID": self.last}
        async with self._client.stream("GET", "/api/v1/events", params=self._params, headers=headers) as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            async for line in stream.aiter_lines():
                name, _, value = line.partition(": ")
                if name == "id":
                    self.last = value
                    self.opened.set()
                elif name == "data":
                    self.events.append(json.loads(value))
                    if len(self.events) >= events:
                        return

    @property
    def ids(self) -> list[str]:
        return [event["id"] for event in self.events]


async def test_a_position_that_is_none_and_topics_that_are_unknown_are_refused(here: Dashboard) -> None:
    for headers in ({"Last-Event-ID": "x"}, {"Last-Event-ID": "0.z9"}):
        assert (await here.client.get("/api/v1/events", headers=headers)).status_code == 400
    answer = await here.client.get("/api/v1/events", params={"topics": "memos.uploaded"})
    assert (answer.status_code, answer.json()["errors"][0]["where"]) == (422, "query.topics")


async def test_no_event_is_lost_or_doubled_however_often_a_client_is_cut_off(here: Dashboard) -> None:
    async with over_http(here) as client:
        steady, cut = Following(client), Following(client)
        reading = asyncio.create_task(steady.until(60))
        for day in range(60):
            await here.store(recent(score("north-1", day)))
            if day % 7 == 0:
                await asyncio.wait_for(cut.until(len(cut.events) + 5 if day > 7 else 1), 30)
        await asyncio.wait_for(asyncio.gather(reading, cut.until(60)), 30)
        assert steady.ids == cut.ids == [recent(score("north-1", day)).score_id for day in range(60)]


async def test_a_client_gets_what_it_asks_for_from_now_on(here: Dashboard) -> None:
    await here.store(*people("north-1", "south-1"))
    async with over_http(here) as client:
        mine = Following(client, None, user_id="south-1", topics="risk.scored,risk.alerts")
        reading = asyncio.create_task(mine.until(1))
        await asyncio.wait_for(mine.opened.wait(), 30)
        await here.store(recent(score("north-1", 10.0)))
        await here.store(recent(score("south-1", 10.0)))
        await asyncio.wait_for(reading, 30)
    (event,) = mine.events
    assert (event["topic"], event["user_id"], event["cohort"]) == ("risk.scored", "south-1", "south")


async def test_numbers_of_another_history_ask_for_the_page_again(here: Dashboard) -> None:
    async with (
        over_http(here) as client,
        client.stream("GET", "/api/v1/events", headers={"Last-Event-ID": "7.s0-900"}) as stream,
    ):
        async for line in stream.aiter_lines():
            if line.startswith("event: "):
                assert line == "event: reset"
                break


async def test_a_shutdown_ends_the_stream(here: Dashboard) -> None:
    async with over_http(here) as client:
        mine = Following(client)
        reading = asyncio.create_task(mine.until(1))
        await asyncio.wait_for(mine.opened.wait(), 30)
        here.services.closing.set()
        await asyncio.wait_for(reading, 30)
    assert mine.events == []
