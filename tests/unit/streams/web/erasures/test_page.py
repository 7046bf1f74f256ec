"""The page of erasures: an auditor asks, follows, takes the certificate and verifies it, in both languages."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from streams.privacy.erasures import ErasureStatus
from streams.web.erasures.page import BADGES, WORDS, router
from tests.erasures import until
from tests.unit.streams.web.stored import Pages, erasure_pages

WHO = "a-rare-pseudonym"
FORM = {"user_id": f" {WHO} ", "reason": "asked in writing", "ticket": "", "sure": "yes"}
HTML = {"accept": "text/html"}


@pytest.fixture
async def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    async with erasure_pages(tmp_path, monkeypatch, router, WHO) as made:
        yield made


async def test_an_auditor_erases_somebody_on_the_page(shown: Pages) -> None:
    assert "Nobody was erased so far" in (await shown.client.get("/erasures")).text
    asked = await shown.client.post("/erasures", data=FORM)
    assert (asked.status_code, asked.headers["location"]) == (303, "/erasures")
    erasures = shown.application.state.services.erasures
    (state,) = await erasures.all()
    await until(erasures, state.erasure_id, ErasureStatus.DONE)
    html = (await shown.client.get("/erasures", headers={"accept-language": "de"})).text
    assert state.erasure_id[:8] in html
    assert "asked in writing" in html
    assert "Herunterladen" in html
    assert WHO not in html
    file = await shown.client.get(f"/erasures/{state.erasure_id}/certificate")
    holds = await shown.client.post("/erasures/verify", files={"certificate": ("c.json", file.content)})
    assert holds.status_code == 200
    assert "The certificate holds" in holds.text
    wrong = await shown.client.post("/erasures/verify", files={"certificate": ("c.json", file.content[:-1])})
    assert wrong.status_code == 422
    assert "does not hold" in wrong.text


@pytest.mark.parametrize("left_out", ["user_id", "reason", "sure"])
async def test_a_form_that_is_not_whole_erases_nobody(shown: Pages, left_out: str) -> None:
    form = {name: value for name, value in FORM.items() if name != left_out}
    assert (await shown.client.post("/erasures", data=form, headers=HTML)).status_code == 422
    assert await shown.application.state.services.erasures.all() == []
    assert shown.trail.events == []


def test_every_state_has_its_words_and_its_sign() -> None:
    assert set(WORDS) == set(BADGES) == set(ErasureStatus)
