"""Unfinished uploads on disk: the durability that the embedded broker does not have, and which audio is still needed.

An upload is written before it is sent (by `submit`) or as soon as it is read (from other producers), and marked
finished when the drift agent has committed its score or a worker has written a dead letter for it. With the embedded
broker the others are resubmitted at the next start, harmlessly: every effect is idempotent.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from streams.local.private_files import private_folder, private_opener

ADDED_COLUMNS = {"user_id": "TEXT", "audio_uri": "TEXT", "accepted_at": "REAL NOT NULL DEFAULT 0"}
"""Of the uploads, since the first version of the journal."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One record of `memos.uploaded` as it was sent. memo_id, user_id, audio_uri: None if it cannot be decoded."""

    key: bytes | None
    value: bytes
    memo_id: str | None
    user_id: str | None = None
    audio_uri: str | None = field(default=None, compare=False)

    @property
    def digest(self) -> bytes:
        """Identifies the upload."""
        return sha256((self.key or b"") + b"\0" + self.value).digest()


class Journal:
    """Uploads on disk. Several processes and threads may share one journal; every write is on disk when it returns.

    clock: Unix time.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = path, clock
        self._turn = Lock()

    def __enter__(self) -> Self:
        """Open the journal; create it if it is new."""
        private_folder(self._path.parent)
        # SQLite gives the files next to the journal the mode of the journal.
        with suppress(FileExistsError), open(self._path, "xb", opener=private_opener):
            pass
        self._db = sqlite3.connect(self._path, timeout=10, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS uploads "
            "(digest BLOB PRIMARY KEY, key BLOB, value BLOB NOT NULL, memo_id TEXT, "
            "finished INTEGER NOT NULL DEFAULT 0)"
        )
        known = {column[1] for column in self._db.execute("PRAGMA table_info(uploads)")}
        for name, kind in ADDED_COLUMNS.items():
            if name not in known:
                self._db.execute(f"ALTER TABLE uploads ADD COLUMN {name} {kind}")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS finished_audio (audio_uri TEXT PRIMARY KEY, finished_at REAL NOT NULL)"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS uploads_by_memo ON uploads (memo_id)")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the journal, after the transaction of another thread: SQLite would crash the process."""
        with self._turn:
            self._db.close()

    def accept(self, uploads: Iterable[Upload]) -> None:
        """Add uploads; a known one, finished or not, stays as it is, but for what an earlier version did not note."""
        now = self._clock()
        rows = [(u.digest, u.key, u.value, u.memo_id, u.user_id, u.audio_uri, now) for u in uploads]
        with self._transaction() as cursor:
            cursor.executemany(
                "INSERT INTO uploads (digest, key, value, memo_id, user_id, audio_uri, accepted_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (digest) DO UPDATE SET audio_uri = excluded.audio_uri WHERE uploads.audio_uri IS NULL",
                rows,
            )

    def finish(self, memos: Iterable[tuple[str, str]] = (), uploads: Iterable[Upload] = ()) -> None:
        """Mark the uploads of these memos, and these uploads, as finished. Unknown ones are ignored.

        memos: user and memo id of each. A journal of 0.1 has no users; there the memo id alone decides.
        """
        with self._transaction() as cursor:
            self._finish(cursor, "(user_id = ? OR user_id IS NULL) AND memo_id = ?", list(memos))
            self._finish(cursor, "digest = ?", [(upload.digest,) for upload in uploads])

    def _finish(self, cursor: sqlite3.Cursor, which: str, each: Sequence[tuple[str, ...] | tuple[bytes]]) -> None:
        """Finish the uploads that match; which: a condition of this module's own, its values are parameters."""
        now = self._clock()
        cursor.executemany(
            "INSERT OR REPLACE INTO finished_audio (audio_uri, finished_at) "  # noqa: S608
            f"SELECT audio_uri, ? FROM uploads WHERE audio_uri IS NOT NULL AND NOT finished AND {which}",
            [(now, *values) for values in each],
        )
        cursor.executemany(f"UPDATE uploads SET finished = 1 WHERE {which}", each)  # noqa: S608

    def needed_audio(self, finished_after: float, accepted_after: float = 0.0) -> set[str]:
        """URIs of audio that is still needed: of unfinished uploads, and of those finished later than a moment.

        accepted_after: unfinished uploads that were accepted before count as finished. Both in Unix time. Older notes
        of finished audio are deleted.
        """
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM finished_audio WHERE finished_at <= ?", (finished_after,))
            rows = cursor.execute(
                "SELECT audio_uri FROM finished_audio UNION "
                "SELECT audio_uri FROM uploads WHERE NOT finished AND audio_uri IS NOT NULL AND accepted_at >= ?",
                (accepted_after,),
            ).fetchall()
        return {uri for (uri,) in rows}

    def unfinished(self) -> list[Upload]:
        """The uploads to resubmit, in the order in which they were accepted."""
        with self._transaction() as cursor:
            rows = cursor.execute(
                "SELECT key, value, memo_id, user_id, audio_uri FROM uploads WHERE NOT finished ORDER BY rowid"
            ).fetchall()
        return [Upload(*row) for row in rows]

    def forget_finished(self) -> None:
        """Delete finished uploads."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM uploads WHERE finished")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        """One transaction at a time: threads share the connection, and SQLite does not nest transactions."""
        with self._turn, closing(self._db.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")
