"""Errors as problems: every one says what is wrong and what to do, and none quotes what was sent."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from httpx import ASGITransport, AsyncClient

from schemas.errors import Poison, Transient
from streams.api.boundary import Boundary
from streams.api.problems import ADVICE, MEDIA_TYPE, Problem, add_to, unavailable

SECRET = "anna-77"


def application() -> FastAPI:
    async def error_page(_: Request, problem: Problem) -> Response:
        return HTMLResponse(f"<p>{problem.detail}</p>", problem.status)

    app = FastAPI(docs_url=None, redoc_url=None)
    add_to(app, error_page)
    app.add_middleware(Boundary)
    errors = {
        "problem": Problem(409, "Already there", "Send another id.", "/api/v1/problems/known"),
        "away": unavailable("Kafka"),
        "transient": Transient("KAFKA_BOOTSTRAP: its brokers do not serve this request now"),
        "poison": Poison("event:refused", "the user must be shorter"),
        "defect": ValueError(SECRET),
    }

    @app.get("/api/{name}")
    @app.get("/people/{name}")
    async def fail(name: str, limit: int = 1) -> int:
        if name in errors:
            raise errors[name]
        return limit

    return app


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    async with AsyncClient(transport=ASGITransport(application()), base_url="http://here") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/api/problem", 409, "Send another id."),
        ("/api/away", 503, ADVICE[503]),
        ("/api/transient", 503, "KAFKA_BOOTSTRAP: its brokers do not serve this request now. Try again later."),
        ("/api/poison", 422, "the user must be shorter"),
        ("/api/defect", 500, ADVICE[500]),
        ("/nowhere", 404, ADVICE[404]),
        (f"/api/x?limit={SECRET}", 422, ADVICE[422]),
    ],
)
async def test_every_error_is_a_problem_that_says_what_to_do(
    client: AsyncClient, path: str, status: int, says: str
) -> None:
    answer = await client.get(path)
    body = answer.json()
    assert answer.headers["content-type"] == MEDIA_TYPE
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.status_code, body["status"], body["detail"]) == (status, status, says)
    assert body["title"]
    assert SECRET not in answer.text


async def test_a_wrong_field_is_named_without_its_value(client: AsyncClient) -> None:
    (error,) = (await client.get(f"/api/x?limit={SECRET}")).json()["errors"]
    assert error["where"] == "query.limit"
    assert "integer" in error["what"]


async def test_a_wrong_method_says_which_are_taken(client: AsyncClient) -> None:
    answer = await client.delete("/api/x")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert "Allow" in answer.json()["detail"]


async def test_what_may_pass_says_when_to_come_again(client: AsyncClient) -> None:
    assert int((await client.get("/api/away")).headers["retry-after"]) > 0


async def test_a_person_gets_a_page_and_a_program_a_problem(client: AsyncClient) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml"}
    page = await client.get("/people/problem", headers=browser)
    assert (page.status_code, page.headers["content-type"]) == (409, "text/html; charset=utf-8")
    assert "Send another id." in page.text
    for path, headers in (("/people/problem", {"Accept": "*/*"}), ("/api/problem", browser)):
        assert (await client.get(path, headers=headers)).headers["content-type"] == MEDIA_TYPE


async def test_a_defect_in_a_page_is_a_page_too(client: AsyncClient) -> None:
    page = await client.get("/people/defect", headers={"Accept": "text/html"})
    assert (page.status_code, SECRET in page.text) == (500, False)
    assert "defect of Undertone" in page.text
