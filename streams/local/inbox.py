"""Copies of submitted audio, under a prefix that workers may read, until their memos no longer need them."""

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote

from schemas.keeping_settings import retention_of
from schemas.settings import Settings
from schemas.topics import DEAD, UPLOADED
from streams.local.journal import Journal
from streams.local.private_files import private_folder, write_private
from workers.privacy.files.audio_copies import AudioCopies

log = logging.getLogger(__name__)

GRACE_S = 60.0
"""A copy that is younger is kept: the upload that needs it may not be in the journal yet."""
SHORTEST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between two removals; shorter for a shorter retention."""


def outcome_within(settings: Settings) -> timedelta:
    """After it neither an upload nor its dead letter is on a durable broker any more, so no memo needs its audio."""
    return retention_of(UPLOADED, settings) + retention_of(DEAD, settings)


@dataclass(frozen=True, slots=True)
class Inbox:
    """Folder for submitted audio. copies: seals what `put_memo` writes."""

    folder: Path
    copies: AudioCopies | None = None

    def put_memo(self, user_id: str, data: bytes, digest: str, suffix: str) -> str:
        """Write the audio of a person, as `put`. digest: its SHA-256. Raises Erased, Transient."""
        if self.copies is None:
            return self.put(data, digest + suffix)
        return self.put(self.copies.sealed(user_id, data), self.copies.name(user_id, digest) + suffix)

    def put(self, data: bytes, name: str) -> str:
        """Write bytes under `name`, atomically, and return their URI. An existing file is kept, and counts as new."""
        private_folder(self.folder)
        target = self.folder / name
        with self.locked():
            if target.exists():
                os.utime(target)
            else:
                write_private(target, data)
        return target.resolve().as_uri()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One process at a time: two may submit the same file, while a third removes it."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class Retention:
    """Removes copies whose memos have had their outcome for `retention_s`.

    outcome_within: after it an upload without an outcome counts as finished; None where the journal never loses one.
    clock: Unix time. A removal that is interrupted is completed by the next: a copy is whole or gone.
    """

    def __init__(
        self,
        inbox: Inbox,
        journal: Journal,
        retention_s: float,
        outcome_within: timedelta | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._inbox, self._journal, self._retention_s, self._clock = inbox, journal, retention_s, clock
        self._outcome_within_s = None if outcome_within is None else outcome_within.total_seconds()

    async def run(self) -> NoReturn:
        """Remove copies until cancelled."""
        pause_s = min(max(self._retention_s / 4, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
        while True:
            if removed := await asyncio.to_thread(self.remove):
                log.info("%d copies of audio removed: their memos have their outcome", removed)
            await asyncio.sleep(pause_s)

    def remove(self) -> int:
        """Remove the copies that no memo needs; returns their number.

        Those of an earlier version, or of a submission that was interrupted, are in no journal: their age decides.
        """
        if not self._inbox.folder.exists():
            return 0
        with self._inbox.locked():
            now = self._clock()
            accepted_after = 0.0 if self._outcome_within_s is None else now - self._outcome_within_s
            uris = self._journal.needed_audio(now - self._retention_s, accepted_after)
            # By name alone: other producers may spell the folder in another way.
            needed = {unquote(uri.rpartition("/")[2]) for uri in uris}
            oldest = now - max(self._retention_s, GRACE_S)
            unneeded = [path for path in self._copies() if path.name not in needed and _modified(path) < oldest]
            for path in unneeded:
                path.unlink()
        return len(unneeded)

    def _copies(self) -> list[Path]:
        return [path for path in self._inbox.folder.resolve().iterdir() if path.is_file() and not path.is_symlink()]


def _modified(path: Path) -> float:
    return path.stat().st_mtime
