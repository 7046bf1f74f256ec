"""Which processes ended on purpose: asked to, or by an error of their own, and not because something killed them.

A process that cannot reach the broker cannot take back there what it has said about its work. It notes its end in a
file that the next process on this machine, or in this pod, reads.
"""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

ME = secrets.token_hex(4)
"""Names this process, as long as it lives."""
KEPT = 256
"""Ends that are remembered."""


def note_end(process: str = ME, path: Path | None = None) -> None:
    """Note that a process ends on purpose. A file that cannot be written is no reason not to end."""
    with suppress(OSError):
        lines = [*_lines(path or _path()), process][-KEPT:]
        descriptor = os.open(path or _path(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write("".join(f"{line}\n" for line in lines))


def ended_on_purpose(process: str, path: Path | None = None) -> bool:
    """Whether a process has noted its end."""
    return bool(process) and process in _lines(path or _path())


def _path() -> Path:
    return Path(tempfile.gettempdir()) / f"undertone-ended-{os.getuid()}"


def _lines(path: Path) -> list[str]:
    with suppress(OSError, UnicodeDecodeError):
        return path.read_text("ascii").splitlines()[-KEPT:]
    return []
