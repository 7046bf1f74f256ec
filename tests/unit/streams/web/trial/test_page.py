"""The form of a trial, and what it says of a memo that it does not take."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from httpx import ASGITransport, AsyncClient

from schemas.settings import Settings
from streams.api.uploads.receive import Uploads
from streams.web.application import make_application
from tests.unit.streams.web.serving import services

BROWSER = {"Accept": "text/html"}


@pytest.fixture
async def client() -> AsyncIterator[AsyncClient]:
    without_store = services(Settings())
    without_store.uploads = Uploads(None, *cast("tuple[Any, Any]", (None, None)), most_bytes=1)
    app = make_application(without_store)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1", headers=BROWSER) as opened:
        yield opened


async def test_the_form_says_that_the_model_is_a_demonstration_and_asks_for_the_microphone(client: AsyncClient) -> None:
    answer = await client.get("/try")
    assert answer.status_code == 200
    assert "Demonstration model." in answer.text
    assert "microphone=(self)" in answer.headers["permissions-policy"]
    assert "Vorführmodell." in (await client.get("/try", headers={"Accept-Language": "de"})).text


async def test_a_memo_without_a_store_says_what_an_operator_has_to_set(client: AsyncClient) -> None:
    answer = await client.post("/try", data={"user_id": "anna"}, files={"audio": ("memo.wav", b"RIFF")})
    assert answer.status_code == 503
    assert "UNDERTONE_UPLOAD_STORE" in answer.text


@pytest.mark.parametrize("path", ["/try/memos", "/try/progress", "/try/memos?" + "&".join(["id=a"] * 11)])
async def test_an_address_without_memos_or_with_too_many_is_refused(client: AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 422
