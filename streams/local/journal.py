"""Unfinished uploads on disk: the durability that the embedded broker does not have.

Only `undertone up` with the embedded broker uses it. An upload is written before it is sent (by `submit`) or as soon as
it is read (from other producers), and marked finished when the drift agent has committed its score or a worker has
written a dead letter for it. The others are resubmitted at the next start, harmlessly: every effect is idempotent.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from streams.local.private_files import private_folder, private_opener


@dataclass(frozen=True, slots=True)
class Upload:
    """One record of `memos.uploaded` as it was sent. memo_id, user_id: None when the value cannot be decoded."""

    key: bytes | None
    value: bytes
    memo_id: str | None
    user_id: str | None = None

    @property
    def digest(self) -> bytes:
        """Identifies the upload."""
        return sha256((self.key or b"") + b"\0" + self.value).digest()


class Journal:
    """Uploads on disk. Several processes and threads may share one journal; every write is on disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
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
        if "user_id" not in {column[1] for column in self._db.execute("PRAGMA table_info(uploads)")}:
            self._db.execute("ALTER TABLE uploads ADD COLUMN user_id TEXT")
        self._db.execute("CREATE INDEX IF NOT EXISTS uploads_by_memo ON uploads (memo_id)")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the journal."""
        self._db.close()

    def accept(self, uploads: Iterable[Upload]) -> None:
        """Add uploads; a known one, finished or not, stays as it is."""
        rows = [(u.digest, u.key, u.value, u.memo_id, u.user_id) for u in uploads]
        with self._transaction() as cursor:
            cursor.executemany(
                "INSERT OR IGNORE INTO uploads (digest, key, value, memo_id, user_id) VALUES (?, ?, ?, ?, ?)", rows
            )

    def finish(self, memos: Iterable[tuple[str, str]] = (), uploads: Iterable[Upload] = ()) -> None:
        """Mark the uploads of these memos, and these uploads, as finished. Unknown ones are ignored.

        memos: user and memo id of each. A journal of 0.1 has no users; there the memo id alone decides.
        """
        with self._transaction() as cursor:
            cursor.executemany(
                "UPDATE uploads SET finished = 1 WHERE (user_id = ? OR user_id IS NULL) AND memo_id = ?", memos
            )
            cursor.executemany("UPDATE uploads SET finished = 1 WHERE digest = ?", [(u.digest,) for u in uploads])

    def unfinished(self) -> list[Upload]:
        """The uploads to resubmit, in the order in which they were accepted."""
        with self._transaction() as cursor:
            rows = cursor.execute(
                "SELECT key, value, memo_id, user_id FROM uploads WHERE NOT finished ORDER BY rowid"
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
