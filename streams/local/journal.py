"""What was accepted and is not finished yet, on disk: the memory that the embedded broker does not have.

Only `undertone up` with the embedded broker uses it; a real Kafka keeps its own. An upload is written down before it is
sent (by `submit`) or as soon as it is seen (from other producers), and struck out when its score was followed or it
became a dead letter. What is left at the next start is sent again; every effect is idempotent, so that is harmless.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Upload:
    """One record of `memos.uploaded` as it was sent. memo_id: None when the value is no memo."""

    key: bytes | None
    value: bytes
    memo_id: str | None

    @property
    def digest(self) -> bytes:
        """What tells one upload from another."""
        return sha256((self.key or b"") + b"\0" + self.value).digest()


class Journal:
    """Uploads on disk. Several processes and threads may hold one journal; every write is on disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._turn = Lock()

    def __enter__(self) -> Self:
        """Open the journal, made when it is new."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(self._path, timeout=10, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS uploads "
            "(digest BLOB PRIMARY KEY, key BLOB, value BLOB NOT NULL, memo_id TEXT, "
            "finished INTEGER NOT NULL DEFAULT 0)"
        )
        self._db.execute("CREATE INDEX IF NOT EXISTS uploads_by_memo ON uploads (memo_id)")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the journal."""
        self._db.close()

    def accept(self, uploads: Iterable[Upload]) -> None:
        """Write uploads down; one that is known, finished or not, stays as it is."""
        rows = [(u.digest, u.key, u.value, u.memo_id) for u in uploads]
        with self._transaction() as cursor:
            cursor.executemany("INSERT OR IGNORE INTO uploads (digest, key, value, memo_id) VALUES (?, ?, ?, ?)", rows)

    def finish(self, memo_ids: Iterable[str] = (), uploads: Iterable[Upload] = ()) -> None:
        """Strike out the uploads of these memos, and these uploads themselves. Unknown ones are no error."""
        with self._transaction() as cursor:
            cursor.executemany("UPDATE uploads SET finished = 1 WHERE memo_id = ?", [(m,) for m in memo_ids])
            cursor.executemany("UPDATE uploads SET finished = 1 WHERE digest = ?", [(u.digest,) for u in uploads])

    def unfinished(self) -> list[Upload]:
        """What must be sent again, in the order in which it was accepted."""
        with self._transaction() as cursor:
            rows = cursor.execute(
                "SELECT key, value, memo_id FROM uploads WHERE NOT finished ORDER BY rowid"
            ).fetchall()
        return [Upload(*row) for row in rows]

    def forget_finished(self) -> None:
        """Drop what is finished."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM uploads WHERE finished")

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Cursor]:
        """One transaction at a time: threads share the connection, and SQLite knows no transaction within another."""
        with self._turn, closing(self._db.cursor()) as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")
