"""Language and time zone are chosen once and hold for every page of this browser."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from httpx import ASGITransport, AsyncClient

from schemas.settings import Settings
from streams.history.database import Database
from streams.web.application import make_application
from streams.web.choices import own_path
from tests.unit.streams.web.serving import services
from workers.state.store import MemoryStore


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[AsyncClient]:
    settings = Settings(home=tmp_path)
    database = Database.open(settings)
    app = make_application(replace(services(settings), database=database, store=MemoryStore()))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1") as opened:
        yield opened
    database.close()


async def test_what_is_chosen_holds_for_the_next_page(client: AsyncClient) -> None:
    chosen = {"language": "de", "zone": "Asia/Tokyo", "back": "/system"}
    answer = await client.post("/choices", data=chosen)
    assert (answer.status_code, answer.headers["location"]) == (303, "/system")
    page = (await client.get("/choices", headers={"Accept-Language": "en"})).text
    assert "<h1>Sprache und Zeitzone</h1>" in page
    assert "<option selected>Asia/Tokyo</option>" in page


async def test_what_there_is_not_changes_nothing(client: AsyncClient) -> None:
    answer = await client.post("/choices", data={"language": "tlh", "zone": "../../etc/passwd"})
    assert answer.status_code == 303
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example",
        "//elsewhere.example",
        "/\\elsewhere.example",
        "javascript:alert(1)",
        "",
        "/\r\nX: y",
    ],
)
def test_a_form_returns_to_this_dashboard_only(address: str) -> None:
    assert own_path(address) == "/"
