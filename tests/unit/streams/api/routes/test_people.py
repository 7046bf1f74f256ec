"""People over HTTP: pages, what each role sees, and that every look is recorded before it is answered."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schemas import topics
from schemas.event_enums import AuditAction
from tests.dashboards import Dashboard, dashboard, people

USERS = ("north-1", "north-2", "south-1")


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Dashboard]:
    async with dashboard(tmp_path) as made:
        await made.store(*people(*USERS))
        yield made


async def test_people_come_page_by_page_who_needs_a_look_first(here: Dashboard) -> None:
    found, after = list[str](), None
    while True:
        page = (
            await here.client.get("/api/v1/people", params={"limit": 1, **({"after": after} if after else {})})
        ).json()
        found += [row["user_id"] for row in page["items"]]
        if (after := page["next"]) is None:
            break
    assert (found[0], sorted(found)) == ("north-1", sorted(USERS))
    looks = await here.records(topics.AUDIT)
    assert [(look.action, look.user_ids) for look in looks] == [(AuditAction.LISTED, (user,)) for user in found]


FILTERS: tuple[tuple[dict[str, str], set[str]], ...] = (
    ({"cohort": "south"}, {"south-1"}),
    ({"search": "TH-2"}, {"north-2"}),
    ({"state": "critical"}, set()),
    ({"state": "warning"}, {"north-1"}),
    ({"since": "2999-01-01T00:00:00Z"}, set()),
    ({"search": "\0"}, set(USERS)),
)
WRONG = ({"after": "nonsense"}, {"limit": "0"}, {"limit": "201"}, {"state": "ill"}, {"since": "2026-01-01T00:00:00"})
CURSORS = ("x", "bm90aGluZw==", "MjAyNi0wMS0wMVQwMDowMDowMCBt")


async def test_people_are_filtered_and_what_cannot_be_read_is_refused(here: Dashboard) -> None:
    for params, users in FILTERS:
        page = (await here.client.get("/api/v1/people", params=params)).json()
        assert {row["user_id"] for row in page["items"]} == users, params
    for params in WRONG:
        answer = await here.client.get("/api/v1/people", params=params)
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["where"].split(".")[:2]) == (422, ["query", next(iter(params))])
    for after in CURSORS:
        answer = await here.client.get("/api/v1/people/north-1/scores", params={"after": after})
        assert answer.status_code == 422


async def test_a_person_has_scores_page_by_page_and_episodes(here: Dashboard) -> None:
    person = (await here.client.get("/api/v1/people/north-1")).json()
    assert person["person"]["row"]["episode"]["dedup_key"] == "episode north-1"
    found, after = list[str](), None
    while True:
        params = {"limit": 2, **({"after": after} if after else {})}
        page = (await here.client.get("/api/v1/people/north-1/scores", params=params)).json()
        found += [row["memo_id"] for row in page["items"]]
        if (after := page["next"]) is None:
            break
    assert found == [f"north-1/{day}" for day in reversed(range(5))]
    (episode,) = (await here.client.get("/api/v1/people/north-1/episodes")).json()
    assert [step["state"] for step in episode["steps"]] == ["raised"]


async def test_whoever_is_not_there_is_not_found_and_that_is_recorded(here: Dashboard) -> None:
    for path in ("/api/v1/people/nobody", "/api/v1/people/ x/scores", "/api/v1/episodes/none"):
        answer = await here.client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert {look.action for look in await here.records(topics.AUDIT)} == {AuditAction.REFUSED}
