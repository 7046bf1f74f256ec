"""The application as a whole: what every route shares."""

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from schemas.settings import Settings
from streams.api import openapi_document
from streams.api.application import MULTIPART_BYTES, UPLOAD, make_application
from streams.api.problems import MEDIA_TYPE
from streams.api.request_limits import BODY_BYTES
from tests.unit.streams.web.serving import services

AUDIO_BYTES = 200_000


def client() -> AsyncClient:
    app = make_application(services(Settings(audio_max_bytes=AUDIO_BYTES)))
    return AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1")


async def test_the_document_is_served_and_no_page_that_loads_foreign_scripts() -> None:
    async with client() as asking:
        assert (await asking.get("/api/v1/openapi.json")).json()["info"]["title"] == "Undertone"
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert (await asking.get(path)).headers["content-type"] == MEDIA_TYPE


async def test_the_document_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[FastAPI]()

    def document(app: FastAPI) -> dict[str, object]:
        made.append(app)
        return {}

    monkeypatch.setattr(openapi_document, "document", document)
    async with client() as asking:
        for _ in range(3):
            assert (await asking.get("/api/v1/openapi.json")).json() == {}
    assert len(made) == 1


@pytest.mark.parametrize(("path", "most"), [("/anything", BODY_BYTES), (UPLOAD, AUDIO_BYTES + MULTIPART_BYTES)])
async def test_only_an_upload_may_be_as_large_as_audio(path: str, most: int) -> None:
    async with client() as asking:
        answer = await asking.post(path, content=b"a" * (most + 1))
    assert (answer.status_code, answer.headers["content-type"]) == (413, MEDIA_TYPE)
    assert f"{most:,} bytes" in answer.json()["detail"]


async def test_a_load_balancer_finds_the_process_by_any_address() -> None:
    async with client() as asking:
        answer = await asking.get("/healthz", headers={"Host": "10.0.0.7:8090"})
    assert (answer.status_code, answer.text) == (200, "ok")
