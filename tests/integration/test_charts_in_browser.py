"""The pages of a person and of the system in Chromium, under the dashboard's own policy: charts, tables, paper."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route

from schemas.event_enums import CareActionKind, MarkKind
from schemas.events import AlertState
from streams.access.headers import Policies, security_headers
from streams.access.origins import Site
from streams.history.writes.batch import Kept
from streams.web import assets
from streams.web.person import page as person
from streams.web.system import page as system
from tests.browser import Tab, opened
from tests.history import action, alert, score
from tests.unit.streams.web.stored import Pages, pages

ORIGIN = "http://localhost"
SITE = Site(ORIGIN)
USER = "north-anna"
PERSON = f"/people/{USER}?days=all"


def records() -> list[Kept]:
    """Memos with a gap and without a judgement, an open critical episode, a context mark that still holds."""
    memos = [score(USER, days, 0.2 + days % 7 / 30) for days in range(60) if not 20 < days < 30]
    mark = action(
        USER, CareActionKind.MARKED, 5.0, mark=MarkKind.NEW_PHONE, since=datetime.now(UTC) - timedelta(days=5)
    )
    return [*memos, score(USER, 3.5, None), alert(USER, 8.0), alert(USER, 4.0, AlertState.ESCALATED), mark]


class NoBroker:
    """A broker that does not answer."""

    async def lags(self) -> None:
        return None


@asynccontextmanager
async def shown(
    chromium: Browser, folder: Path, path: str, *, width: int = 1280, dark: bool = False, scripts: bool = True
) -> AsyncIterator[tuple[Tab, Pages]]:
    """A tab with this page of an application in this process, sent with the dashboard's headers."""
    async with (
        pages(folder, records(), assets.router, person.router, system.router) as served,
        opened(chromium, "about:blank", width=width, dark=dark, scripts=scripts) as tab,
    ):
        served.application.state.stage_lags = NoBroker()

        async def answer(route: Route) -> None:
            asked = route.request.url.removeprefix(ORIGIN)
            found = await served.client.get(asked, headers={"accept-encoding": "identity"})
            headers = dict(found.headers) | dict(security_headers(SITE, asked, Policies.of(SITE)))
            await route.fulfill(status=found.status_code, body=found.content, headers=headers)

        tab.watch.origin = ORIGIN
        await tab.page.route("**/*", answer)
        await tab.page.goto(f"{ORIGIN}{path}")
        yield tab, served


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (360, True)], ids=["wide-light", "narrow-dark"])
async def test_charts_are_drawn_and_leave_no_fault(chromium: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    async with shown(chromium, tmp_path, PERSON, width=width, dark=dark) as (tab, _):
        for name in ("chart-score", "chart-markers"):
            figure = tab.page.locator(f"figure[data-chart={name}]")
            await tab.page.wait_for_selector(f"figure[data-chart={name}][data-drawn={'dark' if dark else 'light'}]")
            assert await figure.locator(".chart-screen canvas").count() > 0
            assert await figure.locator(".chart-screen [tabindex='0']").count() == 0
        assert await tab.violations() == []
        assert await tab.overflow() == []
        assert tab.watch.faults == []


async def test_a_chart_is_printed_within_the_paper(chromium: Browser, tmp_path: Path) -> None:
    async with shown(chromium, tmp_path, PERSON) as (tab, _):
        await tab.page.wait_for_selector("figure[data-chart=chart-markers][data-drawn]")
        await tab.page.emulate_media(media="print")
        await tab.page.set_viewport_size({"width": 700, "height": 1000})
        printed = tab.page.locator(".chart-score .chart-print canvas")
        assert await printed.count() == 3
        for index in range(3):
            box = await printed.nth(index).bounding_box()
            assert box is not None
            assert box["height"] > 50
            assert box["x"] + box["width"] <= 700
        assert not await tab.page.locator(".chart-score .chart-screen").is_visible()
        assert await tab.overflow() == []


async def test_without_scripts_the_tables_say_the_same(chromium: Browser, tmp_path: Path) -> None:
    async with shown(chromium, tmp_path, PERSON, scripts=False) as (tab, _):
        assert await tab.page.get_by_text("The chart needs JavaScript").count() == 2
        await tab.page.get_by_text("memos as a table").click()
        assert await tab.page.locator("#memos tbody tr").count() == 50
        await tab.page.get_by_text("Add context").click()
        assert await tab.page.get_by_label("From").is_visible()


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (360, False)], ids=["wide-dark", "narrow-light"])
async def test_the_page_of_the_system_has_no_fault(chromium: Browser, tmp_path: Path, width: int, dark: bool) -> None:
    async with shown(chromium, tmp_path, "/system", width=width, dark=dark) as (tab, _):
        assert await tab.page.get_by_text("Kafka does not answer").is_visible()
        assert await tab.violations() == []
        assert await tab.overflow() == []
        assert tab.watch.faults == []
