"""The files of a home: what an erasure deletes there, file by file of the table of files."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

from schemas.stored_files import AUDIO, JOURNAL, STORED_FILES, StoredFile
from streams.local.inbox import Inbox
from streams.local.journal import Journal
from streams.privacy.places import Person, Trial

PART_BYTES = 1 << 20
OVERLAP_BYTES = 256
"""Of two parts of a file that are searched: longer than any pseudonym."""


class HomePlace:
    """The home of a system on this machine."""

    name = "home"

    def __init__(self, home: Path) -> None:
        self._home = home

    async def forget(self, person: Person) -> Counter[str]:
        """As `Place.forget`: the copies of audio that the journal knows to be the person's, and its rows."""
        return await asyncio.to_thread(self._forget, person)

    async def rewrite(self) -> Sequence[str]:
        """Nothing: the journal overwrites what it deletes, and other places rewrite their own files."""
        return ()

    async def attempt(self, person: Person) -> Mapping[str, Trial]:
        """As `Place.attempt`: the bytes of every file in the table."""
        return await asyncio.to_thread(self._attempt, person)

    def _forget(self, person: Person) -> Counter[str]:
        journal = self._home / JOURNAL.names[0]
        if not journal.exists():
            return Counter()
        with Journal(journal) as opened:
            copies = self._delete_copies(opened.of_users(person.names), opened)
            return Counter({AUDIO.name: copies, JOURNAL.name: opened.forget_users(person.names)})

    def _delete_copies(self, uris: list[str], journal: Journal) -> int:
        inbox = Inbox(self._home / AUDIO.names[0])
        if not inbox.folder.exists():
            return 0
        with inbox.locked():
            copies = [inbox.folder / unquote(uri.rpartition("/")[2]) for uri in uris]
            present = [copy for copy in copies if copy.is_file()]
            for copy in present:
                copy.unlink()
        return len(present)

    def _attempt(self, person: Person) -> dict[str, Trial]:
        return {
            row.name: sum((self._tried(path, person) for path in self._files(row)), Trial())
            for row in STORED_FILES
            if row.names and row.marks.personal
        }

    def _files(self, row: StoredFile) -> list[Path]:
        found = [self._home / name for name in row.names]
        return [file for path in found for file in ([path] if path.is_file() else sorted(path.rglob("*")))]

    def _tried(self, path: Path, person: Person) -> Trial:
        if not path.is_file():
            return Trial()
        try:
            named = _in_file(path, person.named_in)
            sealed = _in_file(path, lambda data: person.names[0].encode() in data or person.subject in data)
        except FileNotFoundError:
            return Trial()  # a running system deletes copies of audio, and files that it has rewritten
        return Trial(tried=1, sealed=int(sealed), opened=0, named=int(named))


def _in_file(path: Path, found_in: Callable[[bytes], bool]) -> bool:
    """Whether any part of a file has what is looked for."""
    with closing(path.open("rb")) as file:
        before = b""
        while part := file.read(PART_BYTES):
            if found_in(before + part):
                return True
            before = part[-OVERLAP_BYTES:]
    return False
