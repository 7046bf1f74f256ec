"""The page after sign-out, for somebody without a session."""

import pytest
from httpx import ASGITransport, AsyncClient

from schemas.settings import Settings
from streams.access.sign_in import SIGNED_OUT
from streams.web.application import make_application
from tests.unit.streams.web.serving import services


@pytest.mark.parametrize(("language", "words"), [("en", "You are signed out"), ("de", "Sie sind abgemeldet")])
async def test_the_page_is_in_the_frame_and_leads_to_sign_in(language: str, words: str) -> None:
    settings = Settings(
        oidc_issuer="https://id.example", oidc_client_id="undertone", dashboard_url="https://undertone.example"
    )
    transport = ASGITransport(make_application(services(settings)))
    async with AsyncClient(transport=transport, base_url="https://undertone.example") as browser:
        answer = await browser.get(SIGNED_OUT, headers={"Accept-Language": language})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert f'<html lang="{language}">' in answer.text
    assert f"<h1>{words}</h1>" in answer.text
    assert 'class="compass"' in answer.text
    assert 'href="/signin"' in answer.text
    assert 'action="/signout"' not in answer.text
