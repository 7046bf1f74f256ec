"""An episode as the application serves it, and what its forms do: once, on the topic, in the history, on the page."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas import topics
from schemas.event_enums import AuditAction, CareActionKind, CareOutcome
from schemas.events import AlertEvidence, AlertState, CareAction
from tests.dashboards import Dashboard, dashboard, recent
from tests.history import alert, score

ADDRESS = "/episodes/episode%20north-1"
EVIDENCE = (AlertEvidence("pause_share", 0.41, 0.22, 2.6, False, 0.82), AlertEvidence("hnr", 14, 16, -1.1, True, -0.02))


@pytest.fixture(scope="module")
async def board(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dashboard]:
    """One person with an open episode."""
    async with dashboard(tmp_path_factory.mktemp("episode")) as opened:
        await opened.store(recent(score("north-1", 0.0)), replace(recent(alert("north-1", 0.0)), evidence=EVIDENCE))
        yield opened


def hidden(page: str, kind: str) -> dict[str, str]:
    """The hidden fields of one form of the page."""
    form = page.split(f'id="{kind}-form"')[1].split("</form>")[0]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))


async def send(board: Dashboard, kind: str, **fields: str) -> Any:
    """Fill in a form of the page and send it."""
    page = (await board.client.get(ADDRESS)).text
    return await board.client.post(f"{ADDRESS}/actions", data=hidden(page, kind) | fields)


async def actions(board: Dashboard) -> list[CareAction]:
    return await board.records(topics.CARE)


async def test_the_page_tells_why_by_deviation_and_contribution(board: Dashboard) -> None:
    text = (await board.client.get(ADDRESS)).text
    for said in ("longer pauses than usual", "+2.6 SD", "raises the score strongly", "+0.82", "uncertain: noise"):
        assert said in text
    german = (await board.client.get(ADDRESS, headers={"Accept-Language": "de"})).text
    for said in ("längere Pausen als sonst", "+2,6 SD", "erhöht den Wert stark", "+0,82"):
        assert said in german


async def test_a_look_and_an_action_are_one_event_each(board: Dashboard) -> None:
    before = len(await board.records(topics.AUDIT))
    await send(board, "noted", note="a look")
    events = (await board.records(topics.AUDIT))[before:]
    assert [(event.action, event.resource, event.user_ids) for event in events] == [
        (AuditAction.VIEWED, "episode", ("north-1",)),
        (AuditAction.ACTED, "episode", ("north-1",)),
    ]


async def test_an_acknowledgement_is_stored_once_however_often_its_form_arrives(board: Dashboard) -> None:
    page = (await board.client.get(ADDRESS)).text
    form = hidden(page, "acknowledged") | {"outcome": "contacted", "note": "<b>called</b>"}
    answers = [await board.client.post(f"{ADDRESS}/actions", data=form) for _ in range(3)]
    assert {answer.status_code for answer in answers} == {303}
    (address,) = {answer.headers["location"] for answer in answers}
    shown = (await board.client.get(address)).text
    assert "Stored." in shown
    assert shown.count("Acknowledged: The person was contacted") == 2  # the confirmation, and what happened since
    assert shown.count("&lt;b&gt;called&lt;/b&gt;") == 1
    assert "<b>called" not in shown
    records = [action for action in await actions(board) if action.action is CareActionKind.ACKNOWLEDGED]
    assert len({record.action_id for record in records}) == 1
    record = records[0]
    assert (record.outcome, record.actor, record.dedup_key) == (CareOutcome.CONTACTED, "local", "episode north-1")


async def test_a_mute_holds_until_its_day_and_can_be_ended(board: Dashboard) -> None:
    day = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    answer = await send(board, "muted", until=day, note="a journey")
    assert "Muted the alerts of this person" in (await board.client.get(answer.headers["location"])).text
    assert 'id="unmuted-form"' in (await board.client.get(ADDRESS)).text
    assert "Alerts muted until" in (await board.client.get("/?q=north-1")).text
    await send(board, "unmuted")
    assert 'id="unmuted-form"' not in (await board.client.get(ADDRESS)).text


async def test_a_hand_over_names_who_has_it_now(board: Dashboard) -> None:
    await send(board, "handed_over", assignee="dr-b@clinic.example")
    assert "With dr-b@clinic.example" in (await board.client.get("/?q=north-1")).text


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("acknowledged", {"note": "kept text"}, "Choose what you found."),
        ("handed_over", {"note": "kept text"}, "Write who takes over."),
        ("muted", {"until": "2020-01-01", "note": "kept text"}, "Choose a day from today on"),
    ],
)
async def test_a_form_with_errors_comes_back_with_what_was_written(
    board: Dashboard, kind: str, fields: dict[str, str], said: str
) -> None:
    before = len(await actions(board))
    answer = await send(board, kind, **fields)
    assert answer.status_code == 422
    assert said in answer.text
    assert "kept text" in answer.text
    assert 'aria-invalid="true"' in answer.text or "field-wrong" in answer.text
    assert len(await actions(board)) == before


async def test_an_episode_that_is_over_says_so(board: Dashboard) -> None:
    raised = recent(alert("north-2", 0.0), datetime.now(UTC) - timedelta(days=5))
    await board.store(raised, recent(alert("north-2", 0.0, AlertState.RESOLVED)))
    text = (await board.client.get("/episodes/episode%20north-2")).text
    assert "badge-none" in text
    assert "older version of Undertone" in text


@pytest.mark.parametrize("address", ["/episodes/unknown", "/episodes/unknown?done=x"])
async def test_an_unknown_episode_is_not_found_and_the_look_is_a_refusal(board: Dashboard, address: str) -> None:
    answer = await board.client.get(address, headers={"Accept": "text/html"})
    assert answer.status_code == 404
    assert (await board.records(topics.AUDIT))[-1].allowed is False


async def test_no_redirect_confirms_what_was_not_stored(board: Dashboard) -> None:
    assert "Stored." not in (await board.client.get(f"{ADDRESS}?done={'0' * 32}")).text
