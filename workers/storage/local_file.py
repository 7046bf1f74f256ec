"""Read a local file at exactly its path: no segment is followed through a symbolic link, and only regular files."""

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import ExitStack
from typing import BinaryIO

from schemas.errors import Transient
from workers.storage.outcomes import denied, missing, too_large
from workers.storage.uri import refused

NOT_A_FILE = frozenset(
    {errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP}
)
"""Of a path that is not one, leads through a link, or names a socket or a device."""
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""`O_PATH`, where the system has it, needs permission to pass through a folder and not to list it."""
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
KINDS = {
    stat.S_IFDIR: "folder",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device or terminal",
    stat.S_IFBLK: "block device",
    stat.S_IFLNK: "symbolic link",
}


def read_file(parts: Sequence[str], max_bytes: int, *, hard_links: bool) -> bytes:
    """The bytes of a file. parts: segments of its resolved absolute path, the root first.

    hard_links: whether a file may have more than one name: another may be outside the prefix. Raises Poison
    `audio:uri_refused` for anything but such a file and `audio:too_large`, Missing, Denied, and Transient when the
    file system fails.
    """
    try:
        with _opened(parts) as file:
            status = os.fstat(file.fileno())
            _check_kind(status.st_mode)
            if status.st_nlink > 1 and not hard_links:
                raise refused(
                    "names a file with more than one hard link, whose other names may be outside the prefix: "
                    "copy it, or set UNDERTONE_AUDIO_HARD_LINKS=true"
                )
            if status.st_size > max_bytes:
                raise too_large(max_bytes)
            return read_whole(file, max_bytes)
    except FileNotFoundError:
        raise missing() from None
    except PermissionError:
        raise denied() from None
    except IsADirectoryError:
        raise refused("names a folder") from None
    except OSError as error:
        if error.errno in NOT_A_FILE:
            raise refused("is not a valid path on this system, or leads through a symbolic link") from None
        raise Transient(f"audio storage failed: {type(error).__name__}") from error


def _opened(parts: Sequence[str]) -> BinaryIO:
    """Open the file segment by segment, each in the folder that was opened before it."""
    root, *folders, name = parts if len(parts) > 1 else (*parts, ".")
    with ExitStack() as exits:
        folder = os.open(root, _FOLDER)
        exits.callback(os.close, folder)
        for segment in folders:
            folder = os.open(segment, _FOLDER, dir_fd=folder)
            exits.callback(os.close, folder)
        # Opening a device may act on it; whoever exchanges the file after this check is found out by the next one.
        _check_kind(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        return os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb", buffering=0)


def _check_kind(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise refused(f"names a {KINDS.get(stat.S_IFMT(mode), 'special file')}, not a regular file")


def read_whole(file: BinaryIO, max_bytes: int) -> bytes:
    """The bytes of an open file, whatever size it claims. Raises Poison `audio:too_large`."""
    data = bytearray()
    while chunk := file.read(max_bytes + 1 - len(data)):
        data += chunk
        if len(data) > max_bytes:
            raise too_large(max_bytes)
    return bytes(data)
