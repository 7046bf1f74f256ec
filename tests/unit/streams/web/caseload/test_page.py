"""The caseload as the application serves it: what is shown to whom, and that each look is one audit event."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from httpx import AsyncClient

from schemas import topics
from schemas.event_enums import AuditAction
from streams.access.roles import StaffRole
from streams.access.viewer import Channel, Viewer
from streams.history.writes.batch import Kept
from streams.web.caseload import page
from streams.web.episode import page as episode
from streams.web.person import page as person
from tests.dashboards import Dashboard, dashboard, recent
from tests.history import alert, score
from tests.unit.streams.web.stored import pages

USERS = 60


@pytest.fixture(scope="module")
async def board(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dashboard]:
    """Sixty people as usual, one with an episode, one whose pseudonym is HTML."""
    async with dashboard(tmp_path_factory.mktemp("caseload")) as opened:
        now = datetime.now(UTC) - timedelta(hours=1)
        names = [*(f"north-{number:02}" for number in range(USERS)), "<b>bold</b>"]
        await opened.store(*(replace(recent(score(name, 0.0), now), memo_id=name) for name in names))
        await opened.store(recent(alert("north-07", 0.0)))
        yield opened


@pytest.fixture
def client(board: Dashboard) -> AsyncClient:
    return board.client


async def looks(board: Dashboard) -> list[tuple[AuditAction, str, tuple[str, ...]]]:
    return [(event.action, event.resource, event.user_ids) for event in await board.records(topics.AUDIT)]


async def test_who_needs_a_look_comes_first_and_the_look_is_one_event(board: Dashboard) -> None:
    before = len(await looks(board))
    text = (await board.client.get("/")).text
    keys = [part.split('"')[0] for part in text.split('data-person="')[1:]]
    assert len(keys) == page.ROWS
    assert keys[0] == "north-07"
    assert "Speaks with longer pauses" in text
    assert 'href="/episodes/episode%20north-07"' in text
    events = (await looks(board))[before:]
    assert [(action, resource) for action, resource, _ in events] == [(AuditAction.LISTED, "caseload")]
    assert list(events[0][2]) == [name.replace("&lt;b&gt;bold&lt;/b&gt;", "<b>bold</b>") for name in keys]


async def test_the_next_page_shows_the_others_and_nobody_twice(client: AsyncClient) -> None:
    first = (await client.get("/")).text
    address = first.split('rel="next"')[0].rsplit('href="', 1)[1].split('"')[0].replace("&amp;", "&")
    second = (await client.get(address)).text
    shown = [{part.split('"')[0] for part in text.split('data-person="')[1:]} for text in (first, second)]
    assert len(shown[0]) + len(shown[1]) == USERS + 1
    assert not shown[0] & shown[1]
    assert 'rel="first"' in second


async def test_a_place_that_no_list_has_is_a_page_with_advice(client: AsyncClient) -> None:
    answer = await client.get("/?after=nonsense", headers={"Accept": "text/html"})
    assert answer.status_code == 400
    assert "from its start" in answer.text


@pytest.mark.parametrize(
    ("query", "people"),
    [("q=NORTH-0", 10), ("state=warning", 1), ("cohort=north&state=warning", 1), ("cohort=nowhere", 0), ("q=%3Cb", 1)],
)
async def test_search_and_filters_are_in_the_address(client: AsyncClient, query: str, people: int) -> None:
    text = (await client.get(f"/?{query}")).text
    assert text.count("data-person=") == people
    assert ("No one fits this filter" in text) == (people == 0)


async def test_a_pseudonym_is_text(client: AsyncClient) -> None:
    text = (await client.get("/?q=%3Cb")).text
    assert "&lt;b&gt;bold&lt;/b&gt;" in text
    assert "<b>bold" not in text


async def test_the_counts_name_everybody(client: AsyncClient) -> None:
    assert f"{USERS + 1} people followed · 1 open episode · 0 silent" in (await client.get("/")).text
    german = (await client.get("/", headers={"Accept-Language": "de"})).text
    assert f"{USERS + 1} Personen begleitet · 1 offene Episode" in german


async def test_german_sentences_are_made_from_the_evidence(client: AsyncClient) -> None:
    text = (await client.get("/?state=warning", headers={"Accept-Language": "de"})).text
    assert "Die Werte haben sich seit 4 Tagen" in text
    assert "speaks" not in text


async def test_the_fragment_is_the_same_list_without_the_page(board: Dashboard) -> None:
    before = len(await looks(board))
    fragment = (await board.client.get("/caseload/rows?state=warning")).text
    assert "<html" not in fragment
    assert fragment.count("data-person=") == 1
    assert 'id="counts"' in fragment
    assert len(await looks(board)) == before + 1


async def test_the_page_follows_from_the_moment_it_was_read(client: AsyncClient) -> None:
    text = (await client.get("/")).text
    assert 'data-events="/api/v1/events?after=' in text


async def test_nobody_followed_says_what_to_do(tmp_path: object, client: AsyncClient) -> None:
    async with dashboard(tmp_path) as empty:  # type: ignore[arg-type]
        text = (await empty.client.get("/")).text
    assert "No one is followed yet" in text
    assert 'href="/try"' in text


async def test_an_operator_sees_states_and_no_score(
    board: Dashboard, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator = Viewer("op", frozenset({StaffRole.OPERATOR}), None, Channel.BEARER)
    await as_viewer(board, monkeypatch, operator)
    text = (await client.get("/?state=warning")).text
    assert text.count("data-person=") == 1
    for hidden in ("Speaks with", "spark", "/people/", "/episodes/", "names-service"):
        assert hidden not in text.split("<main")[1].replace("spark.html", ""), hidden


async def test_a_clinician_sees_their_own_cohorts_only(
    board: Dashboard, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await as_viewer(board, monkeypatch, Viewer("dr-s", frozenset({StaffRole.CLINICIAN}), ("south",), Channel.BEARER))
    for query in ("", "?cohort=north", "?q=north", "?state=warning"):
        text = (await client.get(f"/{query}")).text
        assert "north-" not in text, query


async def as_viewer(board: Dashboard, monkeypatch: pytest.MonkeyPatch, asking: Viewer) -> None:
    """Requests come from this person."""

    async def viewer_of(*_: object) -> Viewer:
        return asking

    monkeypatch.setattr(type(board.app.state.access), "viewer_of", viewer_of)


HINT = "Type the whole pseudonym, exactly"
NAMES = re.compile('[0-9a-f]{32}|after=[^&"]*|datetime="[^"]*">[^<]*|<script type="application/json".*')
"""What differs between two views of one page: ids of forms, positions, times, and charts, which end now."""


async def test_pages_of_sealed_rows_are_those_of_rows_in_clear(tmp_path: Path) -> None:
    records: list[Kept] = [
        *(score("north-7", day, 0.8) for day in (3.0, 2.0, 1.0)),
        score("south-1", 1.0),
        alert("north-7", 1.0),
    ]
    routers = (page.router, person.router, episode.router)
    addresses = ("/?q=north-7", "/people/north-7?days=all", "/people/north", "/episodes/episode%20north-7")
    seen = {}
    for seal in ("off", "on"):
        async with pages(tmp_path / seal, records, *routers, seal=seal) as found:
            first = await found.client.get("/")
            assert [part.split('"')[0] for part in first.text.split('data-person="')[1:]] == ["north-7", "south-1"]
            assert (HINT in first.text) == (seal == "on")
            part = await found.client.get("/?q=north-")
            assert ('data-person="north-7"' in part.text) == (seal == "off")
            answers = [await found.client.get(address) for address in addresses]
            assert [answer.status_code for answer in answers] == [200, 200, 404, 200]
            assert 'data-person="north-7"' in answers[0].text
            seen[seal] = [NAMES.sub("", answer.text) for answer in answers[1:]]
    assert seen["off"] == seen["on"]
