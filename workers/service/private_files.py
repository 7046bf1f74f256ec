"""Files for the user of this process alone, whatever the umask is."""

import errno
import os
from pathlib import Path
from uuid import uuid4

FILE_MODE = 0o600
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
"""Answers of file systems without links, such as those of memory sticks."""


def private_opener(path: str, flags: int) -> int:
    """For `open`: a new file is for its user alone."""
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)


def create_private(path: Path, data: bytes) -> None:
    """Create a file with these contents, whole or not at all, also when the process is killed.

    Of processes that create the same path at once one does. Raises FileExistsError where there is one already.
    """
    partial = path.with_name(f"{path.name}.{uuid4().hex}.part")
    try:
        with open(partial, "xb", opener=private_opener) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _take_name(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _take_name(partial: Path, path: Path) -> None:
    """Give a whole file its name, unless there is one of that name."""
    try:
        os.link(partial, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Takes the name without replacing anything; whoever reads it before the next line finds it empty.
        path.touch(FILE_MODE, exist_ok=False)
        partial.replace(path)
