"""Screenshots of the dashboard by a Chromium of this machine, where there is one. Never a requirement."""

import asyncio
import os
import shutil
import signal
import tempfile
from asyncio.subprocess import DEVNULL
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import httpx

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1280, 1600
WITHIN_S = 20.0
"""Longest time for one screenshot; a browser that takes longer is ended."""
ASK_EVERY_S = 0.3
SETTLE_MS = 5000
"""Of the page's own clock, which runs ahead: scripts draw their charts in it."""


def browser() -> str | None:
    """Path of the browser, if any."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


async def save_screenshot(program: str, address: str, path: Path) -> bool:
    """Write what a browser shows at an address to a PNG file; whether that was possible.

    A page that keeps a connection open stops the browser's clock: it is shown as it is when it has loaded.
    """
    return await _shot(program, address, path, settle=True) or await _shot(program, address, path, settle=False)


async def shows(address: str, user_id: str, memos: int) -> None:
    """Return when the dashboard at an address shows so many memos of a user, or after WITHIN_S."""
    with suppress(TimeoutError):
        async with asyncio.timeout(WITHIN_S), httpx.AsyncClient(base_url=address, trust_env=False) as client:
            while await _memos(client, user_id) < memos:
                await asyncio.sleep(ASK_EVERY_S)


async def _memos(client: httpx.AsyncClient, user_id: str) -> int:
    """Memos in the table of a user's scores, which has a line of headings."""
    try:
        answer = await client.get(f"/people/{quote(user_id, safe='')}/scores.csv")
    except httpx.TransportError:
        return 0
    return len(answer.text.splitlines()) - 1 if answer.is_success else 0


async def _shot(program: str, address: str, path: Path, *, settle: bool) -> bool:
    await asyncio.to_thread(path.unlink, missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="undertone-browser-", ignore_cleanup_errors=True) as profile:
        flags = ["--headless", "--hide-scrollbars", "--disable-gpu", "--no-first-run", f"--user-data-dir={profile}"]
        flags += [f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={path}"]
        flags += [f"--virtual-time-budget={SETTLE_MS}"] if settle else []
        flags += ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox refuses to run as root
        process = await asyncio.create_subprocess_exec(
            program, *flags, address, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
        )
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(WITHIN_S):
                    await process.wait()
        finally:
            _end_all(process.pid)
            await process.wait()
    return await asyncio.to_thread(path.is_file)


def _end_all(leader: int) -> None:
    """End the browser and the processes that it started, which are its group."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)
