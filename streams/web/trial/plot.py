"""The plot that `undertone features` draws of a memo, made by that command in a process of its own.

Decoding and measuring audio needs libraries that may crash; the dashboard loads none of them.
"""

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import DEVNULL
from collections import OrderedDict
from pathlib import Path

from schemas.errors import Poison, Transient
from schemas.events import MemoUploaded
from schemas.settings import Settings
from workers.audio.storage import AudioStore

KEPT = 16
"""Plots that are remembered, some 150 KB each."""
TOGETHER = 1
"""Plots that are drawn at once: the workers on this machine come first."""
WITHIN_S = 90.0
INHERITED = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "HOME", "TMPDIR")
"""Environment variables that the command gets: no secrets."""
PACKAGES = str(Path(__file__).parents[3])
"""Folder of Undertone's packages."""


class Plots:
    """Plots of memos as PNG, drawn once each; None where a memo cannot be drawn."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._drawn: OrderedDict[str, asyncio.Task[bytes | None]] = OrderedDict()
        self._turns = asyncio.Semaphore(TOGETHER)

    def start(self, memo: MemoUploaded) -> "asyncio.Task[bytes | None]":
        """Draw a memo's plot, unless that was done or is under way."""
        if memo.memo_id not in self._drawn:
            self._drawn[memo.memo_id] = asyncio.create_task(self._draw(memo))
            while len(self._drawn) > KEPT:
                self._drawn.popitem(last=False)[1].cancel()
        return self._drawn[memo.memo_id]

    async def _draw(self, memo: MemoUploaded) -> bytes | None:
        async with self._turns:
            try:
                audio = await asyncio.to_thread(AudioStore(self._settings).read, memo.audio_uri, memo.sha256)
            except (Poison, Transient):
                return None
            with tempfile.TemporaryDirectory(prefix="undertone-plot-") as folder:
                return await self._command(Path(folder), audio, Path(memo.audio_uri).suffix)

    async def _command(self, folder: Path, audio: bytes, suffix: str) -> bytes | None:
        memo, plot = folder / f"memo{suffix}", folder / "plot.png"
        await asyncio.to_thread(memo.write_bytes, audio)
        command = ("-P", "-m", "streams.cli", "features", str(memo), "--modality", "acoustic", "--plot", str(plot))
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, env=self._environment(), stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
        )
        try:
            async with asyncio.timeout(WITHIN_S):
                done = await process.wait() == 0
        except TimeoutError:
            return None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return await asyncio.to_thread(plot.read_bytes) if done else None

    def _environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in INHERITED if name in os.environ}
        paths = os.pathsep.join([PACKAGES, *filter(None, sys.path)])
        return kept | {"PYTHONPATH": paths, "UNDERTONE_HOME": str(self._settings.home)}
