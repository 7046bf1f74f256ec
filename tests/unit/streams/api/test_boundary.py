"""The outermost layer: what it counts, and what it does with an error after the answer began."""

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from httpx import ASGITransport, AsyncClient
from prometheus_client import Counter

from streams.api.boundary import UNMATCHED, Boundary
from workers.service.prometheus import HTTP_REQUESTS


def application() -> FastAPI:
    app = FastAPI()
    app.add_middleware(Boundary)

    @app.get("/people/{user_id}")
    async def person(user_id: str) -> str:
        return user_id

    @app.get("/half")
    async def half() -> StreamingResponse:
        async def body() -> Any:
            yield b"one"
            raise ValueError("two")

        return StreamingResponse(body())

    return app


def counted(counter: Counter, **labels: str) -> float:
    return float(counter.labels(**labels)._value.get())


def client() -> AsyncClient:
    return AsyncClient(transport=ASGITransport(application()), base_url="http://here")


@pytest.mark.parametrize(
    ("path", "labels"),
    [
        ("/people/anna", {"route": "/people/{user_id}", "method": "GET", "status": "200"}),
        ("/nobody/anna", {"route": UNMATCHED, "method": UNMATCHED, "status": "404"}),
    ],
)
async def test_a_request_is_counted_by_its_template_and_never_by_its_path(path: str, labels: dict[str, str]) -> None:
    before = counted(HTTP_REQUESTS, **labels)
    async with client() as asking:
        answer = await asking.get(path)
    assert counted(HTTP_REQUESTS, **labels) == before + 1
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_an_error_after_the_answer_began_reaches_the_server_which_cuts_the_connection() -> None:
    async with client() as asking:
        with pytest.raises(ValueError, match="two"):
            await asking.get("/half")
