"""Which processes ended on purpose: asked to, or by an error of their own, and not because something killed them.

A process that cannot reach the broker cannot take back there what it has said about its work. It notes its end in a
folder that the next process on this machine, or in this pod, reads: a file for each, as several may end at once.
"""

import os
import secrets
import tempfile
import time
from contextlib import suppress
from pathlib import Path

ME = secrets.token_hex(4)
"""Names this process, as long as it lives."""
KEPT_S = 7 * 86400.0
"""Seconds that an end is remembered: as long as an upload is."""


def note_end(process: str = ME, folder: Path | None = None) -> None:
    """Note that a process ends on purpose. A folder that cannot be used is no reason not to end."""
    folder = folder or _folder()
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        for note in folder.iterdir():
            if note.lstat().st_mtime < time.time() - KEPT_S:
                note.unlink()
        os.close(os.open(folder / process, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))


def ended_on_purpose(process: str, folder: Path | None = None) -> bool:
    """Whether a process has noted its end. process: its name, empty for one without."""
    return bool(process) and ((folder or _folder()) / process).is_file()


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"undertone-ended-{os.getuid()}"
