"""The caseload in a browser: it follows Kafka through the history, and says when it does not."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect

from streams.history.episode import episode
from tests.browser import Tab, opened
from tests.served import Served, served

NAMES = "http://127.0.0.1:9/names"
"""No server listens there: the browser's request is answered by the test."""
WITHIN_MS = 30_000
KEEPS_SOURCE = """window.EventSource = class extends EventSource {
  constructor(...given) { super(...given); window.source = this; }
};"""
SCORED = "() => window.source.dispatchEvent(new MessageEvent('risk.scored'))"
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with served(tmp_path_factory.mktemp("live"), names_url=NAMES) as opened_:
        yield opened_


@asynccontextmanager
async def caseload(browser: Browser, system: Served, **preferences: Any) -> AsyncIterator[Tab]:
    """The list of four people, once the history has them."""
    async with opened(browser, "about:blank", **preferences) as tab:
        tab.watch.origin = system.address
        await tab.page.route(NAMES, _named)
        async with asyncio.timeout(WITHIN_MS / 1000):
            await tab.page.goto(system.address)
            while await row(tab.page).count() < 4:
                await tab.page.reload()
        yield tab


async def _named(route: Route) -> None:
    """The clinic's own service of names."""
    asked = json.loads(route.request.post_data or "{}")["pseudonyms"]
    names = {each: f"Person <i>{each[-1]}</i>" for each in asked}
    headers = {
        "Access-Control-Allow-Origin": route.request.headers["origin"],
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Headers": "content-type",
    }
    await route.fulfill(json={"names": names}, headers=headers)


def row(page: Page, user: str | None = None, state: str = "") -> Locator:
    person = f'[data-person="{user}"]' if user else ""
    return page.locator(f"tr.case{f'.case-{state}' if state else ''}{person}")


async def test_a_new_alert_appears_and_the_focus_stays(chromium: Browser, system: Served) -> None:
    async with caseload(chromium, system) as tab:
        page = tab.page
        await expect(page.locator(".live-state")).to_have_text("Live: the list follows what happens.")
        await row(page, "north-3").locator("a").first.focus()
        await system.raise_alert("north-2", "new north-2")
        await expect(row(page, "north-2", "warning")).to_have_count(1, timeout=WITHIN_MS)
        await expect(row(page, "north-3").locator("a").first).to_be_focused()
        await expect(page.locator("#announcement")).to_contain_text("north-2: change.")
        await expect(page.locator("#counts")).to_contain_text("2 open episodes")
        assert [each for each in tab.watch.faults if NAMES not in each] == []


async def test_names_are_asked_by_the_browser_and_shown_as_text(chromium: Browser, system: Served) -> None:
    async with caseload(chromium, system) as tab:
        await expect(row(tab.page, "north-1").locator(".case-name")).to_have_text("Person <i>1</i>")
        await tab.page.goto(f"{system.address}/people/north-1")
        await expect(tab.page.get_by_role("heading", level=1)).to_have_text("north-1 Person <i>1</i>")
        assert [each for each in tab.watch.faults if NAMES not in each] == []


async def test_j_and_k_go_through_the_list_and_nowhere_else(chromium: Browser, system: Served) -> None:
    async with caseload(chromium, system) as tab:
        page = tab.page
        await page.locator("#q").focus()
        await page.keyboard.press("j")
        await expect(page.locator("#q")).to_have_value("j")
        await row(page).first.locator("a").first.focus()
        for key, place in (("j", 1), ("j", 2), ("k", 1)):
            await page.keyboard.press(key)
            await expect(row(page).nth(place).locator("a").first).to_be_focused()


async def test_a_paused_list_says_so_and_catches_up(chromium: Browser, system: Served) -> None:
    async with caseload(chromium, system) as tab:
        page = tab.page
        await page.get_by_role("button", name="Pause updates").click()
        await expect(page.locator(".live-state")).to_contain_text("Paused")
        await system.raise_alert("north-3", "new north-3")
        await until_stored(system, "new north-3")
        await expect(row(page, "north-3", "warning")).to_have_count(0)
        await page.get_by_role("button", name="Resume updates").click()
        await expect(row(page, "north-3", "warning")).to_have_count(1, timeout=WITHIN_MS)


async def test_a_tab_that_is_hidden_looks_at_nobody_until_it_is_seen_again(chromium: Browser, system: Served) -> None:
    async with caseload(chromium, system) as tab:
        page, looks = tab.page, list[str]()
        await page.clock.install()
        await page.add_init_script(KEEPS_SOURCE)
        await page.reload()
        await expect(page.locator("#live")).to_have_attribute("data-state", "open")
        page.on("request", lambda request: looks.append(request.url) if "/caseload/rows" in request.url else None)
        await page.evaluate(SCORED)
        await page.evaluate(HIDE, True)
        await page.clock.fast_forward(60_000)
        await page.evaluate("() => fetch('/healthz').then((answer) => answer.text())")
        assert looks == [], "before a later request"
        async with page.expect_request("**/caseload/rows*"):
            await page.evaluate(HIDE, False)
            await page.clock.fast_forward(1000)


async def test_without_scripts_a_person_is_found_and_an_episode_acknowledged(chromium: Browser, system: Served) -> None:
    async with caseload(chromium, system, scripts=False) as tab:
        page = tab.page
        await page.get_by_label("Search pseudonyms").fill("NORTH-1")
        await page.get_by_role("button", name="Show").click()
        await expect(row(page)).to_have_count(1)
        await row(page, "north-1").locator(".case-episode").click()
        await page.get_by_label("A known event explains it").check()
        await page.locator("#acknowledged-form button").click()
        await expect(page.locator("#done")).to_have_text("Stored. Acknowledged: A known event explains it.")
        await page.reload()
        await expect(page.locator(".story-person")).to_have_count(1)


async def test_a_lost_connection_is_said(chromium: Browser, tmp_path: Path) -> None:
    async with served(tmp_path) as system, caseload(chromium, system) as tab:
        await expect(tab.page.locator("#live")).to_have_attribute("data-state", "open")
        system.stop.set()
        system.board.services.closing.set()
        await expect(tab.page.locator(".live-state")).to_contain_text("Connection lost", timeout=WITHIN_MS)


async def until_stored(system: Served, dedup_key: str) -> None:
    async with asyncio.timeout(WITHIN_MS / 1000):
        while await system.board.services.database.read(episode, dedup_key) is None:
            await asyncio.sleep(0.05)


async def test_a_session_that_is_over_is_not_asked_for_again(chromium: Browser, system: Served) -> None:
    async with caseload(chromium, system) as tab:
        for address in ("**/api/v1/events*", "**/caseload/rows*"):
            await tab.page.route(address, _signed_out)
        await tab.page.reload()
        await expect(tab.page.locator("#live")).to_have_attribute("data-state", "refused", timeout=WITHIN_MS)


async def _signed_out(route: Route) -> None:
    """As the dashboard answers when a session has ended."""
    await route.fulfill(status=401)
