"""How uploads stand in the journal: sealed as on their topic, under the subject, with keyed hashes for ids."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas import topics
from schemas.errors import Erased, Poison, Transient, Unknown
from workers.privacy.clear_records import Opened, frame_of
from workers.privacy.sealing import Sealing

_COPY = re.compile(r"[0-9a-f-]{36,}\.?[\w-]*")
"""Names of copies of audio: they begin with a digest or the id of a memo."""


class Row(NamedTuple):
    """What the journal holds of an upload, in the order of its columns."""

    key: bytes | None
    value: bytes
    memo_id: str | None
    user_id: str | None
    audio_uri: str | None


@dataclass(slots=True)
class _Record:
    """An upload as the border takes it."""

    key: bytes | None
    value: bytes | None
    timestamp: float
    topic: str = topics.UPLOADED.name
    headers: Any = ()


class JournalRows:
    """Seals and opens rows, where records of uploads are sealed; without a border they pass as they are."""

    def __init__(self, sealing: Sealing | None) -> None:
        self._sealing = sealing

    def at_rest(self, row: Row, *, enters: bool = False) -> Row | None:
        """The row as it is written; None for one of a person who was erased. Blocks; raises Transient.

        enters: the person submits it at this moment, and returns if they were erased.
        """
        sealing = self._sealing
        if sealing is None or not sealing.seals(topics.UPLOADED.name):
            return row
        written = sealing.sealed_now(topics.UPLOADED.name, row.key, row.value, enters=enters)
        if written is None:
            return None
        subject = frame_of(written.value).subject
        name = (row.audio_uri or "").rpartition("/")[2]
        return Row(
            written.key,
            written.value,
            None if row.memo_id is None else sealing.token(subject, row.memo_id),
            subject.hex(),
            name if _COPY.fullmatch(name) else None,
        )

    def in_clear(self, row: Row, accepted_at: float) -> Row | None:
        """What was written, with ids that only its value holds left out; None for one of a person who was erased.

        accepted_at: Unix time, which decides for a row that was written in clear. Blocks; raises Transient while keys
        are missing.
        """
        if self._sealing is None:
            return row
        match self._sealing.opened_now(_Record(row.key, row.value, accepted_at * 1000)):
            case Opened(key, value, _) if value is not row.value:
                return Row(key, value or b"", None, None, row.audio_uri)
            case Transient() as waiting:
                raise waiting
            case Erased() | Poison():
                return None
        return row

    def names(self, memos: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """User and memo as rows may name them: in clear, and sealed."""
        found = []
        for user, memo in memos:
            found.append((user, memo))
            if self._sealing is not None and (subject := self._subject(self._sealing, user)) is not None:
                found.append((subject.hex(), self._sealing.token(subject, memo)))
        return found

    @staticmethod
    def _subject(sealing: Sealing, user: str) -> bytes | None:
        if not sealing.has_keys:
            return None
        try:
            sealing.keyring.warm_now([user])
            return sealing.keyring.subject(user)
        except (Erased, Unknown):
            return None
