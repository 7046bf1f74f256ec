"""What reaches a route, and what of its answer leaves."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.types import Message

from schemas.errors import Transient
from schemas.event_enums import AuditAction
from streams.access.access import Access
from streams.access.audit import record_look
from streams.access.guard import Guard, protect
from streams.access.permissions import ROUTES, Permission
from streams.access.rate_limits import Rate, RateLimit
from streams.access.viewer import StaffRole, Viewer
from tests.unit.streams.access.protected import PUBLIC_URL, Protected, address, protected


@pytest.fixture
def local() -> Protected:
    return protected()


@pytest.fixture
def public() -> Protected:
    return protected(
        oidc_issuer="https://127.0.0.1:1",
        oidc_client_id="undertone",
        dashboard_url=PUBLIC_URL,
        dashboard_host="0.0.0.0",
    )


async def test_local_mode_shows_everything_and_records_it(local: Protected) -> None:
    async with local.client() as client:
        answer = await client.get("/people/north-1", headers={"Undertone-Reason": "morning round"})
    assert answer.text == "a person's data"
    (event,) = local.trail.events
    assert (event.actor, event.role, event.user_ids, event.reason) == ("local", "local", ("north-1",), "morning round")


async def test_a_look_that_kafka_does_not_take_shows_nothing(local: Protected) -> None:
    local.trail.refuses = True
    async with local.client() as client:
        answer = await client.get("/people/north-1")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "a person's data" not in answer.text


@pytest.mark.parametrize(("method", "path"), [pair for pair, row in ROUTES.items() if row.audited])
async def test_an_answer_that_was_not_recorded_is_withheld(local: Protected, method: str, path: str) -> None:
    path = address(path)
    async with local.client() as client:
        answer = await client.request(method, f"{path}?forgets=1")
        assert answer.status_code == 500
        assert "a person's data" not in answer.text
        assert local.trail.events == []
        assert (await client.request(method, path)).status_code == 200
    assert len(local.trail.events) == 1


async def test_an_answer_that_was_recorded_as_something_else_is_withheld(local: Protected) -> None:
    async with local.client() as client:
        answer = await client.get("/people/north-1?mistakes=1")
    assert answer.status_code == 500
    assert "a person's data" not in answer.text


async def test_one_request_is_one_look(local: Protected) -> None:
    async with local.client() as client:
        with pytest.raises(RuntimeError, match="one look"):
            await client.get("/people/north-1?twice=1")


@pytest.mark.parametrize("url", ["http://evil.example:8090", "http://127.0.0.1.evil.example:8090"])
async def test_a_name_that_an_attacker_resolves_to_this_machine_is_refused(local: Protected, url: str) -> None:
    async with local.client(url) as client:
        answer = await client.get("/people/north-1")
    assert answer.status_code == 421
    assert local.trail.events == []


async def test_a_probe_may_use_any_host(public: Protected) -> None:
    async with public.client("http://10.0.0.7:8090") as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/system")).status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"X-Forwarded-For": "10.0.0.1"},
        {"X-Forwarded-Host": "evil.example"},
        {"Forwarded": "for=10.0.0.1;host=evil.example"},
    ],
)
async def test_what_another_site_or_a_proxy_sends_to_local_mode_is_refused(
    local: Protected, headers: dict[str, str]
) -> None:
    async with local.client(headers=headers) as client:
        answer = await client.post("/signout")
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path", [b"/people/..%2fsystem", b"/people/%0d%0aX-A:1", b"/people//north-1", b"//evil.example"]
)
async def test_a_path_that_tries_to_leave_its_place_is_refused(local: Protected, path: bytes) -> None:
    url = httpx.URL("http://127.0.0.1:8090").copy_with(raw_path=path)
    async with local.client() as client:
        answer = await client.send(httpx.Request("GET", url))
    assert answer.status_code == 400
    assert local.trail.events == []


async def test_what_the_table_does_not_list_is_not_there(local: Protected) -> None:
    async def secret() -> None: ...

    local.application.add_api_route("/secret", secret)
    async with local.client() as client:
        assert (await client.get("/secret")).status_code == 404
        answer = await client.delete("/people/north-1")
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_a_sign_in_only_public_routes_answer(public: Protected, method: str, path: str) -> None:
    async with public.client(PUBLIC_URL) as client:
        answer = await client.request(method, address(path))
    if ROUTES[method, path].permission is Permission.PUBLIC:
        assert answer.status_code != 401
    else:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.headers["content-type"] == "application/problem+json"
    assert public.trail.events == []


async def test_a_public_route_needs_no_database(public: Protected, monkeypatch: pytest.MonkeyPatch) -> None:
    async def absent(*_: object) -> None:
        raise Transient("the database does not answer")

    monkeypatch.setattr(public.access.staff.database, "read", absent)  # type: ignore[union-attr]
    async with public.client(PUBLIC_URL, cookies={public.access.session_cookie: "x"}) as client:
        answers = [(await client.get(path)).status_code for path in ("/static/style.css", "/healthz", "/system")]
    assert answers == [200, 200, 503]


async def test_a_browser_is_sent_to_sign_in_and_comes_back_to_its_page(public: Protected) -> None:
    async with public.client(PUBLIC_URL, headers={"Accept": "text/html"}) as client:
        answer = await client.get("/people/north-1?days=30")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/signin?next=/people/north-1%3Fdays%3D30"


@pytest.mark.parametrize(("authorization", "status"), [("Basic YTpi", 401), ("x", 401), ("Bearer a.b.c", 503)])
async def test_only_what_may_be_an_access_token_needs_the_provider(
    public: Protected, authorization: str, status: int
) -> None:
    async with public.client(PUBLIC_URL, headers={"Authorization": authorization}) as client:
        answer = await client.get("/people/north-1")
    assert answer.status_code == status, "no provider answers here"


async def test_every_answer_has_the_security_headers(local: Protected) -> None:
    async with local.client() as client:
        for path in ("/", "/people/north-1", "/healthz", "/unlisted", "/static/x"):
            headers = (await client.get(path)).headers
            assert "script-src 'self';" in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers.get("cache-control") == (None if path.startswith("/static") else "no-store")


async def test_too_many_requests_wait(local: Protected) -> None:
    local.access.addresses = RateLimit(Rate(per_s=0.1, burst=2.0))
    async with local.client() as client:
        answers = [await client.get("/system") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) in {9, 10}


async def test_web_sockets_are_closed(local: Protected) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nothing is read")

    await Guard(local.application, local.access)({"type": "websocket", "path": "/"}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_live_events_end_in_time_to_check_again_who_follows_them(
    public: Protected, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def follow(request: Request) -> StreamingResponse:
        await record_look(request, AuditAction.LISTED, "events")

        async def events() -> AsyncIterator[bytes]:
            yield b"event"
            await asyncio.Event().wait()

        return StreamingResponse(events())

    async def ann(request: Request) -> Viewer:
        return Viewer("ann", frozenset({StaffRole.CLINICIAN}))

    application = FastAPI()
    application.add_api_route("/api/v1/events", follow)
    protect(application, public.access)
    monkeypatch.setattr(Access, "viewer_of", lambda access, request: ann(request))
    monkeypatch.setattr("streams.access.guard.CHECKED_AGAIN_S", 0.05)
    transport = httpx.ASGITransport(application)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
        answer = await client.get("/api/v1/events")
    assert (answer.status_code, answer.content) == (200, b"event")
