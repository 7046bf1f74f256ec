"""Files of UNDERTONE_HOME: for its user alone, whatever the umask is and whatever modes they had before."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schemas.errors import ConfigurationError
from workers.service.private_files import FILE_MODE, private_opener

FOLDER_MODE = 0o700
OURS = (
    "audit.key",
    "lock",
    "up.json",
    "journal.db",
    "journal.db-wal",
    "journal.db-shm",
    "history.db",
    "history.db-wal",
    "history.db-shm",
    "audio",
    "store",
    "programs",
    "role-secrets",
)
"""What Undertone keeps in a home. Nothing else in it is touched: the setting may name a folder with other contents."""


def private_folder(path: Path) -> Path:
    """Create a folder, or tighten one that exists. Raises ConfigurationError when that is not permitted."""
    path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    _tighten(path)
    return path


def secure_home(home: Path) -> None:
    """Create a home, or tighten one of an earlier version with everything in it that is ours.

    Folders come before their contents: after that no other user can exchange them. Raises ConfigurationError when
    something in it belongs to another user.
    """
    private_folder(home)
    for name in OURS:
        _tighten_all(home / name)


def write_private(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, also when the machine stops; an existing one is replaced.

    No two processes may write the same path at once.
    """
    partial = path.with_name(f"{path.name}.part")
    partial.unlink(missing_ok=True)
    with open(partial, "xb", opener=private_opener) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@contextmanager
def private_umask() -> Iterator[None]:
    """A program that is started in the block creates files for its user alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _tighten_all(path: Path) -> None:
    if path.is_symlink() or not path.exists():
        return
    _tighten(path)
    if path.is_dir():
        for child in path.iterdir():
            _tighten_all(child)


def _tighten(path: Path) -> None:
    mode = path.stat().st_mode
    private = FOLDER_MODE if stat.S_ISDIR(mode) else FILE_MODE
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)) or stat.S_IMODE(mode) == private:
        return
    try:
        path.chmod(private)
    except PermissionError:
        raise ConfigurationError(
            "UNDERTONE_HOME, or a file in it, belongs to another user, so others could read it: "
            "set UNDERTONE_HOME to a folder of this user, or give it to this user with chown"
        ) from None
