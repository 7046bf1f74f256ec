"""What watches pages in the other browser tests sees every fault that it is there for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Route

from tests.browser import Tab, opened

ORIGIN = "http://undertone.test"
HEAD = '<!doctype html><html lang="en"><meta charset="utf-8"><title>A page</title>'
GOOD = f"{HEAD}<main><h1>Voices</h1><p>Nothing here moves.</p></main></html>"


@asynccontextmanager
async def shown(browser: Browser, page: str, headers: dict[str, str], *, width: int = 1280) -> AsyncIterator[Tab]:
    """A tab with this page, which no server has."""

    async def answer(route: Route) -> None:
        kind = "text/html" if route.request.resource_type == "document" else "text/plain"
        await route.fulfill(body=page if kind == "text/html" else "", content_type=kind, headers=headers)

    async with opened(browser, "about:blank", width=width) as tab:
        tab.watch.origin = ORIGIN
        await tab.page.route("**/*", answer)
        await tab.page.goto(f"{ORIGIN}/")
        yield tab


async def test_a_page_without_fault_has_none(chromium: Browser) -> None:
    async with shown(chromium, GOOD, {"Content-Security-Policy": "default-src 'self'"}, width=360) as tab:
        assert await tab.violations() == []
        assert await tab.overflow() == []
        assert await tab.moving() == []
        assert tab.watch.faults == []


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("<script>console.error('broken')</script>", "console error: broken"),
        ("<script>throw new Error('broken')</script>", "uncaught: broken"),
        ("<img alt='' src='http://elsewhere.test/pixel'>", "request to another origin: http://elsewhere.test/pixel"),
        ("<p style='color: red'>red</p>", "Content-Security-Policy: style-src-attr refused inline"),
    ],
)
async def test_what_a_page_must_not_do_is_noted(chromium: Browser, fault: str, found: str) -> None:
    policy = {"Content-Security-Policy": "style-src 'self'"} if "style=" in fault else {}
    async with shown(chromium, f"{HEAD}{fault}</html>", policy) as tab:
        await tab.page.wait_for_load_state("networkidle")
        assert any(each.startswith(found) for each in tab.watch.faults), tab.watch.faults


async def test_what_is_wrong_with_a_page_is_named(chromium: Browser) -> None:
    wide = f"{HEAD}<style>@keyframes turn {{ to {{ opacity: 0 }} }} b {{ animation: turn 9s infinite }}</style>"
    wide += "<main><h1>Voices</h1><b class='wide' style='display: block; width: 500px'>wide</b><input></main></html>"
    async with shown(chromium, wide, {}, width=360) as tab:
        assert any(each.startswith("label: ") for each in await tab.violations())
        assert await tab.overflow() == ['<b class="wide"> ends at 508 of 360 px']
        assert await tab.moving() == ['CSSAnimation of <b class="wide">']


async def test_the_weight_of_a_view_is_counted_as_it_was_sent(chromium: Browser) -> None:
    async with shown(chromium, GOOD, {}) as tab:
        await tab.page.wait_for_load_state("networkidle")
        assert tab.watch.received[f"{ORIGIN}/"] >= len(GOOD)
