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

from schemas.errors import Transient
from streams.local.privacy.journal_rows import JournalRows, Row
from streams.local.private_files import private_folder
from workers.privacy.sealing import Sealing
from workers.service.private_files import private_opener

ADDED_COLUMNS = {
    "uploads": {"user_id": "TEXT", "audio_uri": "TEXT", "accepted_at": "REAL NOT NULL DEFAULT 0"},
    "finished_audio": {"user_id": "TEXT"},
}
"""By table, since the first version of the journal."""


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

    clock: Unix time; sealing: the border of this process, None where rows stay as they are.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time, sealing: Sealing | None = None) -> None:
        self._path, self._clock, self._rows = path, clock, JournalRows(sealing)
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
        self._db.execute("PRAGMA secure_delete = ON")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS uploads "
            "(digest BLOB PRIMARY KEY, key BLOB, value BLOB NOT NULL, memo_id TEXT, "
            "finished INTEGER NOT NULL DEFAULT 0)"
        )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS consents (user_id TEXT PRIMARY KEY, key BLOB, value BLOB NOT NULL)"
        )
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS finished_audio (audio_uri TEXT PRIMARY KEY, finished_at REAL NOT NULL)"
        )
        for table, added in ADDED_COLUMNS.items():
            known = {column[1] for column in self._db.execute(f"PRAGMA table_info({table})")}
            for name, kind in added.items():
                if name not in known:
                    self._db.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
        self._db.execute("CREATE INDEX IF NOT EXISTS uploads_by_memo ON uploads (memo_id)")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the journal, after the transaction of another thread: SQLite would crash the process."""
        with self._turn:
            self._db.close()

    def accept(self, uploads: Iterable[Upload], *, enters: bool = False) -> None:
        """Add uploads; a known one, finished or not, stays as it is, but for what an earlier version did not note.

        Those of a person who was erased are left out, unless the person `enters` now. Raises Transient while there are
        no keys to seal them with.
        """
        now = self._clock()
        sealed = [
            (u.digest, self._rows.at_rest(Row(u.key, u.value, u.memo_id, u.user_id, u.audio_uri), enters=enters))
            for u in uploads
        ]
        rows = [(digest, *row, now) for digest, row in sealed if row is not None]
        with self._transaction() as cursor:
            cursor.executemany(
                "INSERT INTO uploads (digest, key, value, memo_id, user_id, audio_uri, accepted_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (digest) DO UPDATE SET audio_uri = excluded.audio_uri WHERE uploads.audio_uri IS NULL "
                "AND NOT uploads.finished",
                rows,
            )

    def finish(self, memos: Iterable[tuple[str, str]] = (), uploads: Iterable[Upload] = ()) -> None:
        """Mark the uploads of these memos, and these uploads, as finished; of each only the digest is kept.

        Unknown ones are ignored.

        memos: user and memo id of each. A journal of 0.1 has no users; there the memo id alone decides.
        """
        named = self._rows.names(memos)
        with self._transaction() as cursor:
            self._finish(cursor, "(user_id = ? OR user_id IS NULL) AND memo_id = ?", named)
            self._finish(cursor, "digest = ?", [(upload.digest,) for upload in uploads])

    def _finish(self, cursor: sqlite3.Cursor, which: str, each: Sequence[tuple[str, ...] | tuple[bytes]]) -> None:
        """Finish the uploads that match; which: a condition of this module's own, its values are parameters."""
        now = self._clock()
        cursor.executemany(
            "INSERT OR REPLACE INTO finished_audio (audio_uri, finished_at, user_id) "  # noqa: S608
            f"SELECT audio_uri, ?, user_id FROM uploads WHERE audio_uri IS NOT NULL AND NOT finished AND {which}",
            [(now, *values) for values in each],
        )
        cursor.executemany(
            "UPDATE uploads SET finished = 1, key = NULL, value = x'', memo_id = NULL, user_id = NULL, "  # noqa: S608
            f"audio_uri = NULL WHERE NOT finished AND {which}",
            each,
        )

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
        """The uploads to resubmit, in the order in which they were accepted; of sealed ones key and value alone.

        Raises Transient while their keys are missing.
        """
        with self._transaction() as cursor:
            rows = cursor.execute(
                "SELECT key, value, memo_id, user_id, audio_uri, accepted_at FROM uploads "
                "WHERE NOT finished ORDER BY rowid"
            ).fetchall()
        found = (self._rows.in_clear(Row(*row), accepted_at) for *row, accepted_at in rows)
        return [Upload(*row) for row in found if row is not None]

    def note_consents(self, words: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep the last words of people, by the key and the value of their records as they are on the topic."""
        rows = [(key.decode("utf-8", "replace"), key, value) for key, value in words]
        with self._transaction() as cursor:
            cursor.executemany("INSERT OR REPLACE INTO consents (user_id, key, value) VALUES (?, ?, ?)", rows)

    def consents(self) -> list[tuple[bytes, bytes]]:
        """The last words of people, in the order in which they were said."""
        with self._transaction() as cursor:
            return cursor.execute("SELECT key, value FROM consents ORDER BY rowid").fetchall()

    def forget_finished(self) -> None:
        """Delete finished uploads."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM uploads WHERE finished")

    def of_users(self, names: Sequence[str]) -> list[str]:
        """URIs of the audio of users that is needed, or was until lately; not of audio that others need as well."""
        with self._transaction() as cursor:
            rows = cursor.execute(
                "SELECT audio_uri, user_id FROM uploads WHERE audio_uri IS NOT NULL "
                "UNION SELECT audio_uri, user_id FROM finished_audio"
            ).fetchall()
        return sorted({uri for uri, user in rows if user in names} - {uri for uri, user in rows if user not in names})

    def forget_users(self, names: Sequence[str]) -> int:
        """Delete every row of users, also from the file's log; how many. Raises Transient while another reads it."""
        with self._transaction() as cursor:
            gone = 0
            for table in (*ADDED_COLUMNS, "consents"):
                cursor.executemany(f"DELETE FROM {table} WHERE user_id = ?", [(name,) for name in names])  # noqa: S608
                gone += cursor.rowcount
            keys = [(name.encode(),) for name in names]
            cursor.executemany("DELETE FROM uploads WHERE key = ?", keys)
            gone += cursor.rowcount
        with self._turn:
            (busy, *_) = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Transient("the journal is being read, so its log could not be emptied")
        return gone

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
