"""The form of a trial, and what it says of a memo that it does not take."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, cast

import pytest
from fastapi import Request
from httpx import ASGITransport, AsyncClient

from schemas.events import Modality
from schemas.settings import Settings
from streams.api.uploads.progress import Progress
from streams.api.uploads.receive import Uploads
from streams.web.application import make_application
from streams.web.languages import languages
from streams.web.pages import render
from streams.web.trial.outcome import MarkerRow, outcome
from streams.web.trial.page import Followed
from streams.web.trial.steps import steps
from tests.unit.schemas.records import SCORED, UPLOADED
from tests.unit.streams.web.serving import services

BROWSER = {"Accept": "text/html"}
ENGLISH = languages()["en"]


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


def test_an_outcome_is_shown_whole_and_a_pseudonym_as_text() -> None:
    scored = Progress(replace(UPLOADED, user_id="a/b <b>"), began_s=0.0, score=SCORED)
    memo = Followed(
        memo_id=SCORED.memo_id,
        steps=steps(scored, [Modality.ACOUSTIC], ENGLISH),
        letter=None,
        advice="",
        user_id=scored.memo.user_id,
        recorded_at=scored.memo.recorded_at,
        outcome=outcome(SCORED, ENGLISH),
        demonstration=True,
        markers=(MarkerRow("pause share", "0.41", fragile=True),),
        plotted=True,
    )
    asked = Request({"type": "http", "method": "GET", "path": "/try/memos", "query_string": b"", "headers": []})
    text = render(asked, "try_memos.html", memos=[memo], finished=True, query="?id=1", hidden=False)
    assert 'href="/people/a/b%20%3Cb%3E"' in text
    assert "a/b &lt;b&gt;" in text
    assert f"/try/plots/{SCORED.memo_id}.png" in text
    assert "demonstration model" in text
    assert 'data-finished="yes"' in text
