"""What lies in the folders of servers that go on writing and deleting while a test reads."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def contents(*folders: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file with its bytes; files and folders that their server deleted meanwhile are left out."""
    for folder in folders:
        for within, _, names in os.walk(folder):
            for path in (Path(within, name) for name in names):
                with suppress(FileNotFoundError):
                    if path.is_file():
                        yield path, path.read_bytes()
