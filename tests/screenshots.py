"""Screenshots of every page of a running system: `python -m tests.screenshots FOLDER [--address URL] [--readme FILE]`.

Light and dark, at 360 and 1280 px, whole pages, as FOLDER/PAGE-SCHEME-WIDTH.png. Without an address a system of its own
is started and fed with the memos of simulated users. --readme writes the screenshot that README opens with.
"""

import argparse
import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path

from playwright.async_api import Browser

from tests.browser import launched, opened
from tests.dashboard import drawn, feed, pages_of, started

WIDTHS = (360, 1280)
README_WIDTH, README_HEIGHT = 1280, 860


@asynccontextmanager
async def system(address: str | None) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Address of a system, and the paths of its pages by name."""
    if address is not None:
        yield address, await found(address)
        return
    with tempfile.TemporaryDirectory(prefix="undertone-screenshots-", ignore_cleanup_errors=True) as folder:
        running = await started(Path(folder))
        try:
            await feed(running)
            yield running.address, pages_of(await running.open_episode())
        finally:
            running.process.terminate()
            running.process.wait(60)


async def found(address: str) -> dict[str, str]:
    """Paths of pages of a system that runs: of the first person of its caseload, by the links that it shows."""
    async with launched() as browser, opened(browser, address) as tab:
        links = {"person": "a.case-link", "episode": "a.case-episode"}
        paths = {name: await tab.page.locator(link).first.get_attribute("href") for name, link in links.items()}
    fixed = {"caseload": "/", "system": "/system", "try": "/try", "choices": "/choices"}
    return fixed | {name: path for name, path in paths.items() if path}


async def shoot(browser: Browser, address: str, path: str, file: Path, *, width: int, dark: bool) -> None:
    """One page, from its top to its end."""
    async with opened(browser, address + path, width=width, dark=dark, still=True) as tab:
        await drawn(tab.page)
        await tab.page.screenshot(path=file, full_page=True)
        for fault in tab.watch.faults:
            print(f"{file.name}: {fault}")


async def run(folder: Path, address: str | None, readme: Path | None) -> None:
    """Make all of them."""
    async with system(address) as (base, pages), launched() as browser:
        for (name, path), width, dark in product(pages.items(), WIDTHS, (False, True)):
            file = folder / f"{name}-{'dark' if dark else 'light'}-{width}.png"
            await shoot(browser, base, path, file, width=width, dark=dark)
            print(file)
        if readme is not None:
            async with opened(browser, base + pages["caseload"], width=README_WIDTH, still=True) as tab:
                await tab.page.set_viewport_size({"width": README_WIDTH, "height": README_HEIGHT})
                await drawn(tab.page)
                await tab.page.screenshot(path=readme)
            print(readme)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--address", help="of a dashboard that runs, without sign-in")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="also write README's screenshot")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    asyncio.run(run(given.folder, given.address, given.readme))


if __name__ == "__main__":
    main()
