"""The table of roles and the table of routes, tried on every route of the real application, pages and API."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import httpx
import pytest

from deploy.identity.server import IdentityServer
from streams.access import sessions
from streams.access.permissions import ROUTES, check_routes, routes_of
from streams.access.roles import GRANTS, Permission, StaffRole
from tests.dashboards import Dashboard, dashboard, people
from tests.identity import DASHBOARD, log_in
from tests.unit.streams.access.protected import MemoryTrail

ROLES = {"ann": StaffRole.CLINICIAN, "olaf": StaffRole.OPERATOR, "aud": StaffRole.AUDITOR}
HTML = "north-<img src=x onerror=alert(1)>"
STREAMS = ("/api/v1/events", "/api/v1/memos/{memo_id}/events")
"""Routes whose answers end with the client: tests/unit/streams/api/routes/test_events.py."""
FILLED = {"user_id": "north-1", "dedup_key": "episode north-1"}


@pytest.fixture(scope="module")
async def here(identity: IdentityServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Dashboard]:
    """A dashboard whose staff sign in, with people of two cohorts; its audit events are kept in a list."""
    async with dashboard(tmp_path_factory.mktemp("home"), **identity.settings()) as made:
        await made.store(*people("north-1", "south-1"))
        made.app.state.access.trail = MemoryTrail()
        yield made


def trail(here: Dashboard) -> MemoryTrail:
    found: MemoryTrail = here.app.state.access.trail
    return found


async def signed_in(here: Dashboard, account: str) -> httpx.AsyncClient:
    """The browser of somebody, whose unsafe requests carry the token of its session."""
    browser = httpx.AsyncClient(transport=httpx.ASGITransport(here.app), base_url=DASHBOARD)
    sent = await browser.get("/signin")
    assert (await browser.get(log_in(sent.headers["location"], account))).status_code == 303
    session_id = browser.cookies["undertone-session"]
    browser.headers["X-CSRF-Token"] = sessions.Session(account, frozenset(), ()).viewer(session_id).csrf_token
    return browser


def address(template: str, **values: str) -> str:
    """The path of a route about the person `north-1`; other things that it names do not exist."""
    filled = FILLED | values
    return re.sub(r"{(\w+)[^}]*}", lambda name: quote(filled.get(name[1], "none"), safe=""), template)


def routes(here: Dashboard) -> list[tuple[str, str]]:
    """Of the application, but for sign-in and sign-out."""
    return [pair for pair in routes_of(here.app) if not pair[1].startswith("/sign")]


async def test_every_route_of_the_document_and_every_page_has_its_row(here: Dashboard) -> None:
    check_routes(here.app)
    document = here.app.openapi()["paths"]
    named = {(method.upper(), path) for path, methods in document.items() for method in methods}
    assert len(named) >= 10
    assert named <= set(ROUTES)


@pytest.mark.parametrize("account", ROLES)
async def test_every_role_on_every_route(here: Dashboard, account: str) -> None:
    browser, role = await signed_in(here, account), ROLES[account]
    for method, template in routes(here):
        row, events = ROUTES[method, template], trail(here).events
        if template in STREAMS and role in GRANTS[row.permission]:
            continue
        before = len(events)
        answer = await browser.request(method, address(template))
        told = f"{account} {method} {template}: {answer.status_code}"
        if row.permission is Permission.PUBLIC:
            continue
        if role in GRANTS[row.permission]:
            assert answer.status_code not in {401, 403, 500, 503}, told
            if row.audited and answer.status_code < 400:
                assert [(event.action, event.allowed) for event in events[before:]] == [(row.event, True)], told
        elif template == "/":
            assert (answer.status_code, answer.headers["location"]) == (303, "/system"), told
        else:
            assert answer.status_code == 403, told
            assert [event.allowed for event in events[before:]] == [False], told
            assert "north-1" not in answer.text, told


async def test_without_a_sign_in_no_route_shows_anything(here: Dashboard) -> None:
    before = len(trail(here).events)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(here.app), base_url=DASHBOARD) as nobody:
        for method, template in routes(here):
            if ROUTES[method, template].permission is not Permission.PUBLIC:
                answer = await nobody.request(method, address(template))
                assert answer.status_code == 401, f"{method} {template}"
    assert len(trail(here).events) == before


async def test_a_clinician_cannot_tell_a_person_of_another_cohort_from_none(here: Dashboard) -> None:
    browser = await signed_in(here, "sue")
    for method, template in routes(here):
        if "{user_id}" in template or "{dedup_key}" in template:
            foreign = await browser.request(method, address(template))
            missing = await browser.request(method, address(template, user_id="nobody", dedup_key="no episode"))
            assert foreign.status_code == missing.status_code, f"{method} {template}"
            assert foreign.status_code in {404, 422}, f"{method} {template}: {foreign.status_code}"
            assert foreign.text == missing.text, f"{method} {template}"


async def test_an_operator_sees_who_is_followed_and_nothing_of_their_scores(here: Dashboard) -> None:
    clinician, operator = await signed_in(here, "ann"), await signed_in(here, "olaf")
    path = "/api/v1/people"
    seen, hidden = (await clinician.get(path)).json()["items"], (await operator.get(path)).json()["items"]
    assert [row["user_id"] for row in seen] == ["north-1"]
    assert {row["user_id"] for row in hidden} == {"north-1", "south-1"}
    assert seen[0]["last_probability"] is not None
    for row in hidden:
        assert (row["last_probability"], row["last_band"], row["spark"]) == (None, None, [])


async def test_html_in_a_pseudonym_or_a_note_is_text(here: Dashboard) -> None:
    await here.store(*people(HTML))
    browser = await signed_in(here, "ann")
    key = f"episode {HTML}"
    note = {"action": "noted", "note": "</textarea><script>alert(2)</script>"}
    written = await browser.post(address("/api/v1/people/{user_id}/actions", user_id=HTML), json=note)
    assert written.status_code < 300, written.text
    for method, template in routes(here):
        if method == "GET" and not template.startswith(("/api/", "/fhir/", "/static/")):
            page = await browser.get(address(template, user_id=HTML, dedup_key=key), headers={"Accept": "text/html"})
            if page.headers.get("content-type", "").startswith("text/html"):
                assert "<img src=x" not in page.text, template
                assert "<script>" not in page.text, template
            if "{" in template and page.is_success and page.headers["content-type"].startswith("text/html"):
                assert "&lt;img src=x onerror=alert(1)&gt;" in page.text, template
