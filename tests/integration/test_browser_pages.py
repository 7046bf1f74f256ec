"""Every page of a running system in Chromium: it renders, is accessible in light and dark, fits a phone, and is still.

And what a clinician does each morning, by keyboard alone; and that a new alert appears in a list that is open.
"""

import re
from collections.abc import Awaitable
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Page, expect

from schemas import topics
from schemas.events import RiskAlert
from tests.browser import opened
from tests.dashboard import CODEC, PAGES, PATIENCE_S, Dashboard, alert_of, drawn, pages_of
from workers.kafka.clients import make_producer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

FIRST_VIEW_BYTES = 600 * 1024
MOST_TABS = 120
"""Presses of Tab after which what is looked for is not reachable by keyboard."""
PATIENCE_MS = PATIENCE_S * 1000


async def address(dashboard: Dashboard, page: str) -> str:
    return dashboard.address + pages_of(await dashboard.open_episode())[page]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
async def test_a_page_has_no_fault_and_no_barrier(
    chromium: Browser, dashboard: Dashboard, page: str, dark: bool
) -> None:
    async with opened(chromium, await address(dashboard, page), dark=dark, still=True) as tab:
        await expect(tab.page.get_by_role("heading", level=1)).to_be_visible()
        await drawn(tab.page)
        assert await tab.violations() == []
        assert await tab.moving() == []
        await tab.page.set_viewport_size({"width": 360, "height": 800})
        assert await tab.overflow() == []
        assert tab.watch.faults == []


async def test_an_address_that_there_is_not_is_a_page_too(chromium: Browser, dashboard: Dashboard) -> None:
    async with opened(chromium, f"{dashboard.address}/nothing/here") as tab:
        await expect(tab.page.get_by_role("heading", level=1)).to_be_visible()
        assert await tab.violations() == []


@pytest.mark.parametrize("page", ["caseload", "person"])
async def test_the_first_view_is_light(chromium: Browser, dashboard: Dashboard, page: str) -> None:
    async with opened(chromium, await address(dashboard, page)) as tab:
        await drawn(tab.page)
        received = tab.watch.received
        assert sum(received.values()) <= FIRST_VIEW_BYTES, received


@pytest.mark.parametrize("page", ["caseload", "person", "episode"])
async def test_a_page_is_whole_without_scripts(chromium: Browser, dashboard: Dashboard, page: str) -> None:
    episode = await dashboard.open_episode()
    async with opened(chromium, await address(dashboard, page), scripts=False) as tab:
        await expect(tab.page.get_by_role("main")).to_contain_text(episode.user_id)


async def test_the_newest_episode_is_found_read_and_acknowledged_by_keyboard(
    chromium: Browser, dashboard: Dashboard
) -> None:
    people = (await dashboard.get("/api/v1/people")).json()["items"]
    listed = [person["episode"] for person in people if person["episode"] and person["episode"]["open"]]
    newest = max(listed, key=lambda episode: str(episode["opened_at"]))["dedup_key"]
    async with opened(chromium, f"{dashboard.address}/") as tab:
        page = tab.page
        await go_to(page, f"a[href*='{quote(newest, safe='')}']")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/episodes/**")
        evidence = page.get_by_role("table").first
        await expect(evidence).to_contain_text("SD")
        await go_to(page, "input[name=outcome]")
        await page.keyboard.press("Space")
        await page.keyboard.press("ArrowDown")
        await go_to(page, "#acknowledged-form textarea")
        await page.keyboard.type("Spoke with them <b>today</b>.")
        await go_to(page, "#acknowledged-form button")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("main")).to_contain_text("Stored.")
        await expect(page.get_by_role("main")).to_contain_text("Spoke with them <b>today</b>.")
        assert tab.watch.faults == []


async def test_a_new_alert_appears_in_an_open_caseload(chromium: Browser, dashboard: Dashboard) -> None:
    episode = await dashboard.open_episode()
    user = "synthetic-new"
    async with opened(chromium, f"{dashboard.address}/") as tab:
        await expect(tab.page.locator(".live-state")).to_have_text(re.compile("Live"))
        await publish(dashboard, alert_of(episode, user))
        await expect(tab.page.locator(f"[data-person='{user}']")).to_be_visible(timeout=PATIENCE_MS)
        assert tab.watch.faults == []


async def publish(dashboard: Dashboard, alert: RiskAlert) -> None:
    """Put an alert on its topic, as the drift agent does."""
    async with make_producer(dashboard.settings) as producer:
        await producer.send_and_wait(topics.ALERTS.name, CODEC.encode(alert), alert.user_id.encode())


async def go_to(page: Page, selector: str) -> None:
    """Press Tab until the focus is on an element that fits."""

    def find() -> Awaitable[bool]:
        return page.evaluate("(s) => document.activeElement.matches(s)", selector)

    for _ in range(MOST_TABS):
        if await find():
            return
        await page.keyboard.press("Tab")
    pytest.fail(f"{selector} is not reached by {MOST_TABS} presses of Tab")
