"""Joining the parts of a memo: which have arrived, whether any is missing, and the outcome.

Pure, time as an argument. The state of one join is one value in the store, under `JOIN`; `stored` reads it.

    open ──all parts──▶ open and complete ──score delivered──▶ settled
      ├──given up──▶ closed ──indeterminate score delivered──▶ settled ──the missing part──▶ open and complete
      └──a stage wrote a dead letter for the memo──▶ dead

All transitions are idempotent: a redelivered part replaces itself, and a settled join needs no work. A redriven memo
arrives as a later attempt: it reopens its join if that is dead or was closed, never if the memo has a score. A join
that was given up keeps its parts, and each score of its memo has the next revision.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import msgpack

from schemas.errors import UnreadableState
from schemas.events import Band, MemoFeatures, MemoUploaded, Modality, RiskScored
from schemas.ids import score_id
from schemas.limits import TIME
from schemas.reasons import MISSING
from schemas.state_keys import JOIN, LISTS

WITHOUT_REVISION = b"\x03"
"""First byte of a stored join that was never given up."""
_MOST = 1 << 31
"""Beyond any count of redrives or revisions."""


@dataclass(frozen=True, slots=True)
class Join:
    """The join of one memo.

    parts: encoded `MemoFeatures` by modality; closed_at: when it timed out as incomplete; dead: whether the memo's
    outcome is a dead letter; attempt: how often the memo had been redriven at that decision; trace: `traceparent` of
    the first part, for a score that no part causes; revision: how often the join was given up, 0 also for one that
    version 0.1 gave up, which takes no late parts until it is redriven.
    """

    memo_id: str
    user_id: str
    recorded_at: datetime
    uploaded_at: datetime
    parts: Mapping[Modality, bytes] = field(default_factory=dict)
    closed_at: datetime | None = None
    settled: bool = False
    dead: bool = False
    attempt: int = 0
    trace: bytes = b""
    revision: int = 0

    @property
    def identity(self) -> tuple[str, str]:
        """User and memo: memo ids are unique per user only."""
        return self.user_id, self.memo_id

    @property
    def decided(self) -> bool:
        """Whether this attempt has an outcome, so that it needs no more work."""
        return self.settled or self.dead or self.closed_at is not None

    @property
    def scored(self) -> bool:
        """Whether the score of all parts has been delivered; nothing reopens this join."""
        return self.settled and self.closed_at is None

    def missing(self, needed: Collection[Modality]) -> tuple[Modality, ...]:
        """Modalities that have not arrived, in the order of `needed`."""
        return tuple(m for m in needed if m not in self.parts)

    def to_bytes(self) -> bytes:
        """The join as one value of the store. A settled join keeps no parts, unless it was given up."""
        parts = {} if self.scored else {str(m): part for m, part in self.parts.items()}
        trace = b"" if self.scored else self.trace
        times = [t and _to_millis(t) for t in (self.recorded_at, self.uploaded_at, self.closed_at)]
        flags = [self.settled, self.dead, self.attempt, trace]
        fields = [self.memo_id, self.user_id, *times, parts, *flags]
        if not self.revision:
            # As before revisions, so that older agents read it while they are replaced.
            return WITHOUT_REVISION + bytes(msgpack.packb(fields))
        return JOIN.framed(msgpack.packb([*fields, self.revision]))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Join":
        """The inverse of `to_bytes`. Raises UnreadableState for another version or bytes that are not a join."""
        with JOIN.decoding():
            memo_id, user_id, recorded, uploaded, closed, parts, *flags = _fields(data)
            join = cls(
                memo_id,
                user_id,
                _from_millis(recorded),
                _from_millis(uploaded),
                {Modality(m): p for m, p in parts.items()},
                None if closed is None else _from_millis(closed),
                *flags,
            )
            if not _is_sound(join):
                raise ValueError("fields of other types")
            return join


def _fields(data: bytes) -> list[Any]:
    """The fields of a stored join of any version."""
    if data[:1] < bytes((LISTS,)):
        fields: list[Any] = msgpack.unpackb(JOIN.opened(data)[1])
        return fields
    version, *fields = msgpack.unpackb(data)
    if version not in JOIN.versions:
        raise JOIN.of_version(version, newer=False)
    return fields


def _is_sound(join: Join) -> bool:
    """Whether the fields are of their types, and the counts possible."""
    return (
        isinstance(join.memo_id, str)
        and isinstance(join.user_id, str)
        and isinstance(join.settled, bool)
        and isinstance(join.dead, bool)
        and all(isinstance(part, bytes) for part in (*join.parts.values(), join.trace))
        and all(map(TIME.accepts, (join.recorded_at, join.uploaded_at)))
        and all(type(count) is int and 0 <= count < _MOST for count in (join.attempt, join.revision))
    )


def _to_millis(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _from_millis(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)


def stored(key: str, state: bytes | None) -> Join | None:
    """The join that is stored under this key; None without one. Raises UnreadableState, also for another memo's."""
    if state is None:
        return None
    join = Join.from_bytes(state)
    if JOIN.key(*join.identity) != key:
        raise UnreadableState("join of another memo")
    return join


def add_parts(
    join: Join | None,
    parts: Collection[tuple[MemoFeatures, bytes]],
    attempt: int = 0,
    trace: bytes = b"",
    revision: int = 0,
) -> Join:
    """The join, or a new one, with the parts added.

    parts: decoded and encoded, all of one memo; attempt: how often it was redriven; trace: `traceparent` of one part;
    revision: how many scores without all modalities the memo has had, as far as the sender knows.

    A decided join accepts no more parts of the same or an earlier attempt. A later attempt reopens it, with its stored
    parts, unless it was scored.
    """
    if join is None:
        first = next(iter(parts))[0]
        join = Join(first.memo_id, first.user_id, first.recorded_at, first.uploaded_at, trace=trace)
    if attempt > join.attempt and not join.scored:
        known = max(join.revision, int(join.closed_at is not None))
        join = replace(join, attempt=attempt, settled=False, dead=False, closed_at=None, revision=known)
    if join.decided:
        return join
    return replace(join, parts=_with_parts(join, parts), revision=max(join.revision, revision))


def add_late_parts(join: Join, parts: Collection[tuple[MemoFeatures, bytes]], needed: Collection[Modality]) -> Join:
    """The join with parts that came after it was given up: open again once it is complete. Any other is unchanged."""
    if join.closed_at is None or join.dead or not join.revision:
        return join
    late = replace(join, parts=_with_parts(join, parts))
    return late if late.missing(needed) else replace(late, closed_at=None, settled=False)


def _with_parts(join: Join, parts: Collection[tuple[MemoFeatures, bytes]]) -> dict[Modality, bytes]:
    return {**join.parts, **{features.modality: encoded for features, encoded in parts}}


def mark_dead(join: Join | None, memo: MemoUploaded | MemoFeatures, attempt: int) -> Join | None:
    """The join of a memo that became a dead letter; None when that changes nothing: decided, or redriven since.

    It keeps its parts, because a redrive may resubmit only the missing ones.
    """
    join = join or Join(memo.memo_id, memo.user_id, memo.recorded_at, memo.uploaded_at)
    return None if join.decided or attempt < join.attempt else replace(join, dead=True, attempt=attempt)


def mark_unscorable(join: Join) -> Join | None:
    """The join whose parts can never be scored, after its dead letter was delivered; None when it is decided."""
    return None if join.decided else replace(join, dead=True)


def close(join: Join | None, needed: Collection[Modality], now: datetime) -> Join | None:
    """The join, closed; None when it needs no closing: missing, complete, settled, or dead.

    Closing twice keeps the first time. A score that comes later has the next revision.
    """
    if join is None or join.settled or join.dead or not join.missing(needed):
        return None
    if join.closed_at:
        return join
    return replace(join, closed_at=_from_millis(_to_millis(now)), revision=join.revision + 1)


def incomplete(join: Join, needed: Collection[Modality], bundle_id: str) -> RiskScored:
    """The indeterminate score of a closed join, which names missing modalities. Raises ValueError when it is open."""
    if join.closed_at is None:
        raise ValueError("the join is still open")
    return RiskScored(
        score_id=score_id(*join.identity, bundle_id, max(join.revision - 1, 0)),
        memo_id=join.memo_id,
        user_id=join.user_id,
        recorded_at=join.recorded_at,
        uploaded_at=join.uploaded_at,
        scored_at=join.closed_at,
        probability=None,
        band=Band.INDETERMINATE,
        reasons=tuple(f"{MISSING}{modality}" for modality in join.missing(needed)),
        evidence=(),
        modalities=tuple(m for m in needed if m in join.parts),
        bundle_id=bundle_id,
    )
