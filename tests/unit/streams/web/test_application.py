"""API and pages in one application: static files, errors as pages or problems."""

from collections.abc import AsyncIterator

import pytest
from httpx import ASGITransport, AsyncClient
from starlette.exceptions import HTTPException

from schemas.settings import Settings
from streams.access import permissions
from streams.access.permissions import A_FORM, ROUTES, Permission, Route
from streams.web.application import make_application
from streams.web.assets import assets
from tests.unit.streams.web.serving import services

BROWSER = {"Accept": "text/html"}


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncClient]:
    monkeypatch.setattr(permissions, "ROUTES", {**ROUTES, ("GET", "/broken"): Route(Permission.PUBLIC, A_FORM)})
    permissions.rows_of.cache_clear()
    app = make_application(services(Settings()))

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("secret")

    @app.get("/gone")
    async def gone() -> None:
        raise HTTPException(404)

    async with AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1") as opened:
        yield opened
    permissions.rows_of.cache_clear()


async def test_static_files_are_served_with_their_type(client: AsyncClient) -> None:
    answer = await client.get(assets().address("style.css"))
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (200, "text/css")
    assert "immutable" in answer.headers["cache-control"]
    assert (await client.get("/static/x/../application.py")).status_code == 404


@pytest.mark.parametrize(("language", "words"), [("en", "Nothing is here"), ("de", "Hier ist nichts")])
async def test_a_person_gets_an_error_as_a_page_in_their_language(
    client: AsyncClient, language: str, words: str
) -> None:
    answer = await client.get("/gone", headers=BROWSER | {"Accept-Language": language})
    assert (answer.status_code, answer.headers["content-type"].split(";")[0]) == (404, "text/html")
    assert words in answer.text


async def test_a_program_gets_the_same_error_as_a_problem(client: AsyncClient) -> None:
    answer = await client.get("/gone")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_defect_is_a_page_that_says_nothing_of_its_cause(
    client: AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await client.get("/broken", headers=BROWSER)
    assert answer.status_code == 500
    assert "Something went wrong" in answer.text
    assert "secret" not in answer.text
    assert "request failed" in caplog.text
