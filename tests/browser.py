"""Chromium for tests: opens pages as a person's browser does, and notes what a page must not do.

Tests ask for the fixture `chromium`, which tests/conftest.py imports, and get the marker `browser` with it. Where
Chromium or Playwright is not installed the test is skipped with what would bring it, or fails when UNDERTONE_REQUIRE
names `browser`.
"""

import os
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright, expect

from tests.servers import required

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
OWN_SCHEMES = frozenset({"data", "blob", "about"})
"""Addresses within the page itself: nothing is sent to anyone."""
HEIGHT = 900
PATIENCE_MS = 240_000
"""Longer than any state takes to come on a busy machine: no test asserts speed by it."""
expect.set_options(timeout=PATIENCE_MS)

CONFORMANCE = {"resultTypes": ["violations"]}
"""Every rule of axe, its best practices as well."""

NOTES_REFUSALS = """
document.addEventListener("securitypolicyviolation", (event) => undertoneRefused(
  `${event.effectiveDirective} refused ${event.blockedURI} at ${event.sourceFile}:${event.lineNumber}`));
"""
OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width && document.body.scrollWidth <= width) return [];
  const right = (element) => Math.round(element.getBoundingClientRect().right);
  const wide = [...document.body.querySelectorAll("*")].filter((each) => right(each) > width);
  return wide.length === 0 ? ["the page scrolls"] : wide.slice(0, 5).map((each) =>
    `<${each.tagName.toLowerCase()} class="${each.className}"> ends at ${right(each)} of ${width} px`);
}"""
MOVING = """() => document.getAnimations().filter((each) => each.playState === "running")
  .map((each) => `${each.constructor.name} of <${each.effect?.target?.tagName?.toLowerCase()} class="` +
    `${each.effect?.target?.className}">`)"""


def program() -> str | None:
    """Path of the browser on this machine, if any."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@dataclass
class Watch:
    """What one page did since it was opened. faults: that it must not do; received: bytes as they were sent, by URL."""

    origin: str
    faults: list[str] = field(default_factory=list)
    received: dict[str, int] = field(default_factory=dict)

    def console(self, message: ConsoleMessage) -> None:
        """Note an error or a warning on the console."""
        if message.type in {"error", "warning"}:
            where = message.location.get("url", "") if message.location else ""
            self.faults.append(f"console {message.type}: {message.text} ({where})")

    def crashed(self, error: Exception) -> None:
        """Note an exception that no script caught."""
        self.faults.append(f"uncaught: {error}")

    def requested(self, request: Request) -> None:
        """Note a request to another origin."""
        parts = urlsplit(request.url)
        if parts.scheme not in OWN_SCHEMES and f"{parts.scheme}://{parts.netloc}" != self.origin:
            self.faults.append(f"request to another origin: {request.url}")

    def refused(self, report: str) -> None:
        """Note what the Content-Security-Policy refused."""
        self.faults.append(f"Content-Security-Policy: {report}")


@dataclass(frozen=True, slots=True)
class Tab:
    """A page that is watched."""

    page: Page
    watch: Watch

    async def violations(self) -> list[str]:
        """What axe-core finds wrong with the page as it is now, one line a place."""
        found: dict[str, Any] = (await Axe().run(self.page, options=CONFORMANCE)).response
        return [
            f"{rule['id']}: {rule['help']}: {node['html'][:160]} ({node.get('failureSummary', '')[:300]})"
            for rule in found["violations"]
            for node in rule["nodes"]
        ]

    async def overflow(self) -> list[str]:
        """What is wider than the window; empty when nothing scrolls horizontally."""
        found: list[str] = await self.page.evaluate(OVERFLOW)
        return found

    async def moving(self) -> list[str]:
        """Animations and transitions that run now."""
        found: list[str] = await self.page.evaluate(MOVING)
        return found


@asynccontextmanager
async def launched(*flags: str) -> AsyncIterator[Browser]:
    """A Chromium without a window, with a profile of its own that goes with it. flags: of its command line."""
    async with async_playwright() as playwright:
        sandboxed = os.geteuid() != 0  # Chromium's sandbox refuses to run as root, the user of many containers
        browser = await playwright.chromium.launch(
            executable_path=program(), args=[*flags], chromium_sandbox=sandboxed and not os.environ.get("CI")
        )
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser,
    address: str,
    *,
    width: int = 1280,
    dark: bool = False,
    still: bool = False,
    scripts: bool = True,
    permissions: Sequence[str] = (),
) -> AsyncIterator[Tab]:
    """A tab that shows `address`, in a session of its own.

    width: of the window in px; dark, still: what the person prefers (`prefers-color-scheme`, `prefers-reduced-motion`);
    scripts: whether JavaScript runs; permissions: that the person has given, such as `microphone`.
    """
    context = await browser.new_context(
        viewport={"width": width, "height": HEIGHT},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce" if still else "no-preference",
        java_script_enabled=scripts,
        locale="en-GB",
        timezone_id="Europe/Berlin",
        permissions=[*permissions],
    )
    try:
        context.set_default_timeout(PATIENCE_MS)
        page = await context.new_page()
        parts = urlsplit(address)
        watch = Watch(f"{parts.scheme}://{parts.netloc}")
        await _observe(page, watch)
        await page.goto(address)
        yield Tab(page, watch)
    finally:
        await context.close()


async def _observe(page: Page, watch: Watch) -> None:
    page.on("console", watch.console)
    page.on("pageerror", watch.crashed)
    page.on("request", watch.requested)
    await page.expose_function("undertoneRefused", watch.refused)
    await page.add_init_script(NOTES_REFUSALS)
    session, urls = await page.context.new_cdp_session(page), dict[str, str]()
    session.on("Network.responseReceived", lambda event: urls.update({event["requestId"]: event["response"]["url"]}))

    def finished(event: dict[str, Any]) -> None:
        url = urls.get(event["requestId"], "")
        watch.received[url] = watch.received.get(url, 0) + int(event["encodedDataLength"])

    session.on("Network.loadingFinished", finished)
    await session.send("Network.enable")


@pytest.fixture(scope="session")
async def chromium(anyio_backend: str) -> AsyncIterator[Browser]:
    """Chromium, one for all tests of a run: `opened` gives every test a session of its own."""
    need_browser()
    async with launched() as browser:
        yield browser


def need_browser() -> None:
    """Skip the test where there is no Chromium, or fail it where there must be one."""
    if program() is not None:
        return
    reason = "no Chromium: `make servers` installs it"
    if required("browser"):
        pytest.fail(f"UNDERTONE_REQUIRE names browser: {reason}")
    pytest.skip(reason)
